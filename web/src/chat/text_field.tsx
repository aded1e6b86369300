// A field for a question: it grows with its text, and Enter sends, in every way in which systems and
// input methods report it.

import type { VNode } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { EnterKey, type Verdict } from "./ime.js";
import { hasScreenKeyboard } from "./page_state.js";

const HEIGHT_PX_MAX = 220;

interface TextFieldProps {
  readonly id?: string;
  readonly label: string;
  readonly placeholder?: string;
  readonly text: string;
  readonly onText: (text: string) => void;
  /** Gets what the field holds at that moment. */
  readonly onSend: (text: string) => void;
  readonly onPaste?: (event: ClipboardEvent) => void;
}

export function TextField({ onText, onSend, ...props }: TextFieldProps): VNode {
  const field = useRef<HTMLTextAreaElement>(null);
  const latest = useRef({ onText, onSend });
  latest.current = { onText, onSend };
  useLayoutEffect(() => {
    const area = field.current!;
    const enter = new EnterKey(hasScreenKeyboard);
    const send = () => latest.current.onSend(area.value);
    const obey = (verdict: Verdict, event: Event) => {
      if (verdict === "pass") return;
      event.preventDefault();
      if (verdict === "send") send();
      // When the field holds the whole composition.
      if (verdict === "send-soon") setTimeout(send, 0);
    };
    const listeners = {
      compositionstart: () => enter.begun(),
      compositionupdate: (event: CompositionEvent) => enter.updated(event.data),
      compositionend: (event: CompositionEvent) => obey(enter.ended(event.data, performance.now()), event),
      keydown: (event: KeyboardEvent) => obey(enter.pressed(event, performance.now()), event),
      beforeinput: (event: InputEvent) => {
        if (enter.isEcho(event.inputType, performance.now())) event.preventDefault();
      },
    };
    for (const [name, listener] of Object.entries(listeners)) area.addEventListener(name, listener as EventListener);
    return () => {
      for (const [name, listener] of Object.entries(listeners))
        area.removeEventListener(name, listener as EventListener);
    };
  }, []);
  useLayoutEffect(() => {
    const area = field.current!;
    area.style.height = "auto";
    area.style.height = `${Math.min(HEIGHT_PX_MAX, area.scrollHeight)}px`;
  }, [props.text]);
  return (
    <textarea
      ref={field}
      id={props.id}
      rows={1}
      aria-label={props.label}
      placeholder={props.placeholder}
      enterkeyhint={hasScreenKeyboard ? "enter" : "send"}
      value={props.text}
      onInput={(event) => onText(event.currentTarget.value)}
      onPaste={props.onPaste}
    />
  );
}
