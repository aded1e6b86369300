// Models with their candidates, prices and limits, and the operator's own prices.

import type { VNode } from "preact";
import { useState } from "preact/hooks";
import { count, exactDollars, percent, UNKNOWN } from "../../../shared/format.js";
import { useLoad } from "../../../shared/load.js";
import { call } from "../../../shared/session.js";
import { Table } from "../../../shared/table.js";
import type { Column } from "../../../shared/table.js";
import { Confirm, Page, Panel, Shown, State } from "../../parts.js";
import { useQuery, withQuery } from "../../query.js";
import { SearchForm } from "../search_form.js";
import { t as admin } from "../texts.js";
import { SetPrice } from "./dialogs.js";
import { OwnPrices } from "./own_prices.js";
import type { Candidate, Model, OwnPrice, Part, Price, Typed } from "./prices.js";
import { NOTHING_TYPED, typedOf } from "./prices.js";
import { t } from "./texts.js";

interface Answer {
  readonly margin_ppm: number;
  readonly data: readonly Model[];
}

/** A row: a candidate of a model; the first one names it. */
interface Row {
  readonly model: Model;
  readonly of: Candidate;
  readonly isFirst: boolean;
}

type Open =
  | { readonly what: "set"; readonly from: Typed; readonly hasParts: boolean }
  | { readonly what: "remove"; readonly price: OwnPrice };

const PPM = 1_000_000;

export function Models(): VNode {
  const [query, change] = useQuery();
  const search = query["search"] ?? "";
  const models = useLoad<Answer>("/api/admin/models");
  const own = useLoad<{ total: number; data: OwnPrice[] }>("/api/admin/prices?limit=500");
  const [open, setOpen] = useState<Open | null>(null);
  function changed(): void {
    setOpen(null);
    models.reload();
    own.reload();
  }
  return (
    <Page
      title={admin.value.models}
      intro={
        <>
          {t.value.intro} <Margin ppm={models.data?.margin_ppm ?? 0} />
        </>
      }
      actions={
        <button
          type="button"
          class="button primary"
          onClick={() => setOpen({ what: "set", from: NOTHING_TYPED, hasParts: false })}
        >
          {t.value.setPrice}
        </button>
      }
    >
      <SearchForm label={t.value.filter} value={search} onSearch={(text) => change({ search: text })} />
      <Shown of={models}>
        {({ data }) => (
          <Table
            caption={t.value.list}
            quiet
            columns={columns(data, (of) =>
              setOpen({ what: "set", from: typedOf(of), hasParts: partsOf(of).length > 0 }),
            )}
            rows={rowsOf(data, search)}
            id={({ model, of }) => `${model.id}/${of.provider}/${of.model}`}
            empty={data.length === 0 ? t.value.empty : t.value.none}
          />
        )}
      </Shown>
      <Panel title={t.value.ownPrices}>
        <p class="note">{t.value.ownIntro}</p>
        <Shown of={own}>
          {({ data, total }) => (
            <OwnPrices of={data} total={total} onRemove={(price) => setOpen({ what: "remove", price })} />
          )}
        </Shown>
      </Panel>
      {open?.what === "set" && (
        <SetPrice from={open.from} hasParts={open.hasParts} onClose={() => setOpen(null)} onSet={changed} />
      )}
      {open?.what === "remove" && (
        <Confirm
          title={t.value.removeTitle(open.price.name)}
          action={t.value.remove}
          onClose={() => setOpen(null)}
          onConfirm={async () => {
            const { name, valid_from } = open.price;
            const path = withQuery("/api/admin/prices", { model: name, valid_from: valid_from ?? "" });
            await call("DELETE", path, {});
            changed();
          }}
        >
          <p>{t.value.removeText}</p>
        </Confirm>
      )}
    </Page>
  );
}

function Margin({ ppm }: { readonly ppm: number }): VNode | null {
  if (ppm === 0) return null;
  const share = percent(Math.abs(ppm) / PPM);
  return <>{ppm > 0 ? t.value.margin(share) : t.value.discount(share)}</>;
}

function rowsOf(models: readonly Model[], search: string): Row[] {
  const wanted = search.toLowerCase();
  return models
    .filter(
      ({ id, candidates }) =>
        id.toLowerCase().includes(wanted) ||
        candidates.some(({ provider, model }) => `${provider}/${model}`.toLowerCase().includes(wanted)),
    )
    .flatMap((model) => model.candidates.map((of, at) => ({ model, of, isFirst: at === 0 })));
}

