// Giving and taking credit, and suspending.

import type { VNode } from "preact";
import { useRef } from "preact/hooks";
import { Field, missing, useForm } from "../../../shared/form.js";
import { dollars, exactDollars, nanosOf } from "../../../shared/format.js";
import { call } from "../../../shared/session.js";
import { FormDialog } from "../form_dialog.js";
import { t as admin } from "../texts.js";
import { isAmount, newReference } from "../typed.js";
import type { Account } from "./facts.js";
import { calledOf } from "./facts.js";
import { t } from "./texts.js";

const REASON_CHARACTERS_MAX = 200;

interface GrantProps {
  readonly of: Account;
  readonly onClose: () => void;
  readonly onBooked: () => void;
}

export function GrantCredit({ of, onClose, onBooked }: GrantProps): VNode {
  // Who sends the same again, after an answer that was lost, books it once.
  const sent = useRef({ typed: "", reference: "" });
  const form = useForm(
    { what: "give", amount: "", reason: "" },
    {
      check: (typed) => ({
        ...amountFault(typed.what, typed.amount.trim(), of.available),
        ...missing(typed, "reason"),
      }),
      send: async ({ what, amount, reason }) => {
        const grant = { amount: `${what === "take" ? "-" : ""}${amount.trim()}`, reason: reason.trim() };
        const typed = JSON.stringify(grant);
        if (sent.current.typed !== typed) sent.current = { typed, reference: newReference() };
        await call("POST", `/api/admin/accounts/${encodeURIComponent(of.id)}/grants`, {
          ...grant,
          reference: sent.current.reference,
        });
        onBooked();
      },
    },
  );
  return (
    <FormDialog title={t.value.grantTitle(calledOf(of))} form={form} action={t.value.book} onClose={onClose}>
      <Field
        form={form}
        name="what"
        label={t.value.what}
        choices={[
          ["give", t.value.give],
          ["take", t.value.take],
        ]}
        hint={form.values.what === "take" ? t.value.takeHint(dollars(of.available)) : undefined}
      />
      <Field form={form} name="amount" label={t.value.amount} inputMode="decimal" suffix="USD" required />
      <Field
        form={form}
        name="reason"
        label={t.value.reason}
        hint={t.value.reasonGrantHint}
        maxLength={REASON_CHARACTERS_MAX}
        required
      />
    </FormDialog>
  );
}

function amountFault(what: string, amount: string, available: string): { amount?: string } {
  if (!isAmount(amount)) return { amount: admin.value.amountAboveZero };
  const isTooMuch = what === "take" && nanosOf(amount) > nanosOf(available);
  return isTooMuch ? { amount: t.value.takeHint(exactDollars(available)) } : {};
}

interface SuspendProps {
  readonly of: Account;
  readonly onClose: () => void;
  readonly onSuspended: () => void;
}

export function Suspend({ of, onClose, onSuspended }: SuspendProps): VNode {
  const form = useForm(
    { reason: "" },
    {
      send: async ({ reason }) => {
        await call("POST", `/api/admin/accounts/${encodeURIComponent(of.id)}/suspend`, { reason: reason.trim() });
        onSuspended();
      },
    },
  );
  return (
    <FormDialog
      title={t.value.suspendTitle(calledOf(of))}
      form={form}
      action={t.value.suspend}
      danger
      onClose={onClose}
    >
      <p>{t.value.suspendText}</p>
      <Field
        form={form}
        name="reason"
        label={t.value.reason}
        hint={t.value.reasonSuspendHint}
        maxLength={REASON_CHARACTERS_MAX}
      />
    </FormDialog>
  );
}
