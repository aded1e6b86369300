// The operator's own prices.

import type { VNode } from "preact";
import { count, exactDollars, UNKNOWN } from "../../../shared/format.js";
import { Table } from "../../../shared/table.js";
import type { Column } from "../../../shared/table.js";
import { State } from "../../parts.js";
import type { Tone } from "../../parts.js";
import { t as admin } from "../texts.js";
import type { OwnPrice } from "./prices.js";
import { t } from "./texts.js";

const TONES: Readonly<Record<OwnPrice["state"], Tone>> = { counts: "ok", coming: "warn", replaced: "calm" };

interface OwnPricesProps {
  readonly of: readonly OwnPrice[];
  readonly total: number;
  readonly onRemove: (price: OwnPrice) => void;
}

export function OwnPrices({ of, total, onRemove }: OwnPricesProps): VNode {
  return (
    <div class="stack wide">
      <Table
        caption={t.value.ownPrices}
        quiet
        columns={columns(onRemove)}
        rows={of}
        id={(price) => `${price.name} ${price.valid_from}`}
        empty={t.value.ownEmpty}
      />
      {total > of.length && <p class="note">{t.value.firstOf(count(of.length), count(total))}</p>}
    </div>
  );
}

function columns(onRemove: (price: OwnPrice) => void): Column<OwnPrice>[] {
  return [
    { key: "model", head: t.value.model, names: true, cell: (price) => price.name },
    { key: "state", head: t.value.state, cell: (price) => <Mark of={price} /> },
    { key: "from", head: t.value.validFrom, cell: (price) => price.valid_from ?? UNKNOWN },
    { key: "input", head: t.value.input, end: true, cell: (price) => exactDollars(price.rates["input"]) },
    {
      key: "cached",
      head: t.value.cached,
      end: true,
      cell: (price) => exactDollars(price.rates["cached_input"] ?? price.rates["input"]),
    },
    { key: "output", head: t.value.output, end: true, cell: (price) => exactDollars(price.rates["output"]) },
    { key: "source", head: t.value.source, cell: (price) => <span class="wrap narrow">{sourceOf(price)}</span> },
    {
      key: "actions",
      head: admin.value.actions,
      cell: (price) => (
        <button
          type="button"
          class="button small danger"
          aria-label={t.value.removeOf(`${price.name} ${price.valid_from ?? ""}`)}
          onClick={() => onRemove(price)}
        >
          {t.value.remove}
        </button>
      ),
    },
  ];
}

/** Where a price is from. What the gateway itself has written down is said in the page's language. */
function sourceOf({ source }: OwnPrice): string {
  const day = /^set (\d{4}-\d{2}-\d{2})$/.exec(source)?.[1];
  return day === undefined ? source : t.value.setOn(day);
}

function Mark({ of }: { readonly of: OwnPrice }): VNode {
  return <State tone={TONES[of.state]}>{of.state === "coming" ? t.value.comingState : t.value[of.state]}</State>;
}
