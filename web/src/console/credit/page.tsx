// The balance, buying credit, orders and what has become of them, and the ledger's lines.

import type { VNode } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Problem } from "../../shared/api.js";
import { count, dollars, exactDollars, moment, nanosOf, price, zone } from "../../shared/format.js";
import { language } from "../../shared/language.js";
import { useLoad } from "../../shared/load.js";
import { call } from "../../shared/session.js";
import { Table } from "../../shared/table.js";
import { Failure, Figure, Page, Panel, Shown, State } from "../parts.js";
import { Pages } from "../pages.js";
import { useQuery } from "../query.js";
import type { Balance, Entry, Options, Order } from "./order.js";
import { mayBePaid, mayChange, sellerName, shownState, toneOf } from "./order.js";
import { kindName, t } from "./texts.js";
import { TopUp } from "./top_up.js";

const ORDERS_MAX = 20;

export function Credit(): VNode {
  const [query] = useQuery();
  const balance = useLoad<Balance>("/api/balance");
  const options = useLoad<Options>("/api/topups/options");
  const orders = useLoad<{ data: Order[] }>(`/api/topups?limit=${ORDERS_MAX}`);
  // Anew when something was credited.
  const [round, setRound] = useState(0);
  const changed = (): void => {
    balance.reload();
    orders.reload();
    setRound((last) => last + 1);
  };
  return (
    <Page title={t.value.title} actions={<a href="/console/vouchers">{t.value.voucher}</a>}>
      {query["order"] !== undefined && <Returned id={query["order"]} onChanged={changed} />}
      <Shown of={balance}>
        {(now) => (
          <dl class="figures">
            <Figure
              name={t.value.available}
              value={dollars(now.available)}
              exact={exactDollars(now.available)}
              note={t.value.availableNote}
            />
            <Figure
              name={t.value.held}
              value={dollars(now.held)}
              exact={exactDollars(now.held)}
              note={t.value.heldNote}
            />
            <Figure name={t.value.balance} value={dollars(now.balance)} exact={exactDollars(now.balance)} />
          </dl>
        )}
      </Shown>
      <Panel title={t.value.topUp}>
        <Shown of={options}>{(sold) => <TopUp options={sold} />}</Shown>
      </Panel>
      <Shown of={orders}>
        {({ data }) =>
          data.length > 0 && (
            <Panel title={t.value.orders}>
              <Orders orders={data} marked={query["order"]} onChanged={changed} />
            </Panel>
          )
        }
      </Shown>
      <Panel title={t.value.entries}>
        <Entries key={round} />
      </Panel>
    </Page>
  );
}

/** Somebody comes back from paying: the provider is asked what has become of it. */
function Returned({ id, onChanged }: { readonly id: string; readonly onChanged: () => void }): VNode | null {
  const [order, setOrder] = useState<Order | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  useEffect(() => {
    known(id).then(
      (order) => {
        setOrder(order);
        onChanged();
      },
      (reason: unknown) => {
        if (!(reason instanceof Problem)) throw reason;
        setProblem(reason);
      },
    );
  }, [id]);
  if (problem !== null) return <Failure problem={problem} />;
  if (order === null) return null;
  const state = shownState(order, Date.now());
  const tone = toneOf(state);
  return (
    <div class={`notice ${tone === "calm" ? "" : tone}`} role="status">
      {state === "paid" ? t.value.returnedPaid(dollars(order.credited)) : t.value.returned(t.value[state])}
    </div>
  );
}

/** The order as it is; the provider is asked only if it may know more than we do. */
async function known(id: string): Promise<Order> {
  const order = await call<Order>("GET", `/api/topups/${encodeURIComponent(id)}`);
  return mayChange(order.state) ? checked(id) : order;
}

function checked(id: string): Promise<Order> {
  return call<Order>("POST", `/api/topups/${encodeURIComponent(id)}/check`, {});
}

interface OrdersProps {
  readonly orders: readonly Order[];
  readonly marked: string | undefined;
  readonly onChanged: () => void;
}

