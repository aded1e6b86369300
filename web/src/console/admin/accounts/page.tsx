// All accounts: found by an address, an id or a key.

import type { VNode } from "preact";
import { useLocation } from "preact-iso";
import { ago, dateOf, dollars, exactDollars, moment } from "../../../shared/format.js";
import { Table } from "../../../shared/table.js";
import type { Column } from "../../../shared/table.js";
import { Page, Shown, State } from "../../parts.js";
import { More, useListed } from "../listed.js";
import { SearchForm } from "../search_form.js";
import { t as admin } from "../texts.js";
import type { Account } from "./facts.js";
import { calledOf, STATE_TONES } from "./facts.js";
import { t } from "./texts.js";

interface Answer {
  readonly data: readonly Account[];
  readonly after: string | null;
}

const PATH = "/api/admin/accounts";

export function Accounts(): VNode {
  const { query, path, route } = useLocation();
  const [search, state] = [query["search"] ?? "", query["state"] ?? ""];
  const accounts = useListed<Account, Answer>(`${PATH}?limit=100${asQuery(search, state, "&")}`, ({ after }) =>
    after === null ? null : ["after", after],
  );
  return (
    <Page title={admin.value.accounts} intro={t.value.intro}>
      <SearchForm
        label={t.value.filter}
        hint={t.value.filterHint}
        value={search}
        onSearch={(text) => route(path + asQuery(text, state, "?"))}
      >
        <div class="field">
          <label for="state">{t.value.state}</label>
          <select
            id="state"
            value={state}
            onChange={(event) => route(path + asQuery(search, event.currentTarget.value, "?"))}
          >
            <option value="">{t.value.any}</option>
            {(["active", "unverified", "suspended"] as const).map((value) => (
              <option key={value} value={value}>
                {t.value[value]}
              </option>
            ))}
          </select>
        </div>
      </SearchForm>
      <Shown of={accounts}>
        {(rows) => (
          <div class="stack wide">
            <Table
              caption={admin.value.accounts}
              quiet
              columns={columns()}
              rows={rows}
              id={(account) => account.id}
              empty={t.value.empty}
            />
            <More of={accounts} />
          </div>
        )}
      </Shown>
    </Page>
  );
}

function asQuery(search: string, state: string, first: "?" | "&"): string {
  const wanted = new URLSearchParams();
  if (search !== "") wanted.set("search", search);
  if (state !== "") wanted.set("state", state);
  return wanted.size === 0 ? "" : `${first}${wanted.toString()}`;
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
