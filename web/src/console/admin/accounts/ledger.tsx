// An account's entries of the books, the newest first.

import type { VNode } from "preact";
import { exactDollars, moment } from "../../../shared/format.js";
import { Table } from "../../../shared/table.js";
import type { Column } from "../../../shared/table.js";
import { Pages } from "../../pages.js";
import { Panel } from "../../parts.js";
import { t } from "./texts.js";

interface Entry {
  readonly number: number;
  readonly kind: string;
  readonly reference: string;
  readonly amount: string;
  readonly created: number;
  readonly note: string;
}

export function Ledger({ account }: { readonly account: string }): VNode {
  return (
    <Panel title={t.value.ledger}>
      <Pages<Entry> path={`/api/admin/accounts/${encodeURIComponent(account)}/ledger`} query={{ limit: "20" }}>
        {(rows) => (
          <Table
            caption={t.value.ledger}
            quiet
            columns={columns()}
            rows={rows}
            id={(entry) => String(entry.number)}
            empty={t.value.ledgerEmpty}
          />
        )}
      </Pages>
    </Panel>
  );
}

function columns(): Column<Entry>[] {
  return [
    { key: "number", head: t.value.number, names: true, cell: (entry) => String(entry.number) },
    { key: "time", head: t.value.time, cell: (entry) => moment(entry.created) },
    { key: "kind", head: t.value.kind, cell: (entry) => kindOf(entry.kind) },
    {
      key: "amount",
      head: t.value.amount,
      end: true,
      cell: (entry) => exactDollars(entry.amount),
    },
    { key: "note", head: t.value.note, cell: (entry) => <span class="wrap narrow">{entry.note}</span> },
    { key: "reference", head: t.value.reference, cell: (entry) => <code>{entry.reference}</code> },
  ];
}

function kindOf(kind: string): string {
  const names: Readonly<Record<string, string>> = {
    signup: t.value.signup,
    grant: t.value.grantKind,
    withdrawal: t.value.withdrawal,
    voucher: t.value.voucher,
    topup: t.value.topup,
    refund: t.value.refund,
    chargeback: t.value.chargeback,
    usage: t.value.usage,
    shortfall: t.value.shortfall,
  };
  return names[kind] ?? kind;
}
