// What was used: figures, a chart of days with its table, and tables by model and by key.

import type { VNode } from "preact";
import { useMemo } from "preact/hooks";
import { count, dayName, dollars, exactDollars } from "../../shared/format.js";
import { useLoad } from "../../shared/load.js";
import { Table } from "../../shared/table.js";
import type { Column } from "../../shared/table.js";
import { csvOf, download } from "../csv.js";
import type { Key } from "../keys/terms.js";
import { Figure, Page, Panel, Shown } from "../parts.js";
import { useQuery, withQuery } from "../query.js";
import type { Query } from "../query.js";
import { UsageFilters } from "./filters.js";
import { LazyChart } from "./lazy_chart.js";
import type { Span } from "./periods.js";
import { dayAt, spanOf } from "./periods.js";
import type { Metric, UsageList, Used } from "./series.js";
import { METRICS, costOf, drawn, everyDay, shares, sumsOf } from "./series.js";
import { t } from "./texts.js";

function pathOf(by: UsageList["by"], span: Span, query: Query): string {
  const { from, to } = span;
  return withQuery("/api/usage", { by, from, to, model: query["model"], key: query["key"] });
}

export function Usage(): VNode {
  const [query, change] = useQuery();
  const span = spanOf(query, Date.now());
  const metric = METRICS.find((known) => known === query["chart"]) ?? "cost";
  const days = useLoad<UsageList>(pathOf("day", span, query));
  const models = useLoad<UsageList>(pathOf("model", span, query));
  const keyUse = useLoad<UsageList>(pathOf("key", span, query));
  const keys = useLoad<{ data: Key[] }>("/api/keys");
  const names = new Map((keys.data?.data ?? []).map((key) => [key.public_id, key.name]));
  return (
    <Page title={t.value.title} intro={t.value.intro}>
      <UsageFilters
        query={query}
        span={span}
        metric={metric}
        keys={keys.data?.data ?? []}
        models={models.data?.data.map((row) => row.group) ?? []}
        onChange={change}
      />
      <Shown of={days}>{({ data }) => <Days rows={data} span={span} metric={metric} />}</Shown>
      <Shown of={models}>
        {({ data }) => (
          <Groups
            title={t.value.byModel}
            head={t.value.model}
            file="usage-by-model"
            rows={data}
            metric={metric}
            name={(group) => group}
            onGroup={(model) => change({ model })}
          />
        )}
      </Shown>
      <Shown of={keyUse}>
        {({ data }) => (
          <Groups
            title={t.value.byKey}
            head={t.value.key}
            file="usage-by-key"
            rows={data}
            metric={metric}
            name={(group) => names.get(group) ?? group}
            onGroup={(key) => change({ key })}
          />
        )}
      </Shown>
    </Page>
  );
}

interface DaysProps {
  readonly rows: readonly Used[];
  readonly span: Span;
  readonly metric: Metric;
}

function Days({ rows, span, metric }: DaysProps): VNode {
  const { from, to } = span;
  const every = useMemo(() => everyDay(rows, from, to, dayAt(Date.now())), [rows, from, to]);
  const past = every.filter((row) => row !== null);
  const sums = sumsOf(rows);
  const chart = useMemo(
    () => ({
      days: daysNamed(every, from),
      values: every.map((row) => drawn(row, metric)),
      failed: metric === "requests" ? every.map((row) => row?.failed ?? null) : undefined,
    }),
    [every, metric, from],
  );
  return (
    <>
      <dl class="figures">
        <Figure
          name={t.value.cost}
          value={dollars(sums.costNanos)}
          exact={exactDollars(sums.costNanos)}
          note={
            sums.unpriced > 0 ? t.value.unpriced(count(sums.unpriced)) : `${t.value.list} ${dollars(sums.listNanos)}`
          }
        />
        <Figure name={t.value.requests} value={count(sums.requests)} note={t.value.failedOf(count(sums.failed))} />
        <Figure
          name={t.value.input}
          value={count(sums.promptTokens)}
          note={`${t.value.cached} ${count(sums.cachedTokens)}`}
        />
        <Figure
          name={t.value.output}
          value={count(sums.completionTokens)}
          note={sums.cacheSavedNanos > 0n ? t.value.saved(dollars(sums.cacheSavedNanos)) : undefined}
        />
      </dl>
      <Panel title={t.value.byDay} actions={<Csv title={t.value.byDay} file="usage-by-day" head="day" rows={past} />}>
        <div class="split">
          <div>
            <LazyChart
              days={chart.days}
              values={chart.values}
              {...(chart.failed === undefined ? {} : { over: chart.failed })}
              metric={metric}
              label={t.value.chartOf(t.value[metric], from, to)}
              height={300}
            />
            {rows.length === 0 && <p class="note">{t.value.empty}</p>}
          </div>
          <div class="tall">
            <Table
              caption={t.value.byDay}
              quiet
              columns={[
                { key: "group", head: t.value.day, names: true, cell: (row) => dayName(row.group) },
                ...narrow(),
              ]}
              rows={[...past].reverse()}
              id={(row) => row.group}
              empty={t.value.empty}
            />
          </div>
        </div>
      </Panel>
    </>
  );
}

