// The account: its address, its language, its password, and logging out.

import type { VNode } from "preact";
import { useState } from "preact/hooks";
import { Problem } from "../../shared/api.js";
import { Field, FormView, missing, ProblemText, useForm } from "../../shared/form.js";
import { dateOf, moment, zone } from "../../shared/format.js";
import { LANGUAGE_NAMES, language, setLanguage, texts } from "../../shared/language.js";
import type { Language } from "../../shared/language.js";
import { account, call, keepLanguage, session } from "../../shared/session.js";
import { passwordFault, withWords } from "../login/rules.js";
import { LogOut, Page, Panel } from "../parts.js";

const t = texts(
  {
    title: "Settings",
    account: "Account",
    email: "E-mail address",
    id: "Account ID",
    since: "Since",
    until: (zone: string): string => `Logged in until (${zone})`,
    language: "Language",
    languageText: "Of these pages, and of the mails that you get.",
    saved: "Saved",
    password: "Password",
    passwordText: "A new password ends all other logins of the account.",
    old: "Current password",
    fresh: "New password",
    hint: "10 characters or more, and not the address.",
    change: "Change the password",
    changed: "The password is changed. All other logins have ended.",
    wrong: "This is not the current password.",
    out: "This browser",
    outText: "Others who use this browser then see nothing of the account.",
  },
  {
    title: "설정",
    account: "계정",
    email: "이메일 주소",
    id: "계정 ID",
    since: "가입일",
    until: (zone: string): string => `로그인 유효 기한(${zone})`,
    language: "언어",
    languageText: "페이지와 받으시는 메일의 언어입니다.",
    saved: "저장됨",
    password: "비밀번호",
    passwordText: "비밀번호를 변경하면 이 계정의 다른 로그인이 모두 끝납니다.",
    old: "현재 비밀번호",
    fresh: "새 비밀번호",
    hint: "10자 이상이어야 하며, 이메일 주소는 쓸 수 없습니다.",
    change: "비밀번호 변경",
    changed: "비밀번호를 변경했습니다. 다른 로그인은 모두 끝났습니다.",
    wrong: "현재 비밀번호가 올바르지 않습니다.",
    out: "이 브라우저",
    outText: "로그아웃하면 이 브라우저에서 계정 정보를 볼 수 없습니다.",
  },
);

export function Settings(): VNode {
  const who = account();
  const known = session.value;
  return (
    <Page title={t.value.title}>
      <Panel title={t.value.account}>
        <dl class="facts">
          <dt>{t.value.email}</dt>
          <dd>{who?.email}</dd>
          <dt>{t.value.id}</dt>
          <dd>
            <code>{who?.id}</code>
          </dd>
          <dt>{t.value.since}</dt>
          <dd>{dateOf(who?.created)}</dd>
          <dt>{t.value.until(zone())}</dt>
          <dd>{moment("expires" in known ? known.expires : null)}</dd>
        </dl>
      </Panel>
      <Panel title={t.value.language}>
        <LanguageChoice />
      </Panel>
      <Panel title={t.value.password}>
        <Password email={who?.email ?? ""} />
      </Panel>
      <Panel title={t.value.out}>
        <p class="note">{t.value.outText}</p>
        <p>
          <LogOut />
        </p>
      </Panel>
    </Page>
  );
}

function LanguageChoice(): VNode {
  const [outcome, setOutcome] = useState<Problem | "saved" | null>(null);
  const choose = async (next: Language): Promise<void> => {
    setLanguage(next);
    try {
      await keepLanguage();
      setOutcome("saved");
    } catch (reason) {
      if (!(reason instanceof Problem)) throw reason;
      setOutcome(reason);
    }
  };
  return (
    <div class="form">
      <fieldset class="packages">
        <legend class="note">{t.value.languageText}</legend>
        {Object.entries(LANGUAGE_NAMES).map(([value, name]) => (
          <label key={value} class="package">
            <input
              type="radio"
              name="language"
              checked={language.value === value}
              onChange={() => void choose(value as Language)}
            />
            <span lang={value}>{name}</span>
          </label>
        ))}
      </fieldset>
      <div role="status">
        {outcome === "saved" ? <span class="done">{t.value.saved}</span> : outcome && <ProblemText problem={outcome} />}
      </div>
    </div>
  );
}

function Password({ email }: { readonly email: string }): VNode {
  const [done, setDone] = useState(false);
  const form = useForm(
    { old: "", fresh: "" },
    {
      check: (values) => {
        setDone(false);
        const { password } = passwordFault(values.fresh);
        return { ...missing(values, "old"), ...(password === undefined ? {} : { fresh: password }) };
      },
      fieldOf: { old_password: "old", new_password: "fresh", password: "fresh" },
      send: withWords(async ({ old, fresh }) => {
        try {
          await call("PATCH", "/api/account", { old_password: old, new_password: fresh });
        } catch (reason) {
          if (!(reason instanceof Problem) || reason.code !== "wrong_credentials") throw reason;
          throw new Problem(reason.status, "wrong", t.value.wrong, "old_password", reason.requestId);
        }
        form.reset();
        setDone(true);
      }),
    },
  );
  return (
    <>
      <p class="note">{t.value.passwordText}</p>
      <FormView form={form} action={t.value.change}>
        <input type="hidden" name="username" autocomplete="username" value={email} />
        <Field form={form} name="old" label={t.value.old} type="password" autocomplete="current-password" required />
        <Field
          form={form}
          name="fresh"
          label={t.value.fresh}
          type="password"
          autocomplete="new-password"
          hint={t.value.hint}
          required
        />
      </FormView>
      <p role="status">{done && <span class="done">{t.value.changed}</span>}</p>
    </>
  );
}
