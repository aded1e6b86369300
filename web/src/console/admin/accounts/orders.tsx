// An account's orders of credit; the payment provider can be asked, and money can be given back.

import type { VNode } from "preact";
import { useState } from "preact/hooks";
import { Problem } from "../../../shared/api.js";
import { dollars, exactDollars, moment, price } from "../../../shared/format.js";
import { call } from "../../../shared/session.js";
import { Table } from "../../../shared/table.js";
import type { Column } from "../../../shared/table.js";
import { Pages } from "../../pages.js";
import { Failure, Panel } from "../../parts.js";
import { t as admin } from "../texts.js";
import { Accept, Close, decisionsOf, GiveUp } from "./decide.js";
import type { Decision } from "./decide.js";
import { Refund, typedMinor } from "./refund.js";
import { t } from "./texts.js";

export interface Order {
  readonly id: string;
  readonly provider: string;
  readonly state: string;
  readonly currency: string;
  readonly amount: string;
  readonly amount_minor: number;
  readonly credited: string;
  readonly refunded_minor: number;
  readonly detail: string;
  readonly created: number;
  /** What was paid, where that is not what was ordered. */
  readonly paid: {
    readonly currency: string;
    readonly amount: string;
    readonly amount_minor: number;
    readonly credit: string | null;
  } | null;
  readonly pending_minor: number;
  readonly given_up_minor: number;
  readonly late_minor: number;
}

interface OrdersProps {
  readonly account: string;
  readonly onChanged: () => void;
}

export function Orders({ account, onChanged }: OrdersProps): VNode {
  const [deciding, setDeciding] = useState<{ order: Order; decision: Decision } | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);

  async function check(order: Order): Promise<void> {
    setProblem(null);
    try {
      await call("POST", `/api/admin/topups/${encodeURIComponent(order.id)}/check`, {});
      onChanged();
    } catch (reason) {
      if (!(reason instanceof Problem)) throw reason;
      setProblem(reason);
    }
  }

  return (
    <Panel title={t.value.orders}>
      {problem !== null && <Failure problem={problem} />}
      <Pages<Order> path="/api/admin/topups" query={{ limit: "20", account }}>
        {(rows) => (
          <Table
            caption={t.value.orders}
            quiet
            columns={columns(
              (order) => void check(order),
              (order, decision) => setDeciding({ order, decision }),
            )}
            rows={rows}
            id={(order) => order.id}
            empty={t.value.ordersEmpty}
          />
        )}
      </Pages>
      {deciding !== null && (
        <Dialog
          of={deciding.order}
          decision={deciding.decision}
          onClose={() => setDeciding(null)}
          onDone={() => {
            setDeciding(null);
            onChanged();
          }}
        />
      )}
    </Panel>
  );
}

interface DialogProps {
  readonly of: Order;
  readonly decision: Decision;
  readonly onClose: () => void;
  readonly onDone: () => void;
}

function Dialog({ of, decision, onClose, onDone }: DialogProps): VNode {
  switch (decision) {
    case "accept":
      return <Accept of={of} onClose={onClose} onDone={onDone} />;
    case "close":
      return <Close of={of} onClose={onClose} onDone={onDone} />;
    case "give-up":
      return <GiveUp of={of} onClose={onClose} onDone={onDone} />;
    case "refund":
      return <Refund of={of} onClose={onClose} onRefunded={onDone} />;
  }
}

/** What has become of refunds that nobody waits for any more. */
function givenUp(order: Order): string {
  const amount = (minor: number): string => price(order.currency, typedMinor(order.currency, minor));
  const texts = [];
  if (order.given_up_minor > 0) texts.push(t.value.givenUp(amount(order.given_up_minor)));
  if (order.late_minor > 0) texts.push(t.value.late(amount(order.late_minor)));
  return texts.join(" ");
}

function columns(
  onCheck: (order: Order) => void,
  onDecide: (order: Order, decision: Decision) => void,
): Column<Order>[] {
  return [
    { key: "order", head: t.value.order, names: true, cell: (order) => <code>{order.id}</code> },
    { key: "time", head: t.value.time, cell: (order) => moment(order.created) },
    { key: "provider", head: t.value.provider, cell: (order) => order.provider },
    {
      key: "state",
      head: t.value.state,
      cell: (order) => (
        <>
          {t.value.orderState(order.state)} {order.detail !== "" && <span class="note">{order.detail}</span>}{" "}
          {givenUp(order) !== "" && <span class="note">{givenUp(order)}</span>}
        </>
      ),
    },
    { key: "paid", head: t.value.paid, end: true, cell: (order) => price(order.currency, order.amount) },
    {
      key: "credited",
      head: t.value.credited,
      end: true,
      cell: (order) => <span title={exactDollars(order.credited)}>{dollars(order.credited)}</span>,
    },
    {
      key: "actions",
      head: admin.value.actions,
      cell: (order) => (
        <span class="row-actions">
          <button
            type="button"
            class="button small"
            aria-label={t.value.checkOf(order.id)}
            onClick={() => onCheck(order)}
          >
            {t.value.check}
          </button>
          {decisionsOf(order).map((decision) => (
            <button
              key={decision}
              type="button"
              class={decision === "accept" ? "button small" : "button small danger"}
              aria-label={t.value.decideOf[decision](order.id)}
              onClick={() => onDecide(order, decision)}
            >
              {t.value.decideDo[decision]}
            </button>
          ))}
        </span>
      ),
    },
  ];
}
