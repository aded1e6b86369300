// One account: what it has, its keys, its entries of the books, its orders; and what can be done.

import type { VNode } from "preact";
import { useState } from "preact/hooks";
import { ago, dateOf, dollars, exactDollars, moment, UNKNOWN } from "../../../shared/format.js";
import { LANGUAGE_NAMES } from "../../../shared/language.js";
import { useLoad } from "../../../shared/load.js";
import { account as whoAmI, call } from "../../../shared/session.js";
import type { Matched } from "../../console_page.js";
import { Confirm, Figure, Page, Shown, State } from "../../parts.js";
import { t as admin } from "../texts.js";
import { GrantCredit, Suspend } from "./dialogs.js";
import type { AccountDetail } from "./facts.js";
import { calledOf, STATE_TONES } from "./facts.js";
import { Keys } from "./keys.js";
import { Ledger } from "./ledger.js";
import { Orders } from "./orders.js";
import { t } from "./texts.js";

export function OneAccount({ params }: Matched): VNode {
  const path = `/api/admin/accounts/${encodeURIComponent(params["id"] ?? "")}`;
  const loaded = useLoad<AccountDetail>(path);
  const [open, setOpen] = useState<"grant" | "suspend" | "unsuspend" | null>(null);
  // Entries and orders are asked for anew when something has been booked.
  const [booked, setBooked] = useState(0);
  function changed(): void {
    setOpen(null);
    setBooked((times) => times + 1);
    loaded.reload();
  }
  const of = loaded.data;
  return (
    <Page
      title={of === undefined ? admin.value.accounts : calledOf(of)}
      intro={<a href="/console/admin/accounts">{t.value.back}</a>}
      actions={
        of !== undefined && (
          <>
            <button type="button" class="button" onClick={() => setOpen("grant")}>
              {t.value.grant}
            </button>
            <SuspendButton of={of} onOpen={setOpen} />
          </>
        )
      }
    >
      <Shown of={loaded}>
        {(shown) => (
          <div class="page">
            <Facts of={shown} />
            <Keys of={shown.keys} onChanged={loaded.reload} />
            <Ledger key={`ledger ${booked}`} account={shown.id} />
            <Orders key={`orders ${booked}`} account={shown.id} onChanged={changed} />
          </div>
        )}
      </Shown>
      {of !== undefined && open === "grant" && <GrantCredit of={of} onClose={() => setOpen(null)} onBooked={changed} />}
      {of !== undefined && open === "suspend" && (
        <Suspend of={of} onClose={() => setOpen(null)} onSuspended={changed} />
      )}
      {of !== undefined && open === "unsuspend" && (
        <Confirm
          title={`${t.value.unsuspend}: ${calledOf(of)}`}
          action={t.value.unsuspend}
          onClose={() => setOpen(null)}
          onConfirm={async () => {
            await call("POST", `${path}/unsuspend`, {});
            changed();
          }}
        />
      )}
    </Page>
  );
}

interface SuspendButtonProps {
  readonly of: AccountDetail;
  readonly onOpen: (open: "suspend" | "unsuspend") => void;
}

function SuspendButton({ of, onOpen }: SuspendButtonProps): VNode | null {
  // Neither the operator's account nor one's own.
  if (of.email === null || of.id === whoAmI()?.id) return null;
  return of.state === "suspended" ? (
    <button type="button" class="button" onClick={() => onOpen("unsuspend")}>
      {t.value.unsuspend}
    </button>
  ) : (
    <button type="button" class="button danger" onClick={() => onOpen("suspend")}>
      {t.value.suspend}
    </button>
  );
}

function Facts({ of }: { readonly of: AccountDetail }): VNode {
  return (
    <>
      <dl class="figures">
        <Figure name={t.value.balance} value={dollars(of.balance)} exact={exactDollars(of.balance)} />
        <Figure
          name={t.value.available}
          value={dollars(of.available)}
          exact={exactDollars(of.available)}
          note={t.value.availableNote}
        />
        <Figure
          name={t.value.lastUsed}
          value={of.last_used === null ? t.value.never : ago(of.last_used)}
          note={of.last_used === null ? undefined : moment(of.last_used)}
        />
      </dl>
      <dl class="facts">
        <dt>{t.value.state}</dt>
        <dd>
          <State tone={STATE_TONES[of.state]}>{t.value[of.state]}</State>
        </dd>
        {of.suspended_reason !== null && (
          <>
            <dt>{t.value.why}</dt>
            <dd>{of.suspended_reason || UNKNOWN}</dd>
          </>
        )}
        <dt>{t.value.id}</dt>
        <dd>
          <code>{of.id}</code>
        </dd>
        <dt>{t.value.role}</dt>
        <dd>{t.value[of.role]}</dd>
        <dt>{t.value.created}</dt>
        <dd>{dateOf(of.created === 0 ? null : of.created)}</dd>
        {of.email !== null && (
          <>
            <dt>{t.value.language}</dt>
            <dd>{LANGUAGE_NAMES[of.language]}</dd>
          </>
        )}
        <dt>{t.value.streams}</dt>
        <dd>
          <a href={`/console/admin/live?account=${encodeURIComponent(of.id)}`}>{admin.value.show}</a>
        </dd>
        <dt>{t.value.changes}</dt>
        <dd>
          <a href={`/console/admin/audit?account=${encodeURIComponent(of.id)}`}>{admin.value.show}</a>
        </dd>
      </dl>
    </>
  );
}
