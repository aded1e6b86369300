// One request from its arrival to its charge.

import type { ComponentChildren, VNode } from "preact";
import { count, dollars, duration, exactDollars, moment, nanosOf, UNKNOWN, zone } from "../../shared/format.js";
import { useLoad } from "../../shared/load.js";
import { Table } from "../../shared/table.js";
import { kindName } from "../credit/texts.js";
import type { Matched } from "../console_page.js";
import type { Key } from "../keys/terms.js";
import { Copy, Page, Panel, Shown, State } from "../parts.js";
import { Attempts } from "./attempts.js";
import { outcomeName } from "./outcomes.js";
import type { Story as Told } from "./request.js";
import { toneOf } from "./request.js";
import { t } from "./texts.js";

export function Story({ params }: Matched): VNode {
  const id = params["id"] ?? "";
  const story = useLoad<Told>(`/api/requests/${encodeURIComponent(id)}`);
  const keys = useLoad<{ data: Key[] }>("/api/keys");
  const nameOf = (key: string): string => keys.data?.data.find((known) => known.public_id === key)?.name ?? key;
  return (
    <Page title={t.value.story} actions={<a href="/console/requests">{t.value.back}</a>}>
      <Shown of={story}>
        {(told) => (
          <>
            <Facts of={told} />
            {!told.recorded && <p class="notice">{t.value.noRecord}</p>}
            <Panel title={t.value.steps}>
              <Steps of={told} keyName={nameOf(told.request.key)} />
            </Panel>
            <Panel title={t.value.waterfall}>
              <Attempts of={told} />
            </Panel>
            <Panel title={t.value.ledger}>
              <Booked of={told} />
            </Panel>
            {told.content !== null && <Content of={told.content} />}
          </>
        )}
      </Shown>
    </Page>
  );
}