/** What few models have is a column only where one of them has it. */
function columns(models: readonly Model[], onSet: (of: Candidate) => void): Column<Row>[] {
  const has = (what: (of: Candidate) => boolean): boolean => models.some(({ candidates }) => candidates.some(what));
  const columns: (Column<Row> | false)[] = [
    {
      key: "model",
      head: t.value.modelAndCandidate,
      names: true,
      cell: ({ model, of, isFirst }) => (
        <>
          {isFirst ? model.id : <span class="unseen">{model.id}</span>}{" "}
          {isFirst && model.alias && <span class="note">{t.value.alias}</span>}
          <span class="note line">{`${of.provider}/${of.model}`}</span>
        </>
      ),
    },
    { key: "input", head: t.value.input, end: true, cell: ({ of }) => rate(of, "input") },
    { key: "cached", head: t.value.cached, end: true, cell: ({ of }) => rate(of, "cached_input", "input") },
    { key: "output", head: t.value.output, end: true, cell: ({ of }) => rate(of, "output") },
    {
      key: "actions",
      head: admin.value.actions,
      cell: ({ of }) => (
        <button
          type="button"
          class="button small"
          aria-label={t.value.setPriceOf(`${of.provider}/${of.model}`)}
          onClick={() => onSet(of)}
        >
          {t.value.setPrice}
        </button>
      ),
    },
    has((of) => partsOf(of).length > 0) && { key: "more", head: t.value.more, cell: ({ of }) => <Parts of={of} /> },
    { key: "source", head: t.value.source, cell: ({ of }) => <Source of={of.price} /> },
    has((of) => of.coming.length > 0) && {
      key: "coming",
      head: t.value.coming,
      cell: ({ of }) => <Coming of={of.coming} />,
    },
    has((of) => of.context_tokens_max !== null) && {
      key: "context",
      head: t.value.context,
      end: true,
      cell: ({ of }) => count(of.context_tokens_max),
    },
    has((of) => of.output_tokens_max !== null) && {
      key: "output_max",
      head: t.value.outputMax,
      end: true,
      cell: ({ of }) => count(of.output_tokens_max),
    },
    has((of) => of.shutdown_date !== null) && { key: "end", head: t.value.end, cell: ({ of }) => <End of={of} /> },
  ];
  return columns.filter((column) => column !== false);
}

function partsOf(of: Candidate): readonly Part[] {
  return of.price?.parts ?? [];
}

function rate(of: Candidate, name: string, otherwise?: string): string {
  const rates = of.price?.rates;
  if (rates === undefined) return UNKNOWN;
  return exactDollars(rates[name] ?? (otherwise === undefined ? null : rates[otherwise]));
}

function Source({ of }: { readonly of: Price | null }): VNode {
  if (of === null) return <State tone="warn">{t.value.unknown}</State>;
  const since = of.valid_from === null ? "" : ` · ${t.value.since(of.valid_from)}`;
  return (
    <span title={of.source}>
      {of.own ? t.value.own : t.value.shipped}
      <span class="note">{since}</span>
    </span>
  );
}

function Coming({ of }: { readonly of: readonly Price[] }): VNode {
  if (of.length === 0) return <>{UNKNOWN}</>;
  return (
    <>
      {of.map((price) => (
        <span key={price.valid_from} class="line">
          {exactDollars(price.rates["input"])} · {exactDollars(price.rates["output"])}{" "}
          <span class="note">{t.value.from(price.valid_from ?? "")}</span>
        </span>
      ))}
    </>
  );
}

function End({ of }: { readonly of: Candidate }): VNode {
  if (of.shutdown_date === null) return <>{UNKNOWN}</>;
  const isOver = Date.parse(`${of.shutdown_date}T00:00:00Z`) + 86_400_000 <= Date.now();
  return (
    <>
      {isOver ? <State tone="bad">{`${of.shutdown_date} ${t.value.ended}`}</State> : of.shutdown_date}
      {of.successor !== null && <span class="note"> {t.value.then(of.successor)}</span>}
    </>
  );
}

/** Tiers, hours and service tiers, behind a summary: few look at them, and they are many. */
function Parts({ of }: { readonly of: Candidate }): VNode {
  const parts = partsOf(of);
  if (parts.length === 0) return <>{UNKNOWN}</>;
  return (
    <details class="parts">
      <summary aria-label={t.value.partsOf(count(parts.length), of.model)}>
        {t.value.parts(count(parts.length))}
      </summary>
      <dl>
        {parts.map((part) => (
          <div key={labelOf(part)}>
            <dt>{labelOf(part)}</dt>
            <dd>
              {exactDollars(part.rates["input"])} · {exactDollars(part.rates["cached_input"] ?? part.rates["input"])} ·{" "}
              {exactDollars(part.rates["output"])}
            </dd>
          </div>
        ))}
      </dl>
    </details>
  );
}

function labelOf(part: Part): string {
  return [
    part.service_tier,
    part.hours !== null && t.value.hours(part.hours),
    part.above_prompt_tokens !== null && t.value.tiers(count(part.above_prompt_tokens)),
  ]
    .filter(Boolean)
    .join(", ");
}
