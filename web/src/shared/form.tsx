// Forms: fields with labels, what is wrong told at the field and in a summary that takes the focus,
// and no input lost whatever the server says.

import type { ComponentChildren, VNode } from "preact";
import { useId, useLayoutEffect, useRef, useState } from "preact/hooks";
import { Problem } from "./api.js";
import { texts } from "./language.js";
import { explained } from "./problems.js";

const t = texts(
  {
    wrong: "Please check this:",
    required: "Please fill this in.",
    requestId: "Request ID",
    busy: "One moment…",
    optional: "optional",
  },
  {
    wrong: "다음을 확인해 주세요.",
    required: "입력해 주세요.",
    requestId: "요청 ID",
    busy: "처리 중…",
    optional: "선택",
  },
);

export type Faults<V> = { readonly [K in keyof V]?: string };

export interface Form<V extends Record<string, string>> {
  readonly id: string;
  readonly values: V;
  readonly faults: Faults<V>;
  readonly problem: Problem | null;
  readonly busy: boolean;
  readonly set: (name: keyof V & string, value: string) => void;
  readonly reset: (values?: V) => void;
  readonly submit: (event: Event) => Promise<void>;
  readonly attempt: number;
  /** What the fields are called, for the summary; each tells it when it is drawn. */
  readonly labels: Map<string, string>;
}

export interface FormRules<V> {
  /** What is wrong with the values, by field; an empty object for nothing. */
  readonly check?: (values: V) => Faults<V>;
  /** Sends them. A Problem that it throws is shown, at its field if it names one. */
  readonly send: (values: V) => Promise<void>;
  /** Which field of the form the API's `param` is, where the names differ. */
  readonly fieldOf?: Readonly<Record<string, keyof V & string>>;
}

/** The state of a form; values are texts, as they were typed. */
export function useForm<V extends Record<string, string>>(initial: V, rules: FormRules<V>): Form<V> {
  const id = useId();
  const [values, setValues] = useState(initial);
  const [faults, setFaults] = useState<Faults<V>>({});
  const [problem, setProblem] = useState<Problem | null>(null);
  const [busy, setBusy] = useState(false);
  const [attempt, setAttempt] = useState(0);
  const labels = useRef(new Map<string, string>());

  async function submit(event: Event): Promise<void> {
    event.preventDefault();
    if (busy) return;
    const found = rules.check?.(values) ?? {};
    setFaults(found);
    setProblem(null);
    if (Object.keys(found).length > 0) {
      setAttempt((last) => last + 1);
      return;
    }
    setBusy(true);
    try {
      await rules.send(values);
    } catch (reason) {
      if (!(reason instanceof Problem)) throw reason;
      const named = reason.param === null ? undefined : (rules.fieldOf?.[reason.param] ?? reason.param);
      if (named !== undefined && named in values) setFaults({ [named]: explained(reason) } as Faults<V>);
      else setProblem(reason);
      setAttempt((last) => last + 1);
    } finally {
      setBusy(false);
    }
  }

  return {
    id,
    values,
    faults,
    problem,
    busy,
    attempt,
    labels: labels.current,
    submit,
    set: (name, value) => setValues((last) => ({ ...last, [name]: value })),
    reset: (next = initial) => {
      setValues(next);
      setFaults({});
      setProblem(null);
    },
  };
}

/** What is missing of fields that must be filled in, as faults. */
export function missing<V extends Record<string, string>>(values: V, ...names: (keyof V & string)[]): Faults<V> {
  const empty = names.filter((name) => values[name]!.trim() === "");
  return Object.fromEntries(empty.map((name) => [name, t.value.required])) as Faults<V>;
}

interface FormViewProps<V extends Record<string, string>> {
  readonly form: Form<V>;
  readonly action: string;
  readonly danger?: boolean;
  readonly class?: string;
  /** Beside the button. */
  readonly also?: ComponentChildren;
  readonly children?: ComponentChildren;
}

