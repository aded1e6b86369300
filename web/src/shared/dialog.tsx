// A modal dialog; the browser keeps the focus inside, and it is given back at the end.

import type { ComponentChildren, VNode } from "preact";
import { useId, useLayoutEffect, useRef } from "preact/hooks";

interface DialogProps {
  readonly title: string;
  readonly onClose: () => void;
  readonly class?: string;
  /** Beside the title, such as a button that closes. */
  readonly corner?: ComponentChildren;
  /** It cannot be left by Escape: what it shows is not shown again, or nothing goes on without it. */
  readonly firm?: boolean;
  readonly children?: ComponentChildren;
}

export function Dialog(props: DialogProps): VNode {
  const element = useRef<HTMLDialogElement>(null);
  const id = useId();
  // Not after what comes next is drawn: whoever types there already would lose the focus.
  useLayoutEffect(() => {
    const dialog = element.current!;
    const before = document.activeElement;
    dialog.showModal();
    return () => {
      dialog.close();
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, []);
  return (
    <dialog
      ref={element}
      class={props.class}
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault();
        if (!props.firm) props.onClose();
      }}
      onClick={(event) => {
        if (event.target === element.current && !props.firm) props.onClose();
      }}
    >
      <div class="dialog-body">
        <div class="dialog-head">
          <h2 id={id}>{props.title}</h2>
          {props.corner}
        </div>
        {props.children}
      </div>
    </dialog>
  );
}
