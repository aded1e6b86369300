// What waits before providers, and what runs; a stream can be stopped.

import type { VNode } from "preact";
import { useState } from "preact/hooks";
import { count, duration, UNKNOWN } from "../../../shared/format.js";
import { call } from "../../../shared/session.js";
import { Table } from "../../../shared/table.js";
import type { Column } from "../../../shared/table.js";
import { Confirm, Page, Panel, Shown, State } from "../../parts.js";
import type { Tone } from "../../parts.js";
import { useQuery, withQuery } from "../../query.js";
import { usePolled } from "../polled.js";
import { t as admin } from "../texts.js";
import { t } from "./texts.js";

type Class = "priority" | "default" | "flex";

interface Line {
  readonly provider: string;
  readonly running: number;
  readonly streams_max: number;
  readonly requests_per_minute: number;
  readonly tokens_per_minute: number;
  readonly waiting: number;
  readonly waiting_max: number;
  readonly wait_max_ms: number;
  readonly classes: readonly {
    readonly service_class: Class;
    readonly waiting: number;
    readonly oldest_ms: number | null;
    readonly eta_ms: number | null;
  }[];
}

interface Stream {
  readonly id: string;
  readonly account: string;
  readonly key: string;
  readonly model: string;
  readonly provider: string | null;
  readonly provider_model: string | null;
  readonly state: "preparing" | "queued" | "calling" | "answering" | "ending";
  readonly age_ms: number;
  readonly chunks: number;
  readonly followers: number;
  readonly calls: number;
}

interface Streams {
  readonly running: number;
  readonly data: readonly Stream[];
  readonly next: string | null;
}

const POLL_S = 2;
const SHOWN_MAX = 100;
// Characters of an account's id: the whole of it is on its own page, and the table fits.
const ACCOUNT_SHOWN = 12;
const TONES: Readonly<Record<Stream["state"], Tone>> = {
  preparing: "calm",
  queued: "warn",
  calling: "calm",
  answering: "ok",
  ending: "calm",
};

export function Live(): VNode {
  const [query] = useQuery();
  const only = query["account"] ?? "";
  const lines = usePolled<{ data: Line[] }>("/api/admin/queue", POLL_S);
  const path = withQuery("/api/admin/streams", { limit: String(SHOWN_MAX), account: only });
  const streams = usePolled<Streams>(path, POLL_S);
  const [stopping, setStopping] = useState<Stream | null>(null);
  return (
    <Page title={admin.value.live} intro={t.value.intro}>
      <Panel title={t.value.queue}>
        <Shown of={lines}>{({ data }) => <Lines of={data} />}</Shown>
      </Panel>
      <Panel
        title={t.value.streams}
        actions={streams.data && <span class="note">{t.value.streamsCount(count(streams.data.running))}</span>}
      >
        {only !== "" && (
          <p>
            {t.value.onlyOf(only)} · <a href="/console/admin/live">{t.value.all}</a>
          </p>
        )}
        <Shown of={streams}>
          {(found) => (
            <div class="stack wide">
              <Table
                caption={t.value.streams}
                quiet
                columns={columns(setStopping)}
                rows={found.data}
                id={(stream) => stream.id}
                empty={t.value.streamsEmpty}
              />
              {found.next !== null && (
                <p class="note">{t.value.newestOf(count(found.data.length), count(found.running))}</p>
              )}
            </div>
          )}
        </Shown>
      </Panel>
      {stopping !== null && (
        <Confirm
          title={t.value.stopTitle}
          action={t.value.stop}
          onClose={() => setStopping(null)}
          onConfirm={async () => {
            await call("POST", `/api/admin/streams/${encodeURIComponent(stopping.id)}/stop`, {});
            setStopping(null);
            streams.reload();
          }}
        >
          <p>
            <code>{stopping.id}</code> · {stopping.model}
          </p>
          <p>{t.value.stopText}</p>
        </Confirm>
      )}
    </Page>
  );
}