function daysNamed(every: readonly (Used | null)[], from: string): string[] {
  const first = Date.parse(`${from}T00:00:00Z`);
  return every.map((row, index) => row?.group ?? dayAt(first + index * 86_400_000));
}

function narrow(): Column<Used>[] {
  return [
    {
      key: "cost",
      head: t.value.cost,
      end: true,
      cell: (row) => <span title={exactDollars(costOf(row))}>{dollars(costOf(row), 4)}</span>,
    },
    { key: "requests", head: t.value.requests, end: true, cell: (row) => count(row.requests) },
    { key: "failed", head: t.value.failed, end: true, cell: (row) => count(row.failed) },
  ];
}

function wide(): Column<Used>[] {
  const [cost, requests, failed] = narrow() as [Column<Used>, Column<Used>, Column<Used>];
  return [
    { ...cost, sort: (row) => costOf(row) ?? -1n },
    { ...requests, sort: (row) => row.requests },
    { ...failed, sort: (row) => row.failed },
    {
      key: "input",
      head: t.value.input,
      end: true,
      cell: (row) => count(row.prompt_tokens),
      sort: (row) => row.prompt_tokens,
    },
    { key: "cached", head: t.value.cached, end: true, cell: (row) => count(row.cached_tokens) },
    {
      key: "output",
      head: t.value.output,
      end: true,
      cell: (row) => count(row.completion_tokens),
      sort: (row) => row.completion_tokens,
    },
  ];
}

interface GroupsProps {
  readonly title: string;
  readonly head: string;
  readonly file: string;
  readonly rows: readonly Used[];
  readonly metric: Metric;
  readonly name: (group: string) => string;
  readonly onGroup: (group: string) => void;
}

function Groups({ title, head, file, rows, metric, name, onGroup }: GroupsProps): VNode {
  const share = shares(rows, metric);
  const shareOf = new Map(rows.map((row, index) => [row.group, share[index]!]));
  const sums = sumsOf(rows);
  const falling = [...rows].sort((a, b) => (shareOf.get(b.group) ?? 0) - (shareOf.get(a.group) ?? 0));
  return (
    <Panel
      title={title}
      actions={<Csv title={title} file={file} head={file.split("-").at(-1)!} rows={falling} name={name} />}
    >
      <Table
        caption={title}
        quiet
        columns={[
          {
            key: "group",
            head,
            names: true,
            cell: (row) => (
              <button type="button" class="link" onClick={() => onGroup(row.group)}>
                {name(row.group)}
              </button>
            ),
          },
          {
            key: "share",
            head: `${t.value.share} · ${t.value[metric]}`,
            cell: (row) => (
              <span class="meter" aria-hidden="true">
                <span style={{ width: `${Math.round((shareOf.get(row.group) ?? 0) * 100)}%` }} />
              </span>
            ),
          },
          ...wide(),
        ]}
        rows={falling}
        id={(row) => row.group}
        empty={t.value.empty}
        sums={{
          group: t.value.sum,
          cost: dollars(sums.costNanos, 4),
          requests: count(sums.requests),
          failed: count(sums.failed),
          input: count(sums.promptTokens),
          cached: count(sums.cachedTokens),
          output: count(sums.completionTokens),
        }}
      />
    </Panel>
  );
}

interface CsvProps {
  readonly title: string;
  readonly file: string;
  readonly head: string;
  readonly rows: readonly Used[];
  readonly name?: (group: string) => string;
}

function Csv({ title, file, head, rows, name }: CsvProps): VNode | null {
  if (rows.length === 0) return null;
  const save = (): void => {
    const names = [
      head,
      ...(head === "key" ? ["name"] : []),
      "requests",
      "failed",
      "prompt_tokens",
      "cached_tokens",
      "completion_tokens",
      "cost_usd",
      "list_cost_usd",
    ];
    const lines = rows.map((row) => [
      row.group,
      ...(head === "key" ? [name?.(row.group) ?? ""] : []),
      row.requests,
      row.failed,
      row.prompt_tokens,
      row.cached_tokens,
      row.completion_tokens,
      costOf(row) === null ? null : row.cost,
      costOf(row) === null ? null : row.list_cost,
    ]);
    download(`${file}.csv`, csvOf(names, lines));
  };
  return (
    <button type="button" class="button small" aria-label={t.value.csvOf(title)} onClick={save}>
      {t.value.csv}
    </button>
  );
}
