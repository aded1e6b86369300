// Having a link sent with which a new password is chosen.

import type { VNode } from "preact";
import { useState } from "preact/hooks";
import { api } from "../../shared/api.js";
import { Field, FormView, useForm } from "../../shared/form.js";
import { Page } from "../parts.js";
import { emailFault } from "./rules.js";
import { t } from "./texts.js";

export function Forgotten(): VNode {
  const [sent, setSent] = useState(false);
  const form = useForm(
    { email: "" },
    {
      check: (values) => emailFault(values.email),
      send: async ({ email }) => {
        await api("POST", "/api/password-resets", { email });
        setSent(true);
      },
    },
  );
  return (
    <Page title={t.value.forgottenTitle} intro={t.value.forgottenIntro}>
      <FormView form={form} action={t.value.send}>
        <Field form={form} name="email" label={t.value.email} type="email" autocomplete="username" required />
      </FormView>
      <p role="status">{sent && t.value.sent}</p>
      <p class="below">
        <a href="/console/log-in">{t.value.backToLogIn}</a>
      </p>
    </Page>
  );
}
