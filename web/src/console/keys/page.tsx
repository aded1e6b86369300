// API keys: what there are, what they may, and making and revoking them.

import type { VNode } from "preact";
import { useState } from "preact/hooks";
import { ago, count, dateOf, dollars, exactDollars, moment } from "../../shared/format.js";
import { useLoad } from "../../shared/load.js";
import { call } from "../../shared/session.js";
import { Table } from "../../shared/table.js";
import type { Column } from "../../shared/table.js";
import { Confirm, Page, Shown, State } from "../parts.js";
import { CreateKey, EditKey, NewKey } from "./dialogs.js";
import { limitWords } from "./limit_words.js";
import type { Key } from "./terms.js";
import { NUMBERS, stateOf } from "./terms.js";
import { t } from "./texts.js";

type Open =
  | { readonly what: "create" }
  | { readonly what: "made"; readonly text: string }
  | { readonly what: "edit" | "revoke"; readonly key: Key };

export function Keys(): VNode {
  const keys = useLoad<{ data: Key[] }>("/api/keys");
  const [open, setOpen] = useState<Open | null>(null);
  const [all, setAll] = useState(false);
  const close = (): void => setOpen(null);
  return (
    <Page
      title={t.value.title}
      intro={t.value.intro}
      actions={
        <button type="button" class="button primary" onClick={() => setOpen({ what: "create" })}>
          {t.value.create}
        </button>
      }
    >
      <Shown of={keys}>{({ data }) => <KeyTable keys={data} all={all} onAll={setAll} onOpen={setOpen} />}</Shown>
      {open?.what === "create" && (
        <CreateKey
          onClose={close}
          onMade={(text) => {
            setOpen({ what: "made", text });
            keys.reload();
          }}
        />
      )}
      {open?.what === "made" && <NewKey text={open.text} onClose={close} />}
      {open?.what === "edit" && (
        <EditKey
          of={open.key}
          onClose={close}
          onSaved={() => {
            close();
            keys.reload();
          }}
        />
      )}
      {open?.what === "revoke" && (
        <Confirm
          title={t.value.revokeTitle(open.key.name)}
          action={t.value.revoke}
          onClose={close}
          onConfirm={async () => {
            await call("DELETE", `/api/keys/${open.key.public_id}`, {});
            close();
            keys.reload();
          }}
        >
          <p>{t.value.revokeText}</p>
        </Confirm>
      )}
    </Page>
  );
}

interface KeyTableProps {
  readonly keys: readonly Key[];
  readonly all: boolean;
  readonly onAll: (all: boolean) => void;
  readonly onOpen: (open: Open) => void;
}

function KeyTable({ keys, all, onAll, onOpen }: KeyTableProps): VNode {
  const revoked = keys.filter((key) => key.revoked !== null).length;
  const shown = all ? keys : keys.filter((key) => key.revoked === null);
  return (
    <div class="stack">
      <Table
        caption={t.value.title}
        quiet
        columns={columns(onOpen)}
        rows={[...shown].reverse()}
        id={(key) => key.public_id}
        empty={t.value.empty}
      />
      {revoked > 0 && (
        <label class="check">
          <input type="checkbox" checked={all} onChange={(event) => onAll(event.currentTarget.checked)} />
          {t.value.showRevoked(count(revoked))}
        </label>
      )}
    </div>
  );
}

function columns(onOpen: (open: Open) => void): Column<Key>[] {
  return [
    {
      key: "name",
      head: t.value.name,
      names: true,
      cell: (key) => (
        <span class="two">
          <span class="wrap narrow">{key.name}</span>
          <code>tf_{key.public_id}_…</code>
        </span>
      ),
    },
    { key: "state", head: t.value.state, cell: (key) => <KeyMark of={key} /> },
    {
      key: "used",
      head: t.value.lastUsed,
      sort: (key) => key.last_used ?? 0,
      cell: (key) =>
        key.last_used === null ? (
          <span class="note">{t.value.never}</span>
        ) : (
          <span title={moment(key.last_used)}>{ago(key.last_used)}</span>
        ),
    },
    {
      key: "spent",
      head: t.value.spent,
      end: true,
      cell: (key) => (
        <>
          <span title={exactDollars(key.spent)}>{dollars(key.spent)}</span>
          {key.budget !== null && <span class="note"> {t.value.of(dollars(key.budget))}</span>}
        </>
      ),
    },
    { key: "limits", head: t.value.limits, cell: (key) => <Limits of={key} /> },
    { key: "created", head: t.value.created, cell: (key) => dateOf(key.created) },
    {
      key: "actions",
      head: t.value.actions,
      cell: (key) =>
        key.revoked === null && (
          <span class="row-actions">
            <button
              type="button"
              class="button small"
              aria-label={t.value.editOf(key.name)}
              onClick={() => onOpen({ what: "edit", key })}
            >
              {t.value.edit}
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

function KeyMark({ of }: { readonly of: Key }): VNode {
  const state = stateOf(of);
  return <State tone={state === "active" ? "ok" : state === "expired" ? "warn" : "calm"}>{t.value[state]}</State>;
}

function Limits({ of }: { readonly of: Key }): VNode {
  const parts = [
    ...NUMBERS.map((name) => limitWords(of, name)),
    of.models !== null && t.value.onlyModels(of.models.join(", ")),
    of.expires_at !== null && `${t.value.goodUntil} ${dateOf(of.expires_at)}`,
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
