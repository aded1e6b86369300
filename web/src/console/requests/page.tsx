// The list of requests: filters in the address, requests by day, and the rows themselves.

import type { VNode } from "preact";
import { useMemo } from "preact/hooks";
import { count, dollars, duration, exactDollars, moment, zone } from "../../shared/format.js";
import { useLoad } from "../../shared/load.js";
import { Table } from "../../shared/table.js";
import type { Column } from "../../shared/table.js";
import { Choice, Day } from "../filters.js";
import type { Key } from "../keys/terms.js";
import { Page, State } from "../parts.js";
import { Pages } from "../pages.js";
import { useQuery, withQuery } from "../query.js";
import type { Query } from "../query.js";
import { LazyChart } from "../usage/lazy_chart.js";
import type { Span } from "../usage/periods.js";
import { PERIODS, dayAt, daysOf, spanOf } from "../usage/periods.js";
import type { UsageList } from "../usage/series.js";
import { everyDay } from "../usage/series.js";
import { t as usage } from "../usage/texts.js";
import type { Request } from "./request.js";
import { STATUSES, csvPath, filterOf, toneOf } from "./request.js";
import { t } from "./texts.js";

export function Requests(): VNode {
  const [query, change] = useQuery();
  const span = spanOf(query, Date.now());
  const filter = filterOf(query, span.from, span.to);
  const keys = useLoad<{ data: Key[] }>("/api/keys");
  const names = new Map((keys.data?.data ?? []).map((key) => [key.public_id, key.name]));
  return (
    <Page
      title={t.value.title}
      intro={t.value.intro}
      actions={
        <a class="button" href={csvPath(filter)} download="requests.csv">
          {t.value.csv}
        </a>
      }
    >
      <Filters query={query} span={span} keys={keys.data?.data ?? []} onChange={change} />
      <Histogram query={query} span={span} onDay={(day) => change({ period: "", from: day, to: day })} />
      <Pages<Request> key={JSON.stringify(filter)} path="/api/requests" query={{ ...filter, limit: "50" }}>
        {(rows) => (
          <Table
            caption={t.value.title}
            quiet
            rows={rows}
            id={(row) => row.stream_id}
            empty={
              <>
                <p>{t.value.empty}</p>
                <a href="/console/requests">{t.value.reset}</a>
              </>
            }
            columns={columns(names)}
          />
        )}
      </Pages>
    </Page>
  );
}

function columns(names: ReadonlyMap<string, string>): Column<Request>[] {
  return [
    {
      key: "time",
      head: t.value.time(zone()),
      names: true,
      cell: (row) => <a href={`/console/requests/${encodeURIComponent(row.stream_id)}`}>{moment(row.created)}</a>,
    },
    {
      key: "status",
      head: t.value.status,
      cell: (row) => (
        <span title={row.error_code ?? row.finish_reason}>
          <State tone={toneOf(row.status)}>{t.value[row.status]}</State>
        </span>
      ),
    },
    {
      key: "model",
      head: t.value.model,
      cell: (row) => (
        <span class="two">
          {row.model}
          {row.provider !== "" && <span class="note">{row.provider}</span>}
        </span>
      ),
    },
    { key: "key", head: t.value.key, cell: (row) => names.get(row.key) ?? row.key },
    {
      key: "tokens",
      head: t.value.tokens,
      end: true,
      cell: (row) => `${count(row.prompt_tokens)} → ${count(row.completion_tokens)}`,
    },
    {
      key: "cost",
      head: t.value.cost,
      end: true,
      cell: (row) => <span title={exactDollars(row.cost)}>{dollars(row.cost, 6)}</span>,
    },
    { key: "first", head: t.value.firstToken, end: true, cell: (row) => duration(row.first_token_ms) },
    { key: "total", head: t.value.total, end: true, cell: (row) => duration(row.duration_ms) },
    { key: "attempts", head: t.value.attempts, end: true, cell: (row) => count(row.attempts) },
  ];
}

interface FiltersProps {
  readonly query: Query;
  readonly span: Span;
  readonly keys: readonly Key[];
  readonly onChange: (changes: Query) => void;
}

function Filters({ query, span, keys, onChange }: FiltersProps): VNode {
  // The models of the last months, whatever is chosen.
  const models = useLoad<UsageList>(
    withQuery("/api/usage", { by: "model", from: spanOf({ period: "90" }, Date.now()).from }),
  );
  const model = query["model"] ?? "";
  const known = (models.data?.data ?? []).map((row) => row.group);
  return (
    <div class="filters" role="group" aria-label={t.value.title}>
      <Choice
        label={usage.value.period}
        value={span.period}
        choices={PERIODS.map((period) => [period, usage.value[period]])}
        onChange={(period) =>
          onChange(period === "own" ? { period: "", from: span.from, to: span.to } : { period, from: "", to: "" })
        }
      />
      {span.period === "own" && (
        <>
          <Day label={usage.value.from} value={span.from} max={span.to} onChange={(from) => onChange({ from })} />
          <Day label={usage.value.to} value={span.to} min={span.from} onChange={(to) => onChange({ to })} />
        </>
      )}
      <Choice
        label={t.value.status}
        value={query["status"] ?? ""}
        choices={[["", t.value.all], ...STATUSES.map((status) => [status, t.value[status]] as const)]}
        onChange={(status) => onChange({ status })}
      />
      <Choice
        label={t.value.model}
        value={model}
        choices={[
          ["", t.value.all],
          ...(model === "" || known.includes(model) ? known : [model, ...known]).map((name) => [name, name] as const),
        ]}
        onChange={(next) => onChange({ model: next })}
      />
      <Choice
        label={t.value.key}
        value={query["key"] ?? ""}
        choices={[["", t.value.all], ...keys.map((key) => [key.public_id, key.name] as const)]}
        onChange={(key) => onChange({ key })}
      />
    </div>
  );
}

interface HistogramProps {
  readonly query: Query;
  readonly span: Span;
  readonly onDay: (day: string) => void;
}

function Histogram({ query, span, onDay }: HistogramProps): VNode | null {
  const { from, to } = span;
  const used = useLoad<UsageList>(
    withQuery("/api/usage", { by: "day", from, to, model: query["model"], key: query["key"] }),
  );
  const rows = used.data?.data;
  const drawn = useMemo(() => {
    const every = everyDay(rows ?? [], from, to, dayAt(Date.now()));
    return {
      days: daysOf(from, to),
      requests: every.map((row) => row?.requests ?? null),
      failed: every.map((row) => row?.failed ?? null),
    };
  }, [rows, from, to]);
  if (from === to) return null; // a single bar says nothing
  return (
    <div>
      <LazyChart
        days={drawn.days}
        values={query["status"] === "failed" ? drawn.failed : drawn.requests}
        over={drawn.failed}
        metric="requests"
        label={t.value.histogram(from, to)}
        height={132}
        onDay={onDay}
      />
      <p class="note">{t.value.pick}</p>
    </div>
  );
}
