// Logging in, where a page needs it, and signing up.

import type { VNode } from "preact";
import { useLocation } from "preact-iso";
import { useEffect, useState } from "preact/hooks";
import { api } from "../../shared/api.js";
import { Field, FormView, useForm } from "../../shared/form.js";
import { language } from "../../shared/language.js";
import { logIn, session } from "../../shared/session.js";
import { Page } from "../parts.js";
import { emailFault, passwordFault, withWords } from "./rules.js";
import { t } from "./texts.js";

/** Where one goes after logging in: on, if the address was a page's, else to the overview. */
function useOnwards(): void {
  const { path, route } = useLocation();
  const isIn = session.value.state === "in";
  useEffect(() => {
    if (isIn && ["/console/log-in", "/console/sign-up"].includes(path)) route("/console", true);
  }, [isIn, path]);
}

export function LogIn(): VNode {
  useOnwards();
  const form = useForm(
    { email: "", password: "" },
    {
      check: (values) => emailFault(values.email),
      send: (values) => logIn(values.email, values.password),
    },
  );
  return (
    <Page title={t.value.logIn}>
      <FormView form={form} action={t.value.logIn} also={<a href="/console/forgotten">{t.value.forgotten}</a>}>
        <Field form={form} name="email" label={t.value.email} type="email" autocomplete="username" required />
        <Field
          form={form}
          name="password"
          label={t.value.password}
          type="password"
          autocomplete="current-password"
          required
        />
      </FormView>
      <p class="below">
        {t.value.noAccount} <a href="/console/sign-up">{t.value.signUp}</a>
      </p>
    </Page>
  );
}

export function SignUp(): VNode {
  useOnwards();
  const [waiting, setWaiting] = useState<string | null>(null);
  const form = useForm(
    { email: "", password: "" },
    {
      check: (values) => ({ ...emailFault(values.email), ...passwordFault(values.password) }),
      send: withWords(async ({ email, password }) => {
        const { state } = await api<{ state: string }>("POST", "/api/accounts", {
          email,
          password,
          language: language.value,
        });
        if (state === "active") await logIn(email, password);
        else setWaiting(email);
      }),
    },
  );
  if (waiting !== null) return <Page key="waiting" title={t.value.mailSent} intro={t.value.mailSentText(waiting)} />;
  return (
    <Page title={t.value.signUp} intro={t.value.signUpIntro}>
      <FormView form={form} action={t.value.signUp}>
        <Field form={form} name="email" label={t.value.email} type="email" autocomplete="username" required />
        <Field
          form={form}
          name="password"
          label={t.value.password}
          type="password"
          autocomplete="new-password"
          hint={t.value.passwordHint}
          required
        />
      </FormView>
      <p class="below">
        {t.value.haveAccount} <a href="/console/log-in">{t.value.logIn}</a>
      </p>
    </Page>
  );
}
