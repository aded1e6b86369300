// All accounts: found by an address, an id or a key.

import type { VNode } from "preact";
import { ago, dateOf, dollars, exactDollars, moment } from "../../../shared/format.js";
import { Table } from "../../../shared/table.js";
import type { Column } from "../../../shared/table.js";
import { Choice } from "../../filters.js";
import { Pages } from "../../pages.js";
import { Page, State } from "../../parts.js";
import { useQuery } from "../../query.js";
import { SearchForm } from "../search_form.js";
import { t as admin } from "../texts.js";
import type { Account } from "./facts.js";
import { calledOf, STATE_TONES } from "./facts.js";
import { t } from "./texts.js";

const STATES = ["active", "unverified", "suspended"] as const;

export function Accounts(): VNode {
  const [query, change] = useQuery();
  const [search, state] = [query["search"] ?? "", query["state"] ?? ""];
  return (
    <Page title={admin.value.accounts} intro={<Intro />}>
      <SearchForm
        label={t.value.filter}
        hint={t.value.filterHint}
        value={search}
        onSearch={(text) => change({ search: text })}
      >
        <Choice
          label={t.value.state}
          value={state}
          choices={[["", t.value.any], ...STATES.map((value) => [value, t.value[value]] as const)]}
          onChange={(value) => change({ state: value })}
        />
      </SearchForm>
      <Pages<Account> key={`${state} ${search}`} path="/api/admin/accounts" query={{ limit: "100", search, state }}>
        {(rows) => (
          <Table
            caption={admin.value.accounts}
            quiet
            columns={columns()}
            rows={rows}
            id={(account) => account.id}
            empty={t.value.empty}
          />
        )}
      </Pages>
    </Page>
  );
}

function Intro(): VNode {
  return (
    <>
      {t.value.intro} <code>tokenferry accounts role EMAIL admin</code>
    </>
  );
}

function columns(): Column<Account>[] {
  return [
    {
      key: "address",
      head: t.value.address,
      names: true,
      cell: (account) => (
        <>
          <a class="wrap" href={`/console/admin/accounts/${encodeURIComponent(account.id)}`}>
            {calledOf(account)}
          </a>
          {account.role === "admin" && account.email !== null && <span class="note"> {t.value.admin}</span>}
        </>
      ),
    },
    {
      key: "state",
      head: t.value.state,
      cell: (account) => <State tone={STATE_TONES[account.state]}>{t.value[account.state]}</State>,
    },
    {
      key: "balance",
      head: t.value.balance,
      end: true,
      cell: (account) => <span title={exactDollars(account.balance)}>{dollars(account.balance)}</span>,
    },
    {
      key: "available",
      head: t.value.available,
      end: true,
      cell: (account) => <span title={exactDollars(account.available)}>{dollars(account.available)}</span>,
    },
    {
      key: "used",
      head: t.value.lastUsed,
      cell: (account) =>
        account.last_used === null ? (
          <span class="note">{t.value.never}</span>
        ) : (
          <span title={moment(account.last_used)}>{ago(account.last_used)}</span>
        ),
    },
    {
      key: "created",
      head: t.value.created,
      cell: (account) => dateOf(account.created === 0 ? null : account.created),
    },
    { key: "id", head: t.value.id, cell: (account) => <code>{account.id}</code> },
  ];
}