/** A form with its summary above its fields, and its button below them. */
export function FormView<V extends Record<string, string>>(props: FormViewProps<V>): VNode {
  const { form } = props;
  const summary = useRef<HTMLDivElement>(null);
  // With the faults and not after they are drawn: by then somebody may be mending one.
  useLayoutEffect(() => {
    if (form.attempt > 0) summary.current?.focus();
  }, [form.attempt]);
  const names = Object.keys(form.faults);
  const shown = names.length > 0 || form.problem !== null;
  return (
    <form
      class={`form ${props.class ?? ""}`}
      noValidate
      onSubmit={(event) => void form.submit(event)}
      aria-describedby={shown ? `${form.id}-summary` : undefined}
    >
      {shown && (
        <div id={`${form.id}-summary`} class="summary" ref={summary} tabIndex={-1} role="alert">
          {form.problem !== null && <ProblemText problem={form.problem} />}
          {names.length > 0 && (
            <>
              <p>{t.value.wrong}</p>
              <ul>
                {names.map((name) => (
                  <li key={name}>
                    <a href={`#${form.id}-${name}`} onClick={(event) => focusField(event, `${form.id}-${name}`)}>
                      {form.labels.get(name)}: {form.faults[name]}
                    </a>
                  </li>
                ))}
              </ul>
            </>
          )}
        </div>
      )}
      {props.children}
      <p class="actions">
        <button type="submit" class={`button ${props.danger ? "danger" : "primary"}`} aria-disabled={form.busy}>
          {form.busy ? t.value.busy : props.action}
        </button>
        {props.also}
      </p>
    </form>
  );
}

function focusField(event: Event, id: string): void {
  event.preventDefault();
  document.getElementById(id)?.focus();
}

/** What happened, and the request's id, by which an operator finds it. */
export function ProblemText({ problem }: { readonly problem: Problem }): VNode {
  return (
    <p>
      {explained(problem)}
      {problem.requestId !== null && (
        <span class="request-id">
          {t.value.requestId} <code>{problem.requestId}</code>
        </span>
      )}
    </p>
  );
}

interface FieldProps<V extends Record<string, string>> {
  readonly form: Form<V>;
  readonly name: keyof V & string;
  readonly label: string;
  readonly hint?: ComponentChildren;
  readonly required?: boolean;
  readonly type?: "text" | "email" | "password" | "date" | "search";
  readonly inputMode?: "decimal" | "numeric";
  readonly maxLength?: number;
  readonly placeholder?: string;
  readonly min?: string;
  readonly spellcheck?: boolean;
  readonly autocomplete?: string;
  readonly suffix?: string;
  /** A choice instead of a text: values and what they are called. */
  readonly choices?: readonly (readonly [value: string, label: string])[];
}

/** A labelled input, or a choice. */
export function Field<V extends Record<string, string>>(props: FieldProps<V>): VNode {
  const { form, name, label, hint, required, choices, suffix, autocomplete, ...rest } = props;
  const id = `${form.id}-${name}`;
  const fault = form.faults[name];
  form.labels.set(name, label);
  const described = [fault === undefined ? "" : `${id}-fault`, hint === undefined ? "" : `${id}-hint`];
  const common = {
    id,
    name,
    value: form.values[name],
    required: required ?? false,
    "aria-invalid": fault !== undefined,
    "aria-describedby": described.filter(Boolean).join(" ") || undefined,
    onInput: (event: Event) => form.set(name, (event.currentTarget as HTMLInputElement | HTMLSelectElement).value),
  };
  return (
    <div class="field">
      <label for={id}>
        {label}
        {!required && choices === undefined && <span class="optional"> ({t.value.optional})</span>}
      </label>
      {choices === undefined ? (
        <span class="input">
          <input {...(rest as object)} {...common} autocomplete={autocomplete ?? "off"} />
          {suffix !== undefined && <span class="suffix">{suffix}</span>}
        </span>
      ) : (
        <select {...common}>
          {choices.map(([value, text]) => (
            <option key={value} value={value}>
              {text}
            </option>
          ))}
        </select>
      )}
      {fault !== undefined && (
        <span id={`${id}-fault`} class="fault">
          {fault}
        </span>
      )}
      {hint !== undefined && (
        <span id={`${id}-hint`} class="hint">
          {hint}
        </span>
      )}
    </div>
  );
}
