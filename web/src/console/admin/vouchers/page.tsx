// Vouchers: making them, and which there are.

import type { VNode } from "preact";
import { useState } from "preact/hooks";
import { dateOf, dollars, exactDollars, moment, UNKNOWN } from "../../../shared/format.js";
import { Table } from "../../../shared/table.js";
import type { Column } from "../../../shared/table.js";
import { Pages } from "../../pages.js";
import { Page, State } from "../../parts.js";
import type { Tone } from "../../parts.js";
import { useQuery } from "../../query.js";
import { SearchForm } from "../search_form.js";
import { t as admin } from "../texts.js";
import { Codes, MakeVouchers } from "./dialogs.js";
import type { Made } from "./dialogs.js";
import { t } from "./texts.js";

interface Voucher {
  readonly id: string;
  readonly batch: string;
  readonly amount: string;
  readonly state: "good" | "redeemed" | "expired";
  readonly created: number;
  readonly expires: number | null;
  readonly redeemed: number | null;
  readonly account: string | null;
}

const TONES: Readonly<Record<Voucher["state"], Tone>> = { good: "ok", redeemed: "calm", expired: "warn" };

export function AnyVouchers(): VNode {
  const [query, change] = useQuery();
  const batch = query["batch"] ?? "";
  // How often some were made: the list is asked for anew.
  const [made, setMade] = useState(0);
  const [open, setOpen] = useState<"make" | Made | null>(null);
  return (
    <Page
      title={admin.value.vouchers}
      intro={t.value.intro}
      actions={
        <button type="button" class="button primary" onClick={() => setOpen("make")}>
          {t.value.make}
        </button>
      }
    >
      <SearchForm label={t.value.filter} value={batch} onSearch={(text) => change({ batch: text })} />
      <Pages<Voucher> key={`${made} ${batch}`} path="/api/admin/vouchers" query={{ limit: "100", batch }}>
        {(rows) => (
          <Table
            caption={admin.value.vouchers}
            quiet
            columns={columns()}
            rows={rows}
            id={(voucher) => voucher.id}
            empty={batch === "" ? t.value.empty : t.value.emptyBatch}
          />
        )}
      </Pages>
      {open === "make" && (
        <MakeVouchers
          onClose={() => setOpen(null)}
          onMade={(codes) => {
            setOpen(codes);
            setMade((times) => times + 1);
          }}
        />
      )}
      {open !== null && open !== "make" && <Codes of={open} onClose={() => setOpen(null)} />}
    </Page>
  );
}

function columns(): Column<Voucher>[] {
  return [
    { key: "id", head: t.value.voucher, names: true, cell: (voucher) => <code>{voucher.id}</code> },
    { key: "batch", head: t.value.batch, cell: (voucher) => <span class="wrap narrow">{voucher.batch}</span> },
    {
      key: "state",
      head: t.value.state,
      cell: (voucher) => <State tone={TONES[voucher.state]}>{t.value[voucher.state]}</State>,
    },
    {
      key: "amount",
      head: t.value.worth,
      end: true,
      cell: (voucher) => <span title={exactDollars(voucher.amount)}>{dollars(voucher.amount)}</span>,
    },
    { key: "created", head: t.value.created, cell: (voucher) => dateOf(voucher.created) },
    { key: "expires", head: t.value.until, cell: (voucher) => dateOf(voucher.expires) },
    {
      key: "redeemed",
      head: t.value.redeemedBy,
      cell: (voucher) =>
        voucher.account === null ? (
          UNKNOWN
        ) : (
          <>
            <a href={`/console/admin/accounts/${encodeURIComponent(voucher.account)}`}>{voucher.account}</a>{" "}
            <span class="note line">{moment(voucher.redeemed)}</span>
          </>
        ),
    },
  ];
}
