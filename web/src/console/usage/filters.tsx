// Which days, which model, which key, and what the chart shows; all of it in the address.

import type { VNode } from "preact";
import type { Key } from "../keys/terms.js";
import { Choice, Day } from "../filters.js";
import type { Query } from "../query.js";
import type { Span } from "./periods.js";
import { PERIODS } from "./periods.js";
import type { Metric } from "./series.js";
import { METRICS } from "./series.js";
import { t } from "./texts.js";

interface UsageFiltersProps {
  readonly query: Query;
  readonly span: Span;
  readonly metric: Metric;
  readonly keys: readonly Key[];
  readonly models: readonly string[];
  readonly onChange: (changes: Query) => void;
}

export function UsageFilters({ query, span, metric, keys, models, onChange }: UsageFiltersProps): VNode {
  const model = query["model"] ?? "";
  const known = model === "" || models.includes(model) ? models : [model, ...models];
  return (
    <div class="filters" role="group" aria-label={t.value.period}>
      <Choice
        label={t.value.period}
        value={span.period}
        choices={PERIODS.map((period) => [period, t.value[period]])}
        onChange={(period) =>
          onChange(period === "own" ? { period: "", from: span.from, to: span.to } : { period, from: "", to: "" })
        }
      />
      {span.period === "own" && (
        <>
          <Day label={t.value.from} value={span.from} max={span.to} onChange={(from) => onChange({ from })} />
          <Day label={t.value.to} value={span.to} min={span.from} onChange={(to) => onChange({ to })} />
        </>
      )}
      <Choice
        label={t.value.model}
        value={model}
        choices={[["", t.value.all], ...known.map((name) => [name, name] as const)]}
        onChange={(next) => onChange({ model: next })}
      />
      <Choice
        label={t.value.key}
        value={query["key"] ?? ""}
        choices={[["", t.value.all], ...keys.map((key) => [key.public_id, key.name] as const)]}
        onChange={(key) => onChange({ key })}
      />
      <Choice
        label={t.value.shown}
        value={metric}
        choices={METRICS.map((name) => [name, t.value[name]])}
        onChange={(chart) => onChange({ chart })}
      />
    </div>
  );
}
