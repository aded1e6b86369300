// Giving money back.

import type { VNode } from "preact";
import { Field, useForm } from "../../../shared/form.js";
import { price } from "../../../shared/format.js";
import { call } from "../../../shared/session.js";
import { FormDialog } from "../form_dialog.js";
import type { Order } from "./orders.js";
import { t } from "./texts.js";

// Currencies without digits after the point, ISO 4217; somebody may have paid in one that is not sold.
const NO_DIGITS = new Set("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF".split(" "));

function digitsOf(currency: string): number {
  return NO_DIGITS.has(currency) ? 0 : 2;
}

/** The smallest units of an amount as it is typed; null for what is none. */
export function minorOf(currency: string, text: string): number | null {
  const digits = digitsOf(currency);
  const parts = /^(\d{1,12})(?:\.(\d+))?$/.exec(text);
  if (parts === null || (parts[2] ?? "").length > digits) return null;
  return Number(parts[1]! + (parts[2] ?? "").padEnd(digits, "0"));
}

/** An amount of smallest units as it is typed. */
export function typedMinor(currency: string, minor: number): string {
  const digits = digitsOf(currency);
  const text = String(minor).padStart(digits + 1, "0");
  return digits === 0 ? text : `${text.slice(0, -digits)}.${text.slice(-digits)}`;
}

interface RefundProps {
  readonly of: Order;
  readonly onClose: () => void;
  readonly onRefunded: () => void;
}

export function Refund({ of, onClose, onRefunded }: RefundProps): VNode {
  // What was paid instead of what was ordered goes back as it came.
  const { currency, amount_minor: paid } = of.paid ?? of;
  const left = paid - of.refunded_minor;
  const most = price(currency, typedMinor(currency, left));
  const form = useForm(
    { amount_minor: typedMinor(currency, left), bank: "", number: "", holder: "" },
    {
      check: ({ amount_minor, bank, number, holder }) => {
        const minor = minorOf(currency, amount_minor.trim());
        const given = [bank, number, holder].filter((text) => text.trim() !== "").length;
        return {
          ...(minor === null || minor < 1 || minor > left ? { amount_minor: t.value.refundFault(most) } : {}),
          ...(given === 0 || given === 3 ? {} : { bank: t.value.bankFault }),
        };
      },
      send: async ({ amount_minor, bank, number, holder }) => {
        const account =
          bank.trim() === "" ? {} : { account: { bank: bank.trim(), number: number.trim(), holder: holder.trim() } };
        await call("POST", `/api/admin/topups/${encodeURIComponent(of.id)}/refund`, {
          amount_minor: minorOf(currency, amount_minor.trim()),
          ...account,
        });
        onRefunded();
      },
    },
  );
  return (
    <FormDialog title={t.value.refundOf(of.id)} form={form} action={t.value.refundDo} danger onClose={onClose}>
      <p>{t.value.refundText}</p>
      <Field
        form={form}
        name="amount_minor"
        label={t.value.refundAmount}
        hint={t.value.refundHint(most)}
        inputMode="decimal"
        suffix={currency}
        required
      />
      <details open={form.faults.bank !== undefined}>
        <summary>{t.value.account}</summary>
        <div class="fields">
          <Field form={form} name="bank" label={t.value.bank} />
          <Field form={form} name="number" label={t.value.bankNumber} inputMode="numeric" />
          <Field form={form} name="holder" label={t.value.holder} />
        </div>
      </details>
    </FormDialog>
  );
}
