// What administrators have changed, the latest first: by account, kind and days, all in the address.

import type { VNode } from "preact";
import { moment, zone } from "../../../shared/format.js";
import { Table } from "../../../shared/table.js";
import type { Column } from "../../../shared/table.js";
import { Choice, Day } from "../../filters.js";
import { Pages } from "../../pages.js";
import { Page } from "../../parts.js";
import { useQuery } from "../../query.js";
import { SearchForm } from "../search_form.js";
import { t as admin } from "../texts.js";
import type { Entry } from "./entry.js";
import { ACTIONS, actionName, detailsOf } from "./entry.js";
import { t } from "./texts.js";

export function AuditTrail(): VNode {
  const [query, change] = useQuery();
  const [account, action] = [query["account"] ?? "", query["action"] ?? ""];
  const [from, to] = [query["from"] ?? "", query["to"] ?? ""];
  return (
    <Page title={admin.value.audit} intro={t.value.intro}>
      <SearchForm
        label={t.value.filter}
        hint={t.value.filterHint}
        value={account}
        maxLength={100}
        onSearch={(text) => change({ account: text })}
      >
        <Choice
          label={t.value.action}
          value={action}
          choices={[["", t.value.all], ...ACTIONS.map((each) => [each, actionName(each)] as const)]}
          onChange={(value) => change({ action: value })}
        />
        <Day label={t.value.from} value={from} max={to} onChange={(value) => change({ from: value })} />
        <Day label={t.value.to} value={to} min={from} onChange={(value) => change({ to: value })} />
      </SearchForm>
      <Pages<Entry>
        key={JSON.stringify([account, action, from, to])}
        path="/api/admin/audit"
        query={{ limit: "50", account, action, from, to }}
      >
        {(rows) => (
          <Table
            caption={admin.value.audit}
            quiet
            columns={columns()}
            rows={rows}
            id={(entry) => String(entry.number)}
            empty={t.value.empty}
          />
        )}
      </Pages>
    </Page>
  );
}

function columns(): Column<Entry>[] {
  return [
    { key: "time", head: t.value.time(zone()), names: true, cell: (entry) => moment(entry.created) },
    {
      key: "action",
      head: t.value.action,
      cell: (entry) => (
        <span class="wrap narrow" title={entry.action}>
          {actionName(entry.action)}
        </span>
      ),
    },
    { key: "target", head: t.value.target, cell: (entry) => <Target of={entry} /> },
    {
      key: "details",
      head: t.value.details,
      cell: (entry) => (
        <ul class="wrap details">
          {detailsOf(entry).map(([name, text]) => (
            <li key={name}>
              <span class="note">{name}:</span> {text}
            </li>
          ))}
        </ul>
      ),
    },
    {
      key: "by",
      head: t.value.by,
      cell: (entry) => (
        <span class="address">
          <AccountLink id={entry.by} text={entry.by_email ?? entry.by} />
        </span>
      ),
    },
  ];
}

function Target({ of }: { readonly of: Entry }): VNode {
  if (of.account === of.target) return <AccountLink id={of.target} text={of.target} />;
  return (
    <span class="two">
      <code class="wrap narrow">{of.target}</code>
      {of.account !== null && (
        <span class="note">
          {t.value.of} <AccountLink id={of.account} text={of.account} />
        </span>
      )}
    </span>
  );
}

function AccountLink({ id, text }: { readonly id: string; readonly text: string }): VNode {
  const [name = "", host] = text.split("@");
  return (
    <a href={`/console/admin/accounts/${encodeURIComponent(id)}`}>
      {name}
      {host !== undefined && (
        <>
          <wbr />@{host}
        </>
      )}
    </a>
  );
}
