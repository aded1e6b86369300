// A dialog with a form in it, and a way out.

import type { ComponentChildren, VNode } from "preact";
import type { Form } from "../../shared/form.js";
import { FormView } from "../../shared/form.js";
import { Dialog } from "../parts.js";
import { t as frame } from "../texts.js";

interface FormDialogProps<V extends Record<string, string>> {
  readonly title: string;
  readonly form: Form<V>;
  readonly action: string;
  readonly danger?: boolean;
  readonly onClose: () => void;
  readonly children?: ComponentChildren;
}

export function FormDialog<V extends Record<string, string>>(props: FormDialogProps<V>): VNode {
  return (
    <Dialog title={props.title} onClose={props.onClose}>
      <FormView
        form={props.form}
        action={props.action}
        danger={props.danger ?? false}
        also={
          <button type="button" class="button" onClick={props.onClose}>
            {frame.value.cancel}
          </button>
        }
      >
        {props.children}
      </FormView>
    </Dialog>
  );
}