function Facts({ of }: { readonly of: Told }): VNode {
  const { request } = of;
  const rows: [string, ComponentChildren][] = [
    [t.value.status, <State tone={toneOf(request.status)}>{t.value[request.status]}</State>],
    [t.value.model, request.model],
    [t.value.provider, request.provider || UNKNOWN],
    [
      t.value.cost,
      <>
        {exactDollars(request.cost)}
        {request.list_cost !== null && (
          <span class="note">
            {" "}
            · {t.value.listCost} {exactDollars(request.list_cost)}
          </span>
        )}
      </>,
    ],
    [
      t.value.tokens,
      <>
        {t.value.tokensOf(
          count(request.prompt_tokens),
          count(request.cached_tokens),
          count(request.completion_tokens),
          count(request.reasoning_tokens),
        )}
        {request.estimated && <span class="note"> · {t.value.estimated}</span>}
      </>,
    ],
    [t.value.total, duration(request.duration_ms)],
    [
      t.value.streamId,
      <span class="copy">
        <code>{request.stream_id}</code>
        <Copy text={request.stream_id} small />
      </span>,
    ],
  ];
  if (of.request_id !== null) rows.push([t.value.requestId, <code>{of.request_id}</code>]);
  return (
    <Panel title={t.value.facts}>
      <dl class="facts">
        {rows.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </Panel>
  );
}

interface Step {
  readonly key: string;
  readonly text: ComponentChildren;
  readonly at?: string | undefined;
  readonly tone?: "ok" | "bad" | "calm";
}

/** The story's steps, in the order in which they happened. What is not known is left out. */
function stepsOf(of: Told, keyName: string): Step[] {
  const { request } = of;
  const transports: Readonly<Record<string, string>> = {
    sse: t.value.events,
    http: t.value.whole,
    websocket: t.value.websocket,
  };
  const transport = transports[of.transport ?? ""];
  const steps: Step[] = [
    {
      key: "accepted",
      at: moment(Math.floor(of.accepted_ms / 1000)),
      text: transport === undefined ? t.value.accepted : t.value.acceptedBy(transport),
    },
    { key: "key", text: t.value.byKey(keyName) },
    { key: "hold", text: of.hold === null ? t.value.notHeld : t.value.held(dollars(of.hold.amount, 6)) },
  ];
  if (of.queued_ms !== null) {
    steps.push({ key: "queue", text: of.queued_ms > 0 ? t.value.queued(duration(of.queued_ms)) : t.value.notQueued });
  }
  request.tries.forEach((call, index) => {
    const status = call.status === null ? "" : ` · ${t.value.httpStatus(String(call.status))}`;
    steps.push({
      key: `try-${index}`,
      tone: call.outcome === "ok" ? "ok" : call.outcome === "slower" || call.outcome === "cancelled" ? "calm" : "bad",
      text: (
        <>
          {t.value.attempt(count(index + 1), call.provider, call.model)}
          <span class="note">
            {" "}
            {outcomeName(call.outcome)}
            {status} · {duration(call.duration_ms)}
          </span>
        </>
      ),
    });
  });
  const pace = of.tokens_per_second === null ? "" : ` · ${t.value.pace(count(of.tokens_per_second))}`;
  const chunks = of.chunks === null ? "" : ` · ${t.value.chunks(count(of.chunks))}`;
  steps.push({
    key: "first",
    text:
      request.first_token_ms === null
        ? t.value.noFirst
        : `${t.value.first(duration(request.first_token_ms))}${pace}${chunks}`,
  });
  if (of.drops !== null && of.resumes !== null && of.drops + of.resumes > 0) {
    steps.push({ key: "drops", text: t.value.drops(count(of.drops), count(of.resumes)) });
  }
  steps.push(endOf(of));
  steps.push({ key: "charge", tone: "ok", text: chargeOf(of) });
  return steps;
}

function endOf(of: Told): Step {
  const { request } = of;
  const at = moment(Math.floor(of.ended_ms / 1000));
  if (request.status === "failed") {
    const code = request.error_code ?? request.finish_reason;
    return {
      key: "end",
      at,
      tone: "bad",
      text: (
        <>
          {t.value.failedWith(code)}
          <span class="note"> {outcomeName(code) === code ? "" : outcomeName(code)}</span>
        </>
      ),
    };
  }
  if (request.status === "stopped") {
    const who = of.ended_by === "disconnect" ? t.value.byDisconnect : of.ended_by === null ? "" : t.value.byClient;
    return { key: "end", at, tone: "calm", text: `${t.value.stoppedBy}${who === "" ? "" : ` · ${who}`}` };
  }
  return { key: "end", at, tone: "ok", text: t.value.finished(request.finish_reason) };
}

function chargeOf(of: Told): string {
  const { cost } = of.request;
  if (!of.charged || (cost !== null && nanosOf(cost) === 0n)) return t.value.notCharged;
  const parts = [cost === null ? t.value.noPrice : t.value.charged(exactDollars(cost))];
  if (of.hold?.released != null) parts.push(t.value.released(exactDollars(of.hold.released)));
  if (nanosOf(of.shortfall) > 0n) parts.push(t.value.shortfall(exactDollars(of.shortfall)));
  return parts.join(" · ");
}

function Steps({ of, keyName }: { readonly of: Told; readonly keyName: string }): VNode {
  return (
    <ol class="steps">
      {stepsOf(of, keyName).map((step) => (
        <li key={step.key} class={step.tone}>
          <span>{step.text}</span>
          {step.at !== undefined && <span class="note">{step.at}</span>}
        </li>
      ))}
    </ol>
  );
}

function Booked({ of }: { readonly of: Told }): VNode {
  return (
    <Table
      caption={t.value.ledger}
      quiet
      rows={of.entries}
      id={(entry) => String(entry.number)}
      empty={t.value.ledgerEmpty}
      columns={[
        { key: "number", head: t.value.number, names: true, cell: (entry) => count(entry.number) },
        { key: "time", head: t.value.time(zone()), cell: (entry) => moment(entry.created) },
        { key: "kind", head: t.value.kind, cell: (entry) => kindName(entry.kind) },
        { key: "amount", head: t.value.amount, end: true, cell: (entry) => exactDollars(entry.amount) },
      ]}
    />
  );
}

function Content({ of }: { readonly of: NonNullable<Told["content"]> }): VNode {
  return (
    <Panel title={t.value.content}>
      {of.cut && <p class="note">{t.value.cut}</p>}
      {(["prompt", "answer"] as const).map((part) => (
        <details key={part}>
          <summary>{t.value[part]}</summary>
          <div class="code">
            <pre tabIndex={0} aria-label={t.value[part]}>
              <code>{of[part] || UNKNOWN}</code>
            </pre>
          </div>
        </details>
      ))}
    </Panel>
  );
}
