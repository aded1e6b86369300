// Uses the link of a mail: proves an address, or replaces a password. Either way the password is
// chosen here: whoever signed up with the address need not be its owner.
//
// The token stands behind `#`, which no server is sent. It is taken out of the address bar at once,
// and used when the person says so: programs that look at links in mails cannot use it up.

import { signal } from "@preact/signals";
import type { VNode } from "preact";
import { useState } from "preact/hooks";
import { api } from "../../shared/api.js";
import { Field, FormView, useForm } from "../../shared/form.js";
import { Page } from "../parts.js";
import { passwordFault, withWords } from "./rules.js";
import { t } from "./texts.js";

type Kind = "verify" | "reset";

const PATHS: Readonly<Record<Kind, string>> = {
  verify: "/api/accounts/verify",
  reset: "/api/password-resets/confirm",
};

/** The kind and the token of an address's part behind `#`; null if there is no link. */
export function linkOf(hash: string): { kind: Kind; token: string } | null {
  const parts = /^#(verify|reset)=([\w-]+)$/.exec(hash);
  return parts === null ? null : { kind: parts[1] as Kind, token: parts[2]! };
}

const link = signal<ReturnType<typeof linkOf>>(null);

/** Takes the link out of the address, before anything else is done; and any that comes later. */
export function takeLinks(): void {
  const take = (): void => {
    const found = linkOf(location.hash);
    if (found === null) return;
    history.replaceState(null, "", location.pathname);
    link.value = found;
  };
  take();
  addEventListener("hashchange", take);
}

export function MailLink(): VNode {
  const found = link.value;
  if (found === null) return <Page title={t.value.nothing} intro={t.value.nothingText} />;
  return <Choose key={found.token} {...found} />;
}

function Choose({ kind, token }: { readonly kind: Kind; readonly token: string }): VNode {
  const [done, setDone] = useState(false);
  const form = useForm(
    { password: "" },
    {
      check: (values) => passwordFault(values.password),
      send: withWords(async ({ password }) => {
        await api("POST", PATHS[kind], { token, password });
        setDone(true);
      }),
    },
  );
  if (done) {
    return (
      <Page key="done" title={kind === "verify" ? t.value.verified : t.value.changed}>
        <p>
          <a class="button primary" href="/console/log-in">
            {t.value.logIn}
          </a>
        </p>
      </Page>
    );
  }
  const [title, intro] =
    kind === "verify" ? [t.value.verify, t.value.verifyIntro] : [t.value.reset, t.value.resetIntro];
  return (
    <Page title={title} intro={intro}>
      <FormView form={form} action={t.value.confirm}>
        <Field
          form={form}
          name="password"
          label={t.value.newPassword}
          type="password"
          autocomplete="new-password"
          hint={t.value.passwordHint}
          required
        />
      </FormView>
    </Page>
  );
}
