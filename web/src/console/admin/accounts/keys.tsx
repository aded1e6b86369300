// The keys of an account: what they may have, as the operator gives it, and revoking them.

import type { VNode } from "preact";
import { useState } from "preact/hooks";
import { count, dateOf, dollars } from "../../../shared/format.js";
import { Field, useForm } from "../../../shared/form.js";
import { call } from "../../../shared/session.js";
import { Table } from "../../../shared/table.js";
import type { Column } from "../../../shared/table.js";
import { Confirm, Panel, State } from "../../parts.js";
import { FormDialog } from "../form_dialog.js";
import { t as admin } from "../texts.js";
import { isWhole } from "../typed.js";
import type { Key, LimitName } from "./facts.js";
import { LIMIT_NAMES } from "./facts.js";
import { t } from "./texts.js";

type Open = { readonly what: "limit" | "revoke"; readonly key: Key };

const MOST: Readonly<Record<LimitName, number>> = {
  requests_per_minute: 1_000_000,
  tokens_per_minute: 1_000_000_000,
  streams_max: 1_000_000,
};

interface KeysProps {
  readonly of: readonly Key[];
  readonly onChanged: () => void;
}

export function Keys({ of, onChanged }: KeysProps): VNode {
  const [open, setOpen] = useState<Open | null>(null);
  const close = (): void => setOpen(null);
  function changed(): void {
    close();
    onChanged();
  }
  return (
    <Panel title={t.value.keys}>
      <Table
        caption={t.value.keys}
        quiet
        columns={columns(setOpen)}
        rows={[...of].reverse()}
        id={(key) => key.public_id}
        empty={t.value.keysEmpty}
      />
      {open?.what === "limit" && <LimitKey of={open.key} onClose={close} onSaved={changed} />}
      {open?.what === "revoke" && (
        <Confirm
          title={t.value.revokeTitle(open.key.name)}
          action={t.value.revoke}
          onClose={close}
          onConfirm={async () => {
            await call("DELETE", `/api/admin/keys/${open.key.public_id}`, {});
            changed();
          }}
        >
          <p>{t.value.revokeText}</p>
        </Confirm>
      )}
    </Panel>
  );
}

function columns(onOpen: (open: Open) => void): Column<Key>[] {
  return [
    { key: "name", head: t.value.name, names: true, cell: (key) => <span class="wrap narrow">{key.name}</span> },
    { key: "key", head: t.value.key, cell: (key) => <code>{key.public_id}</code> },
    { key: "state", head: t.value.state, cell: (key) => <Mark of={key} /> },
    { key: "limits", head: t.value.limits, cell: (key) => <Limits of={key} /> },
    { key: "created", head: t.value.made, cell: (key) => dateOf(key.created) },
    {
      key: "actions",
      head: admin.value.actions,
      cell: (key) =>
        key.revoked === null && (
          <span class="row-actions">
            <button
              type="button"
              class="button small"
              aria-label={t.value.limitOf(key.name)}
              onClick={() => onOpen({ what: "limit", key })}
            >
              {t.value.limit}
            </button>
            <button
              type="button"
              class="button small danger"
              aria-label={t.value.revokeOf(key.name)}
              onClick={() => onOpen({ what: "revoke", key })}
            >
              {t.value.revoke}
            </button>
          </span>
        ),
    },
  ];
}

function Mark({ of }: { readonly of: Key }): VNode {
  if (of.revoked !== null) return <State tone="calm">{t.value.revoked}</State>;
  const isOver = of.expires_at !== null && of.expires_at * 1000 <= Date.now();
  return isOver ? <State tone="warn">{t.value.expired}</State> : <State tone="ok">{t.value.good}</State>;
}

function Limits({ of }: { readonly of: Key }): VNode {
  const said = (name: LimitName, number: number | null, whose: string): string | false =>
    number !== null &&
    t.value.setBy(number === 0 ? t.value.none(t.value.limitLabels[name]) : t.value.rates[name](count(number)), whose);
  const parts = [
    ...LIMIT_NAMES.flatMap((name) => [
      said(name, of.operator_limits[name], t.value.byOperator),
      said(name, of[name], t.value.byOwner),
    ]),
    of.priority && t.value.priority,
    of.budget !== null && t.value.budget(dollars(of.budget)),
    of.models !== null && t.value.onlyModels(of.models.join(", ")),
    of.expires_at !== null && t.value.until(dateOf(of.expires_at)),
  ].filter((part) => typeof part === "string");
  return parts.length === 0 ? (
    <span class="note">{t.value.usual}</span>
  ) : (
    <span class="two">
      {parts.map((part) => (
        <span key={part} class="wrap">
          {part}
        </span>
      ))}
    </span>
  );
}

interface LimitKeyProps {
  readonly of: Key;
  readonly onClose: () => void;
  readonly onSaved: () => void;
}

function LimitKey({ of, onClose, onSaved }: LimitKeyProps): VNode {
  const [priority, setPriority] = useState(of.priority);
  const initial = Object.fromEntries(
    LIMIT_NAMES.map((name) => [name, String(of.operator_limits[name] ?? "")]),
  ) as Record<LimitName, string>;
  const form = useForm(initial, {
    check: (typed) =>
      Object.fromEntries(
        LIMIT_NAMES.filter((name) => typed[name].trim() !== "" && !isWhole(typed[name].trim(), 0, MOST[name])).map(
          (name) => [name, admin.value.wholeNumber("0", count(MOST[name]))],
        ),
      ),
    send: async (typed) => {
      // Only what was changed: another administrator may have changed the rest meanwhile.
      const changes = LIMIT_NAMES.filter((name) => typed[name] !== initial[name]).map(
        (name) => [name, typed[name].trim() === "" ? null : Number(typed[name])] as const,
      );
      const body = { ...Object.fromEntries(changes), ...(priority !== of.priority && { priority }) };
      await call("PATCH", `/api/admin/keys/${of.public_id}`, body);
      onSaved();
    },
  });
  const field = { form, hint: t.value.limitHint, inputMode: "numeric" } as const;
  return (
    <FormDialog title={t.value.limitOf(of.name)} form={form} action={t.value.save} onClose={onClose}>
      <p>{t.value.limitText}</p>
      {LIMIT_NAMES.map((name) => (
        <Field {...field} key={name} name={name} label={t.value.limitLabels[name]} />
      ))}
      <label class="check">
        <input type="checkbox" checked={priority} onChange={(event) => setPriority(event.currentTarget.checked)} />
        {t.value.mayPriority}
      </label>
    </FormDialog>
  );
}