/** One row a class of a provider; who has nobody waiting has one row. */
interface Row {
  readonly line: Line;
  readonly of: Line["classes"][number] | null;
}

function Lines({ of }: { readonly of: readonly Line[] }): VNode {
  const rows = of.flatMap((line): Row[] => {
    const waiting = line.classes.filter((each) => each.waiting > 0);
    return waiting.length === 0 ? [{ line, of: null }] : waiting.map((each) => ({ line, of: each }));
  });
  return (
    <Table
      caption={t.value.queue}
      quiet
      columns={lineColumns()}
      rows={rows}
      id={(row) => `${row.line.provider}/${row.of?.service_class ?? ""}`}
      empty={t.value.queueEmpty}
    />
  );
}

function lineColumns(): Column<Row>[] {
  return [
    { key: "provider", head: t.value.provider, names: true, cell: ({ line }) => line.provider },
    {
      key: "running",
      head: t.value.running,
      end: true,
      cell: ({ line }) => `${count(line.running)} / ${line.streams_max === 0 ? "∞" : count(line.streams_max)}`,
    },
    {
      key: "class",
      head: t.value.class,
      cell: ({ of }) => (of === null ? UNKNOWN : t.value[of.service_class]),
    },
    { key: "waiting", head: t.value.waiting, end: true, cell: ({ of }) => count(of?.waiting ?? 0) },
    { key: "oldest", head: t.value.oldest, end: true, cell: ({ of }) => duration(of?.oldest_ms) },
    {
      key: "eta",
      head: t.value.eta,
      end: true,
      cell: ({ line, of }) => {
        const eta = (of ?? line.classes.find((each) => each.service_class === "default"))?.eta_ms;
        return eta === 0 ? t.value.none : duration(eta);
      },
    },
    {
      key: "limits",
      head: t.value.rates,
      cell: ({ line }) => (
        <span class="note">
          {[
            line.requests_per_minute > 0 && t.value.perMinute(count(line.requests_per_minute)),
            line.tokens_per_minute > 0 && t.value.tokensPerMinute(count(line.tokens_per_minute)),
            t.value.lineMax(count(line.waiting_max), duration(line.wait_max_ms)),
          ]
            .filter(Boolean)
            .join(" · ")}
        </span>
      ),
    },
  ];
}

function columns(onStop: (stream: Stream) => void): Column<Stream>[] {
  return [
    {
      key: "model",
      head: t.value.modelAndStream,
      names: true,
      cell: (stream) => (
        <>
          {stream.model}
          <code class="note line">{stream.id}</code>
        </>
      ),
    },
    {
      key: "state",
      head: t.value.state,
      cell: (stream) => <State tone={TONES[stream.state]}>{t.value[stream.state]}</State>,
    },
    {
      key: "stop",
      head: admin.value.actions,
      cell: (stream) => (
        <button
          type="button"
          class="button small danger"
          aria-label={t.value.stopOf(stream.id)}
          onClick={() => onStop(stream)}
        >
          {t.value.stop}
        </button>
      ),
    },
    { key: "age", head: t.value.age, end: true, cell: (stream) => duration(stream.age_ms) },
    { key: "chunks", head: t.value.chunks, end: true, cell: (stream) => count(stream.chunks) },
    { key: "followers", head: t.value.followers, end: true, cell: (stream) => count(stream.followers) },
    { key: "calls", head: t.value.calls, end: true, cell: (stream) => count(stream.calls) },
    {
      key: "served",
      head: t.value.served,
      cell: (stream) => (stream.provider === null ? UNKNOWN : `${stream.provider}/${stream.provider_model}`),
    },
    {
      key: "account",
      head: t.value.accountAndKey,
      cell: (stream) => (
        <>
          <a href={`/console/admin/accounts/${encodeURIComponent(stream.account)}`} title={stream.account}>
            {stream.account === "operator" ? admin.value.operator : `${stream.account.slice(0, ACCOUNT_SHOWN)}…`}
          </a>
          <code class="note line">{stream.key}</code>
        </>
      ),
    },
  ];
}
