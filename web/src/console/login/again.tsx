// The login that has ended in the middle: a dialog over the page, which keeps what it has.

import type { VNode } from "preact";
import { Dialog } from "../../shared/dialog.js";
import { Field, FormView, useForm } from "../../shared/form.js";
import { account, logIn } from "../../shared/session.js";
import { LogOut } from "../parts.js";
import { t } from "./texts.js";

export function LogInAgain(): VNode {
  const email = account()?.email ?? "";
  const form = useForm({ email, password: "" }, { send: (values) => logIn(values.email, values.password) });
  return (
    <Dialog title={t.value.again} onClose={() => undefined} firm>
      <p>{t.value.againText}</p>
      <FormView form={form} action={t.value.logIn} also={<LogOut />}>
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
    </Dialog>
  );
}