function Orders({ orders, marked, onChanged }: OrdersProps): VNode {
  const korean = language.value === "ko";
  const [problem, setProblem] = useState<Problem | null>(null);
  const check = async (id: string): Promise<void> => {
    try {
      setProblem(null);
      await checked(id);
      onChanged();
    } catch (reason) {
      if (!(reason instanceof Problem)) throw reason;
      setProblem(reason);
    }
  };
  return (
    <>
      {problem !== null && <Failure problem={problem} />}
      <Table
        caption={t.value.orders}
        quiet
        rows={orders}
        id={(order) => order.id}
        marked={(order) => order.id === marked}
        empty={t.value.ordersEmpty}
        columns={[
          {
            key: "time",
            head: t.value.time(zone()),
            names: true,
            cell: (order) => (
              <span class="two">
                {moment(order.created)}
                <code>{order.id}</code>
              </span>
            ),
          },
          {
            key: "state",
            head: t.value.state,
            cell: (order) => {
              const state = shownState(order, Date.now());
              const note = state === "expired" ? t.value.orderAgain : order.detail;
              return (
                <>
                  <State tone={toneOf(state)}>{t.value[state]}</State>
                  {note !== "" && <span class="note wrap"> {note}</span>}
                </>
              );
            },
          },
          { key: "price", head: t.value.price, end: true, cell: (order) => price(order.currency, order.amount) },
          {
            key: "credited",
            head: t.value.credited,
            end: true,
            cell: (order) => <span title={exactDollars(order.credited)}>{dollars(order.credited)}</span>,
          },
          {
            key: "provider",
            head: t.value.provider,
            cell: (order) => (
              <>
                {sellerName(order.provider, korean)}
                {!order.live && <span class="note"> ({t.value.test})</span>}
              </>
            ),
          },
          {
            key: "actions",
            head: t.value.actions,
            cell: (order) => (
              <span class="row-actions">
                {mayBePaid(order, Date.now()) && (
                  <a class="button small" href={`/pay/${order.id}`} aria-label={t.value.payOf(order.id)}>
                    {t.value.payNow}
                  </a>
                )}
                {mayChange(order.state) && (
                  <button
                    type="button"
                    class="button small"
                    aria-label={t.value.checkOf(order.id)}
                    onClick={() => void check(order.id)}
                  >
                    {t.value.check}
                  </button>
                )}
              </span>
            ),
          },
        ]}
      />
    </>
  );
}

function Entries(): VNode {
  return (
    <Pages<Entry> path="/api/ledger" query={{ limit: "50" }}>
      {(entries) => (
        <Table
          caption={t.value.entries}
          quiet
          rows={entries}
          id={(entry) => String(entry.number)}
          empty={t.value.entriesEmpty}
          columns={[
            { key: "number", head: t.value.number, names: true, cell: (entry) => count(entry.number) },
            { key: "time", head: t.value.time(zone()), cell: (entry) => moment(entry.created) },
            { key: "kind", head: t.value.kind, cell: (entry) => kindName(entry.kind) },
            {
              key: "amount",
              head: t.value.amount,
              end: true,
              cell: (entry) => (
                <span title={exactDollars(entry.amount)}>
                  {nanosOf(entry.amount) > 0n ? "+" : ""}
                  {dollars(entry.amount, 6)}
                </span>
              ),
            },
            {
              key: "reference",
              head: t.value.reference,
              cell: (entry) => (
                <span class="two">
                  <Reference of={entry} />
                  {entry.note !== "" && <span class="note wrap">{entry.note}</span>}
                </span>
              ),
            },
          ]}
        />
      )}
    </Pages>
  );
}

function Reference({ of }: { readonly of: Entry }): VNode {
  return of.kind === "usage" ? (
    <a href={`/console/requests/${encodeURIComponent(of.reference)}`}>
      <code>{of.reference}</code>
    </a>
  ) : (
    <code>{of.reference}</code>
  );
}
