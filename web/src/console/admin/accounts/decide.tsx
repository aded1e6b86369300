// What is decided of an order: to take what was paid instead, to close it, to wait for a refund no longer.

import type { VNode } from "preact";
import { Field, missing, useForm } from "../../../shared/form.js";
import { price } from "../../../shared/format.js";
import { call } from "../../../shared/session.js";
import { FormDialog } from "../form_dialog.js";
import { isAmount } from "../typed.js";
import type { Order } from "./orders.js";
import { typedMinor } from "./refund.js";
import { t } from "./texts.js";

interface DecideProps {
  readonly of: Order;
  readonly onClose: () => void;
  readonly onDone: () => void;
}

/** What may be decided of an order. */
export type Decision = "accept" | "refund" | "close" | "give-up";

/** The decisions that an order waits for, or admits. */
export function decisionsOf(order: Pick<Order, "state" | "credited" | "paid">): Decision[] {
  if (order.state === "refunding") return ["give-up"];
  if (order.state !== "review") return order.credited === "0.00" ? [] : ["refund"];
  // Of test money, nothing was paid.
  return order.paid !== null && order.paid.amount_minor > 0 ? ["accept", "refund", "close"] : ["close"];
}

async function post(of: Order, what: string, body: object): Promise<void> {
  await call("POST", `/api/admin/topups/${encodeURIComponent(of.id)}/${what}`, body);
}

export function Accept({ of, onClose, onDone }: DecideProps): VNode {
  const paid = of.paid!;
  const form = useForm(
    { credit: paid.credit ?? "" },
    {
      check: ({ credit }) => (isAmount(credit.trim()) ? {} : { credit: t.value.acceptFault }),
      send: async ({ credit }) => {
        await post(of, "accept", { amount_minor: paid.amount_minor, currency: paid.currency, credit: credit.trim() });
        onDone();
      },
    },
  );
  return (
    <FormDialog title={t.value.acceptOf(of.id)} form={form} action={t.value.acceptDo} onClose={onClose}>
      <p>{t.value.acceptText(price(paid.currency, paid.amount), price(of.currency, of.amount))}</p>
      <Field
        form={form}
        name="credit"
        label={t.value.acceptCredit}
        hint={paid.credit === null ? t.value.acceptNoRate : t.value.acceptRate}
        inputMode="decimal"
        suffix="USD"
        required
      />
    </FormDialog>
  );
}

export function Close({ of, onClose, onDone }: DecideProps): VNode {
  const form = useForm(
    { reason: "" },
    {
      check: (values) => missing(values, "reason"),
      send: async ({ reason }) => {
        await post(of, "close", { reason: reason.trim() });
        onDone();
      },
    },
  );
  return (
    <FormDialog title={t.value.closeOf(of.id)} form={form} action={t.value.closeDo} danger onClose={onClose}>
      <p>{t.value.closeText}</p>
      <Field form={form} name="reason" label={t.value.reason} hint={t.value.reasonCloseHint} required />
    </FormDialog>
  );
}

export function GiveUp({ of, onClose, onDone }: DecideProps): VNode {
  const form = useForm(
    {},
    {
      send: async () => {
        await post(of, "refund/give-up", {});
        onDone();
      },
    },
  );
  const currency = of.paid?.currency ?? of.currency;
  return (
    <FormDialog title={t.value.giveUpOf(of.id)} form={form} action={t.value.giveUpDo} danger onClose={onClose}>
      <p>{t.value.giveUpText(price(currency, typedMinor(currency, of.pending_minor)))}</p>
    </FormDialog>
  );
}
