// What pages of the console are put together from.

import type { ComponentChildren, VNode } from "preact";
import { useEffect, useId, useLayoutEffect, useRef, useState } from "preact/hooks";
import { Problem } from "../shared/api.js";
import { copyText } from "../shared/clipboard.js";
import { Dialog } from "../shared/dialog.js";
import { FormView, ProblemText, useForm } from "../shared/form.js";
import type { Loaded } from "../shared/load.js";
import { logOut } from "../shared/session.js";
import { t } from "./texts.js";

export { Dialog };

let headings = 0;

interface PageProps {
  readonly title: string;
  readonly intro?: ComponentChildren;
  /** Beside the heading. */
  readonly actions?: ComponentChildren;
  readonly children?: ComponentChildren;
}

/** A page: its heading, which takes the focus when one came here from another page, and its title. */
export function Page({ title, intro, actions, children }: PageProps): VNode {
  const heading = useRef<HTMLHeadingElement>(null);
  // With the page and not after it is drawn: by then somebody may be typing.
  useLayoutEffect(() => {
    if (headings > 0) heading.current?.focus({ preventScroll: true });
    headings += 1;
  }, []);
  useEffect(() => {
    document.title = `${title} · ${t.value.product}`;
  }, [title]);
  return (
    <div class="page">
      <div class="page-head">
        <h1 ref={heading} tabIndex={-1}>
          {title}
        </h1>
        {actions !== undefined && <div class="page-actions">{actions}</div>}
      </div>
      {intro !== undefined && <p class="intro">{intro}</p>}
      {children}
    </div>
  );
}

interface PanelProps {
  readonly title: string;
  readonly actions?: ComponentChildren;
  readonly children?: ComponentChildren;
}

/** A part of a page, with its heading. */
export function Panel({ title, actions, children }: PanelProps): VNode {
  const id = useId();
  return (
    <section class="panel" aria-labelledby={id}>
      <div class="panel-head">
        <h2 id={id}>{title}</h2>
        {actions}
      </div>
      {children}
    </section>
  );
}

/** One figure with its name, for the head of a page. */
export function Figure(props: {
  readonly name: string;
  readonly value: string;
  readonly exact?: string;
  readonly note?: ComponentChildren;
}): VNode {
  return (
    <div class="figure">
      <dt>{props.name}</dt>
      <dd>
        <span class="value" title={props.exact}>
          {props.value}
        </span>
        {props.note !== undefined && <span class="note">{props.note}</span>}
      </dd>
    </div>
  );
}

/** What was loaded; before that, that it is being loaded, or why it could not be. */
export function Shown<T>({
  of,
  children,
}: {
  readonly of: Loaded<T>;
  readonly children: (data: T) => ComponentChildren;
}): VNode {
  return (
    <>
      {of.problem !== null && <Failure problem={of.problem} onRetry={of.reload} />}
      {of.data !== undefined ? (
        <div class="shown" aria-busy={of.busy}>
          {children(of.data)}
        </div>
      ) : (
        of.problem === null && (
          <p class="loading" role="status">
            {t.value.loading}
          </p>
        )
      )}
    </>
  );
}

export function Failure({ problem, onRetry }: { readonly problem: Problem; readonly onRetry?: () => void }): VNode {
  return (
    <div class="notice bad" role="alert">
      <ProblemText problem={problem} />
      {onRetry !== undefined && (
        <button type="button" class="button" onClick={onRetry}>
          {t.value.retry}
        </button>
      )}
    </div>
  );
}

export type Tone = "ok" | "warn" | "bad" | "calm";

const SIGNS: Readonly<Record<Tone, string>> = { ok: "✓", warn: "!", bad: "✕", calm: "·" };

/** A state: a word and a sign, never a colour alone. */
export function State({ tone, children }: { readonly tone: Tone; readonly children: ComponentChildren }): VNode {
  return (
    <span class={`state ${tone}`}>
      <span class="sign" aria-hidden="true">
        {SIGNS[tone]}
      </span>
      {children}
    </span>
  );
}

interface CopyProps {
  readonly text: string;
  readonly label?: string;
  /** In a line of text. */
  readonly small?: boolean;
}

/** Copies a text, and says so. Where the clipboard is not to be had (plain HTTP), by selecting. */
export function Copy({ text, label, small }: CopyProps): VNode {
  const [outcome, setOutcome] = useState<"" | "copied" | "notCopied">("");
  useEffect(() => {
    if (outcome !== "copied") return undefined;
    const timer = setTimeout(() => setOutcome(""), 3000);
    return () => clearTimeout(timer);
  }, [outcome]);
  return (
    <span class="copy">
      <button
        type="button"
        class={small ? "button small" : "button"}
        onClick={async () => setOutcome((await copyText(text)) ? "copied" : "notCopied")}
      >
        {label ?? t.value.copy}
      </button>
      <span role="status" class={outcome === "notCopied" ? "fault" : "done"}>
        {outcome === "" ? "" : t.value[outcome]}
      </span>
    </span>
  );
}

interface ConfirmProps {
  readonly title: string;
  readonly action: string;
  readonly onConfirm: () => Promise<void>;
  readonly onClose: () => void;
  readonly children?: ComponentChildren;
}

/** Asks before something that cannot be taken back; `onConfirm` may throw a Problem, which is shown. */
export function Confirm({ title, action, onConfirm, onClose, children }: ConfirmProps): VNode {
  const form = useForm({}, { send: onConfirm });
  return (
    <Dialog title={title} onClose={onClose}>
      <FormView
        form={form}
        action={action}
        danger
        also={
          <button type="button" class="button" onClick={onClose}>
            {t.value.cancel}
          </button>
        }
      >
        {children}
      </FormView>
    </Dialog>
  );
}

/** Ends the login. */
export function LogOut(): VNode {
  const [problem, setProblem] = useState<Problem | null>(null);
  const leave = async (): Promise<void> => {
    setProblem(null);
    try {
      await logOut();
    } catch (reason) {
      if (!(reason instanceof Problem)) throw reason;
      setProblem(reason);
    }
  };
  return (
    <>
      <button type="button" class="button" onClick={() => void leave()}>
        {t.value.logOut}
      </button>
      {problem !== null && <Failure problem={problem} />}
    </>
  );
}

/** Code to be copied. */
export function Code({ text, name }: { readonly text: string; readonly name: string }): VNode {
  return (
    <div class="code">
      <pre tabIndex={0} aria-label={name}>
        <code>{text}</code>
      </pre>
      <Copy text={text} />
    </div>
  );
}
