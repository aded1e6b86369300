// The calls of providers that a request took, one below the other, against the time that it took.

import type { VNode } from "preact";
import { count, duration } from "../../shared/format.js";
import { Table } from "../../shared/table.js";
import { State } from "../parts.js";
import { outcomeName } from "./outcomes.js";
import type { Story } from "./request.js";
import { barsOf } from "./request.js";
import { t } from "./texts.js";

const PERCENT = 100;

export function Attempts({ of }: { readonly of: Story }): VNode {
  const { tries, duration_ms: totalMs } = of.request;
  const bars = barsOf(tries, of.queued_ms ?? 0, totalMs);
  const rows = tries.map((call, index) => ({ call, index, bar: bars[index]! }));
  const share = (ms: number): string => `${totalMs > 0 ? (ms / totalMs) * PERCENT : 0}%`;
  return (
    <Table
      caption={t.value.waterfall}
      quiet
      rows={rows}
      id={({ index }) => String(index)}
      empty={t.value.noFirst}
      columns={[
        { key: "n", head: t.value.number, names: true, cell: ({ index }) => count(index + 1) },
        { key: "provider", head: t.value.provider, cell: ({ call }) => `${call.provider} · ${call.model}` },
        {
          key: "outcome",
          head: t.value.outcome,
          cell: ({ call }) => (
            <State
              tone={call.outcome === "ok" ? "ok" : ["slower", "cancelled"].includes(call.outcome) ? "calm" : "bad"}
            >
              {outcomeName(call.outcome)}
              {call.status !== null && ` (${call.status})`}
            </State>
          ),
        },
        {
          key: "bar",
          head: duration(totalMs),
          cell: ({ call, bar }) => (
            <span class="waterfall" aria-hidden="true">
              <span
                class={call.outcome === "ok" ? "ok" : "bad"}
                style={{ left: share(bar.fromMs), width: share(bar.untilMs - bar.fromMs) }}
              />
            </span>
          ),
        },
        { key: "duration", head: t.value.duration, end: true, cell: ({ call }) => duration(call.duration_ms) },
      ]}
    />
  );
}
