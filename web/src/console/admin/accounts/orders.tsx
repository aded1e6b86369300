// An account's orders of credit; the payment provider can be asked, and money can be given back.

import type { VNode } from "preact";
import { useState } from "preact/hooks";
import { Problem } from "../../../shared/api.js";
import { dollars, exactDollars, moment, price, UNKNOWN } from "../../../shared/format.js";
import { call } from "../../../shared/session.js";
import { Table } from "../../../shared/table.js";
import type { Column } from "../../../shared/table.js";
import { Pages } from "../../pages.js";
import { Failure, Panel } from "../../parts.js";
import { t as admin } from "../texts.js";
import { Refund } from "./refund.js";
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
}

interface OrdersProps {
  readonly account: string;
  readonly onChanged: () => void;
}

export function Orders({ account, onChanged }: OrdersProps): VNode {
  const [refunding, setRefunding] = useState<Order | null>(null);
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
            columns={columns((order) => void check(order), setRefunding)}
            rows={rows}
            id={(order) => order.id}
            empty={t.value.ordersEmpty}
          />
        )}
      </Pages>
      {refunding !== null && (
        <Refund
          of={refunding}
          onClose={() => setRefunding(null)}
          onRefunded={() => {
            setRefunding(null);
            onChanged();
          }}
        />
      )}
    </Panel>
  );
}

function columns(onCheck: (order: Order) => void, onRefund: (order: Order) => void): Column<Order>[] {
  return [
    { key: "order", head: t.value.order, names: true, cell: (order) => <code>{order.id}</code> },
    { key: "time", head: t.value.time, cell: (order) => moment(order.created) },
    { key: "provider", head: t.value.provider, cell: (order) => order.provider },
    {
      key: "state",
      head: t.value.state,
      cell: (order) => (
        <>
          {t.value.orderState(order.state)} {order.detail !== "" && <span class="note">{order.detail}</span>}
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
          {order.credited === "0.00" ? (
            UNKNOWN
          ) : (
            <button
              type="button"
              class="button small danger"
              aria-label={t.value.refundOf(order.id)}
              onClick={() => onRefund(order)}
            >
              {t.value.refundDo}
            </button>
          )}
        </span>
      ),
    },
  ];
}
