// Tables: with a caption and scopes, figures to the right, and sideways scrolling inside, so that
// the page itself never scrolls sideways.

import type { ComponentChildren, VNode } from "preact";
import { useState } from "preact/hooks";

export interface Column<Row> {
  readonly key: string;
  readonly head: string;
  readonly cell: (row: Row) => ComponentChildren;
  /** Figures. */
  readonly end?: boolean;
  /** The cell that names its row. */
  readonly names?: boolean;
  /** By what the column can be sorted; without it, it cannot. */
  readonly sort?: (row: Row) => string | number | bigint;
}

interface TableProps<Row> {
  readonly caption: string;
  readonly columns: readonly Column<Row>[];
  readonly rows: readonly Row[];
  readonly id: (row: Row) => string;
  /** What is said where there are no rows. */
  readonly empty: ComponentChildren;
  /** The caption is there for screen readers alone: a heading says the same. */
  readonly quiet?: boolean;
  /** The cells of a last row of sums, by column. */
  readonly sums?: Readonly<Record<string, ComponentChildren>>;
  readonly marked?: (row: Row) => boolean;
}

interface Order {
  readonly key: string;
  readonly falling: boolean;
}

/** A table; by clicking the head of a column that can be sorted, it is: falling first, then rising. */
export function Table<Row>(props: TableProps<Row>): VNode {
  const [order, setOrder] = useState<Order | null>(null);
  if (props.rows.length === 0) return <div class="empty">{props.empty}</div>;
  const rows = sorted(props, order);
  return (
    <div class="table" role="group" aria-label={props.caption} tabIndex={0}>
      <table>
        <caption class={props.quiet ? "unseen" : undefined}>{props.caption}</caption>
        <thead>
          <tr>
            {props.columns.map((column) => (
              <Head key={column.key} column={column} order={order} onOrder={setOrder} />
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={props.id(row)} class={props.marked?.(row) ? "marked" : undefined}>
              {props.columns.map((column) =>
                column.names ? (
                  <th key={column.key} scope="row">
                    {column.cell(row)}
                  </th>
                ) : (
                  <td key={column.key} class={column.end ? "end" : undefined}>
                    {column.cell(row)}
                  </td>
                ),
              )}
            </tr>
          ))}
        </tbody>
        {props.sums !== undefined && (
          <tfoot>
            <tr>
              {props.columns.map((column) =>
                column.names ? (
                  <th key={column.key} scope="row">
                    {props.sums![column.key]}
                  </th>
                ) : (
                  <td key={column.key} class={column.end ? "end" : undefined}>
                    {props.sums![column.key]}
                  </td>
                ),
              )}
            </tr>
          </tfoot>
        )}
      </table>
    </div>
  );
}

interface HeadProps<Row> {
  readonly column: Column<Row>;
  readonly order: Order | null;
  readonly onOrder: (order: Order) => void;
}

function Head<Row>({ column, order, onOrder }: HeadProps<Row>): VNode {
  const end = column.end ? "end" : undefined;
  if (column.sort === undefined) {
    return (
      <th scope="col" class={end}>
        {column.head}
      </th>
    );
  }
  const own = order?.key === column.key ? order : null;
  const state = own === null ? "none" : own.falling ? "descending" : "ascending";
  return (
    <th scope="col" class={end} aria-sort={state}>
      <button type="button" class="sort" onClick={() => onOrder({ key: column.key, falling: !own?.falling })}>
        {column.head}
        <span aria-hidden="true">{own === null ? "↕" : own.falling ? "↓" : "↑"}</span>
      </button>
    </th>
  );
}

function sorted<Row>(props: TableProps<Row>, order: Order | null): readonly Row[] {
  const by = props.columns.find((column) => column.key === order?.key)?.sort;
  if (by === undefined || order === null) return props.rows;
  const sign = order.falling ? -1 : 1;
  return [...props.rows].sort((one, other) => {
    const [a, b] = [by(one), by(other)];
    return a < b ? -sign : a > b ? sign : 0;
  });
}
