// What one wants to know at a glance: what is left, what was spent, what went wrong; and for
// somebody new, the way to the first answer.

import type { VNode } from "preact";
import { useMemo, useState } from "preact/hooks";
import { count, dollars, exactDollars, moment, nanosOf, percent, zone } from "../../shared/format.js";
import { useLoad } from "../../shared/load.js";
import type { Loaded } from "../../shared/load.js";
import { Table } from "../../shared/table.js";
import type { Balance } from "../credit/order.js";
import { Choice } from "../filters.js";
import type { Key } from "../keys/terms.js";
import { Code, Copy, Figure, Page, Panel, Shown, State } from "../parts.js";
import type { Request } from "../requests/request.js";
import { toneOf } from "../requests/request.js";
import { t as requestTexts } from "../requests/texts.js";
import { LazyChart } from "../usage/lazy_chart.js";
import { dayAt, daysOf, spanOf } from "../usage/periods.js";
import type { Span } from "../usage/periods.js";
import type { UsageList } from "../usage/series.js";
import { drawn, everyDay, sumsOf } from "../usage/series.js";
import type { SnippetLanguage } from "./snippets.js";
import { SNIPPET_LANGUAGES, snippet } from "./snippets.js";
import { t } from "./texts.js";

const RECENT_MAX = 5;
// What every gateway has, unless its operator says otherwise.
const MODEL = "demo";

export function Overview(): VNode {
  const span = useMemo(() => spanOf({}, Date.now()), []);
  const balance = useLoad<Balance>("/api/balance");
  const usage = useLoad<UsageList>(`/api/usage?by=day&from=${span.from}&to=${span.to}`);
  const keys = useLoad<{ data: Key[] }>("/api/keys");
  const recent = useLoad<{ data: Request[] }>(`/api/requests?limit=${RECENT_MAX}`);
  const model = recent.data?.data.find((row) => row.status === "ok")?.model ?? MODEL;
  const isNew = recent.data !== undefined && recent.data.data.length === 0;
  return (
    <Page title={t.value.title}>
      <Glance balance={balance} usage={usage} />
      {isNew ? (
        <>
          <FirstSteps balance={balance.data} keys={keys.data?.data ?? []} />
          <Send model={model} />
        </>
      ) : (
        <>
          <CostByDay usage={usage} span={span} />
          <Panel title={t.value.recent} actions={<a href="/console/requests">{t.value.allRequests}</a>}>
            <Shown of={recent}>{({ data }) => <Recent rows={data} />}</Shown>
          </Panel>
          <Send model={model} />
        </>
      )}
    </Page>
  );
}

interface GlanceProps {
  readonly balance: Loaded<Balance>;
  readonly usage: Loaded<UsageList>;
}

function Glance({ balance, usage }: GlanceProps): VNode {
  return (
    <Shown of={balance}>
      {(now) => (
        <Shown of={usage}>
          {({ data }) => {
            const sums = sumsOf(data);
            const share = sums.requests > 0 ? sums.failed / sums.requests : null;
            return (
              <dl class="figures">
                <Figure
                  name={t.value.available}
                  value={dollars(now.available)}
                  exact={exactDollars(now.available)}
                  note={
                    nanosOf(now.held) > 0n ? (
                      t.value.held(dollars(now.held, 4))
                    ) : (
                      <a href="/console/credit">{t.value.topUp}</a>
                    )
                  }
                />
                <Figure
                  name={t.value.cost}
                  value={dollars(sums.costNanos)}
                  exact={exactDollars(sums.costNanos)}
                  note={t.value.list(dollars(sums.listNanos))}
                />
                <Figure
                  name={t.value.requests}
                  value={count(sums.requests)}
                  note={t.value.tokens(count(sums.promptTokens + sums.completionTokens))}
                />
                <Figure
                  name={t.value.errors}
                  value={count(sums.failed)}
                  note={
                    <>
                      {share !== null && t.value.errorShare(percent(share))}{" "}
                      {sums.failed > 0 && <a href="/console/requests?status=failed">{t.value.showErrors}</a>}
                    </>
                  }
                />
              </dl>
            );
          }}
        </Shown>
      )}
    </Shown>
  );
}

function CostByDay({ usage, span }: { readonly usage: Loaded<UsageList>; readonly span: Span }): VNode {
  const rows = usage.data?.data;
  const chart = useMemo(
    () => ({
      days: daysOf(span.from, span.to),
      values: everyDay(rows ?? [], span.from, span.to, dayAt(Date.now())).map((row) => drawn(row, "cost")),
    }),
    [rows, span],
  );
  return (
    <Panel title={t.value.byDay} actions={<a href="/console/usage">{t.value.allUsage}</a>}>
      <LazyChart
        days={chart.days}
        values={chart.values}
        metric="cost"
        label={t.value.chart(span.from, span.to)}
        height={200}
      />
    </Panel>
  );
}

interface FirstStepsProps {
  readonly balance: Balance | undefined;
  readonly keys: readonly Key[];
}

function FirstSteps({ balance, keys }: FirstStepsProps): VNode {
  const steps = [
    { name: t.value.stepKey, href: "/console/keys", done: keys.some((key) => key.revoked === null) },
    {
      name: t.value.stepCredit,
      href: "/console/credit",
      done: balance !== undefined && nanosOf(balance.available) > 0n,
    },
    { name: t.value.stepRequest, href: "", done: false },
  ];
  return (
    <Panel title={t.value.first}>
      <p>{t.value.firstText}</p>
      <ol class="steps">
        {steps.map((step) => (
          <li key={step.name} class={step.done ? "ok" : undefined}>
            {step.done || step.href === "" ? step.name : <a href={step.href}>{step.name}</a>}
            {step.done && <span class="note">{t.value.done}</span>}
          </li>
        ))}
      </ol>
    </Panel>
  );
}

function Send({ model }: { readonly model: string }): VNode {
  const [kind, setKind] = useState<SnippetLanguage>("curl");
  const baseUrl = `${location.origin}/v1`;
  return (
    <Panel title={t.value.send}>
      <p>{t.value.sendText}</p>
      <p class="copy">
        {t.value.baseUrl} <code>{baseUrl}</code> <Copy text={baseUrl} small />
      </p>
      <div class="filters">
        <Choice
          label={t.value.language}
          value={kind}
          choices={SNIPPET_LANGUAGES.map((name) => [name, name])}
          onChange={(next) => setKind(next as SnippetLanguage)}
        />
      </div>
      <Code text={snippet(kind, baseUrl, model, t.value.hello)} name={kind} />
    </Panel>
  );
}

function Recent({ rows }: { readonly rows: readonly Request[] }): VNode {
  return (
    <Table
      caption={t.value.recent}
      quiet
      rows={rows}
      id={(row) => row.stream_id}
      empty={t.value.recentEmpty}
      columns={[
        {
          key: "time",
          head: requestTexts.value.time(zone()),
          names: true,
          cell: (row) => <a href={`/console/requests/${encodeURIComponent(row.stream_id)}`}>{moment(row.created)}</a>,
        },
        {
          key: "status",
          head: requestTexts.value.status,
          cell: (row) => <State tone={toneOf(row.status)}>{requestTexts.value[row.status]}</State>,
        },
        { key: "model", head: requestTexts.value.model, cell: (row) => row.model },
        {
          key: "cost",
          head: requestTexts.value.cost,
          end: true,
          cell: (row) => <span title={exactDollars(row.cost)}>{dollars(row.cost, 6)}</span>,
        },
      ]}
    />
  );
}
