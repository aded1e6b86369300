// Making a key, showing it this once, and changing its terms.

import type { VNode } from "preact";
import { Dialog } from "../../shared/dialog.js";
import { Field, FormView, useForm } from "../../shared/form.js";
import type { Form } from "../../shared/form.js";
import { call } from "../../shared/session.js";
import { Copy } from "../parts.js";
import { t as frame } from "../texts.js";
import { limitHint } from "./limit_words.js";
import type { Key, Terms } from "./terms.js";
import { bodyOf, changeOf, faultsOf, NO_TERMS, NUMBERS, termsOf } from "./terms.js";
import { t } from "./texts.js";

const NAME_CHARACTERS_MAX = 64;

interface CreateProps {
  readonly onClose: () => void;
  readonly onMade: (text: string) => void;
}

export function CreateKey({ onClose, onMade }: CreateProps): VNode {
  const form = useForm(NO_TERMS, {
    check: faultsOf,
    send: async (terms) => {
      const made = await call<{ key: string }>("POST", "/api/keys", bodyOf(terms));
      onMade(made.key);
    },
  });
  return (
    <Dialog title={t.value.create} onClose={onClose}>
      <TermsForm form={form} action={t.value.create} onClose={onClose} />
    </Dialog>
  );
}

interface EditProps {
  readonly of: Key;
  readonly onClose: () => void;
  readonly onSaved: () => void;
}

export function EditKey({ of, onClose, onSaved }: EditProps): VNode {
  const form = useForm(termsOf(of), {
    // A last day that has passed may stay as it is.
    check: (terms) => faultsOf(terms, terms.expires_at === termsOf(of).expires_at ? 0 : Date.now()),
    send: async (terms) => {
      await call("PATCH", `/api/keys/${of.public_id}`, changeOf(of, terms));
      onSaved();
    },
  });
  return (
    <Dialog title={t.value.editOf(of.name)} onClose={onClose}>
      <TermsForm form={form} action={t.value.save} onClose={onClose} of={of} />
    </Dialog>
  );
}

interface TermsFormProps {
  readonly form: Form<Terms>;
  readonly action: string;
  readonly onClose: () => void;
  /** The key that is changed; without it, one is made. */
  readonly of?: Key;
}

function TermsForm({ form, action, onClose, of }: TermsFormProps): VNode {
  // Faults must be seen.
  const faulty = Object.keys(form.faults).some((name) => name !== "name");
  return (
    <FormView
      form={form}
      action={action}
      also={
        <button type="button" class="button" onClick={onClose}>
          {frame.value.cancel}
        </button>
      }
    >
      <Field
        form={form}
        name="name"
        label={t.value.name}
        hint={t.value.nameHint}
        maxLength={NAME_CHARACTERS_MAX}
        required
      />
      <details open={of !== undefined || faulty}>
        <summary>{t.value.more}</summary>
        <div class="fields">
          <Field
            form={form}
            name="budget"
            label={t.value.budget}
            hint={t.value.budgetHint}
            inputMode="decimal"
            suffix="USD"
          />
          <Field form={form} name="expires_at" label={t.value.expires} hint={t.value.expiresHint} type="date" />
          <Field form={form} name="models" label={t.value.models} hint={t.value.modelsHint} spellcheck={false} />
          {NUMBERS.map((name) => (
            <Field
              key={name}
              form={form}
              name={name}
              label={t.value.limitLabels[name]}
              hint={limitHint(of ?? null, name)}
              inputMode="numeric"
            />
          ))}
        </div>
      </details>
    </FormView>
  );
}

/** The key's text. Escape does not close it: what is lost here is lost. */
export function NewKey({ text, onClose }: { readonly text: string; readonly onClose: () => void }): VNode {
  return (
    <Dialog title={t.value.made} onClose={onClose} firm>
      <p>{t.value.once}</p>
      <p class="secret">
        <code>{text}</code>
      </p>
      <Copy text={text} label={t.value.copyKey} />
      <p class="actions">
        <button type="button" class="button primary" onClick={onClose}>
          {t.value.done}
        </button>
      </p>
    </Dialog>
  );
}
