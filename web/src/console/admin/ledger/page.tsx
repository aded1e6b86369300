// The check of the books: begun by a button, and what it found. The difference must read 0.

import type { VNode } from "preact";
import { useState } from "preact/hooks";
import { Problem } from "../../../shared/api.js";
import { ago, count, duration, exactDollars, moment, nanosOf } from "../../../shared/format.js";
import { call } from "../../../shared/session.js";
import { Table } from "../../../shared/table.js";
import type { Column } from "../../../shared/table.js";
import { Failure, Figure, Page, Panel, Shown, State } from "../../parts.js";
import { usePolled } from "../polled.js";
import { t as admin } from "../texts.js";
import { t } from "./texts.js";

interface Book {
  readonly book: string;
  readonly books: number;
  readonly kept: string;
  readonly booked: string;
  readonly difference: string;
}

interface Audit {
  readonly differences: number;
  readonly sentences: readonly string[];
  readonly sum: string;
  readonly books: readonly Book[];
  readonly transfers: number;
  readonly charges: number;
  readonly open_reservations: number;
}

interface Check {
  readonly began: number;
  readonly duration_ms: number;
  readonly by: string;
  readonly fault: string | null;
  readonly audit: Audit | null;
}

interface Status {
  readonly running_since: number | null;
  readonly last: Check | null;
}

const PATH = "/api/admin/ledger/check";
const POLL_S = 2;

export function LedgerCheck(): VNode {
  const status = usePolled<Status>(PATH, POLL_S);
  const [problem, setProblem] = useState<Problem | null>(null);
  const isRunning = status.data?.running_since != null;

  async function run(): Promise<void> {
    setProblem(null);
    try {
      await call<Status>("POST", PATH, {});
      status.reload();
    } catch (reason) {
      if (!(reason instanceof Problem)) throw reason;
      setProblem(reason);
    }
  }

  return (
    <Page
      title={admin.value.ledger}
      intro={t.value.intro}
      actions={
        <button
          type="button"
          class="button primary"
          aria-disabled={isRunning}
          onClick={() => {
            if (!isRunning) void run();
          }}
        >
          {isRunning ? t.value.running : t.value.run}
        </button>
      }
    >
      {problem !== null && <Failure problem={problem} onRetry={() => void run()} />}
      <Shown of={status}>
        {({ last }) => (last === null ? <div class="empty">{t.value.never}</div> : <Result of={last} />)}
      </Shown>
    </Page>
  );
}

function Result({ of }: { readonly of: Check }): VNode {
  const audit = of.audit;
  return (
    <div class="page">
      <div role="status">
        {audit === null ? (
          <div class="notice bad">
            <p>{t.value.incomplete}</p>
            <p>{of.fault}</p>
          </div>
        ) : audit.differences === 0 ? (
          <State tone="ok">{t.value.right}</State>
        ) : (
          <div class="notice bad">
            <p>{t.value.wrong}</p>
          </div>
        )}
      </div>
      {audit !== null && (
        <dl class="figures">
          <Figure
            name={t.value.difference}
            value={audit.differences === 0 ? "0" : difference(audit)}
            note={t.value.found(count(audit.differences))}
          />
          <Figure name={t.value.sum} value={exactDollars(audit.sum)} note={t.value.sumNote} />
          <Figure
            name={t.value.last}
            value={ago(of.began)}
            note={t.value.by(moment(of.began), of.by, duration(of.duration_ms))}
          />
        </dl>
      )}
      {audit !== null && <Found of={audit} />}
    </div>
  );
}

/** What the books differ by, added up; a number of places if the amounts are right. */
function difference(audit: Audit): string {
  const nanos = audit.books.reduce((sum, book) => sum + nanosOf(book.difference), 0n);
  return nanos === 0n ? count(audit.differences) : exactDollars(nanos);
}

function Found({ of }: { readonly of: Audit }): VNode {
  return (
    <>
      {of.sentences.length > 0 && (
        <Panel title={t.value.differences}>
          <ul class="found" lang="en">
            {of.sentences.map((sentence) => (
              <li key={sentence}>
                <code>{sentence}</code>
              </li>
            ))}
          </ul>
          {of.differences > of.sentences.length && <p class="note">{t.value.firstOnly}</p>}
        </Panel>
      )}
      <Panel title={t.value.books}>
        <Table
          caption={t.value.books}
          quiet
          columns={columns()}
          rows={of.books}
          id={(book) => book.book}
          empty={t.value.never}
          marked={(book) => nanosOf(book.difference) !== 0n}
        />
        <dl class="facts">
          <dt>{t.value.transfers}</dt>
          <dd>{count(of.transfers)}</dd>
          <dt>{t.value.charges}</dt>
          <dd>{count(of.charges)}</dd>
          <dt>{t.value.open}</dt>
          <dd>{count(of.open_reservations)}</dd>
        </dl>
      </Panel>
    </>
  );
}

function columns(): Column<Book>[] {
  return [
    {
      key: "book",
      head: t.value.book,
      names: true,
      cell: (book) => (
        <>
          {nameOf(book.book)} <code class="note">{book.book}</code>
        </>
      ),
    },
    {
      key: "difference",
      head: t.value.difference,
      end: true,
      cell: (book) =>
        nanosOf(book.difference) === 0n ? "0" : <State tone="bad">{exactDollars(book.difference)}</State>,
    },
    { key: "kept", head: t.value.kept, end: true, cell: (book) => exactDollars(book.kept) },
    { key: "booked", head: t.value.booked, end: true, cell: (book) => exactDollars(book.booked) },
    { key: "count", head: t.value.count, end: true, cell: (book) => count(book.books) },
  ];
}

function nameOf(book: string): string {
  const names: Readonly<Record<string, string>> = {
    accounts: t.value.accounts,
    "account:operator": t.value.operatorBook,
    revenue: t.value.revenue,
    shortfall: t.value.shortfall,
    "issued:signup": t.value.issuedSignup,
    "issued:grant": t.value.issuedGrant,
    "issued:voucher": t.value.issuedVoucher,
  };
  if (book.startsWith("paid:")) return t.value.paid(book.slice("paid:".length));
  return names[book] ?? book;
}
