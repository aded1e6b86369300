// How the providers are: which models are left alone, which keys rest, what is under way.

import type { VNode } from "preact";
import { count, duration, UNKNOWN } from "../../../shared/format.js";
import { Table } from "../../../shared/table.js";
import type { Column } from "../../../shared/table.js";
import { Page, Panel, Shown, State } from "../../parts.js";
import { usePolled } from "../polled.js";
import { t as admin } from "../texts.js";
import { t } from "./texts.js";

interface Key {
  readonly position: number;
  readonly state: "ready" | "limited" | "refused";
  readonly rests_ms: number;
}

interface Model {
  readonly model: string;
  readonly state: "closed" | "open" | "half_open";
  readonly opens_ms: number;
  readonly calls: number;
  readonly failures: number;
  readonly under_way: number;
  readonly first_token_ms: number | null;
  readonly last_error: string | null;
}

interface Provider {
  readonly name: string;
  readonly keys: readonly Key[];
  readonly line: {
    readonly running: number;
    readonly streams_max: number;
    readonly waiting: Readonly<Record<string, number>>;
  };
  readonly models: readonly Model[];
}

const POLL_S = 5;

export function Providers(): VNode {
  const providers = usePolled<{ data: Provider[] }>("/api/admin/providers", POLL_S);
  return (
    <Page title={admin.value.providers} intro={t.value.intro}>
      <Shown of={providers}>
        {({ data }) =>
          data.length === 0 ? (
            <div class="empty">{t.value.empty}</div>
          ) : (
            <div class="page">
              {data.map((provider) => (
                <One key={provider.name} of={provider} />
              ))}
            </div>
          )
        }
      </Shown>
    </Page>
  );
}

function One({ of }: { readonly of: Provider }): VNode {
  const { running, streams_max, waiting } = of.line;
  const inLine = Object.values(waiting).reduce((sum, n) => sum + n, 0);
  const left = of.models.filter((model) => model.state !== "closed").length;
  return (
    <Panel
      title={of.name}
      actions={
        left === 0 ? (
          <State tone="ok">{t.value.healthy}</State>
        ) : (
          <State tone={left === of.models.length ? "bad" : "warn"}>{t.value.troubled(count(left))}</State>
        )
      }
    >
      <dl class="facts in-line">
        <div>
          <dt>{t.value.running}</dt>
          <dd>
            {streams_max === 0
              ? `${count(running)} · ${t.value.noPlaces}`
              : t.value.of(count(running), count(streams_max))}
          </dd>
        </div>
        <div>
          <dt>{t.value.waiting}</dt>
          <dd>{inLine === 0 ? "0" : <a href="/console/admin/live">{count(inLine)}</a>}</dd>
        </div>
        <div>
          <dt>{t.value.keys}</dt>
          <dd>
            <Keys of={of.keys} />
          </dd>
        </div>
      </dl>
      <Table
        caption={t.value.modelsOf(of.name)}
        quiet
        columns={columns()}
        rows={of.models}
        id={(model) => model.model}
        empty={t.value.noModels}
      />
    </Panel>
  );
}

function Keys({ of }: { readonly of: readonly Key[] }): VNode {
  if (of.length === 0) return <>{t.value.noKeys}</>;
  const resting = of.filter((key) => key.state !== "ready");
  return (
    <>
      {t.value.keysReady(count(of.length - resting.length))}
      {resting.map((key) => (
        <span key={key.position} class="below-line">
          <State tone={key.state === "refused" ? "bad" : "warn"}>
            {t.value.key(key.position)}: {t.value[key.state as "limited" | "refused"](duration(key.rests_ms))}
          </State>
        </span>
      ))}
    </>
  );
}

function columns(): Column<Model>[] {
  return [
    { key: "model", head: t.value.model, names: true, cell: (model) => model.model },
    { key: "state", head: t.value.state, cell: (model) => <Mark of={model} /> },
    { key: "calls", head: t.value.calls, end: true, cell: (model) => count(model.calls) },
    { key: "failed", head: t.value.failed, end: true, cell: (model) => count(model.failures) },
    { key: "under_way", head: t.value.underWay, end: true, cell: (model) => count(model.under_way) },
    { key: "first", head: t.value.firstToken, end: true, cell: (model) => duration(model.first_token_ms) },
    {
      key: "error",
      head: t.value.lastError,
      cell: (model) => (model.last_error === null ? UNKNOWN : <code>{model.last_error}</code>),
    },
  ];
}

function Mark({ of }: { readonly of: Model }): VNode {
  if (of.state === "closed") return <State tone="ok">{t.value.closed}</State>;
  if (of.state === "open") return <State tone="bad">{t.value.open(duration(of.opens_ms))}</State>;
  return <State tone="warn">{t.value.half_open}</State>;
}
