// Making vouchers, and showing their codes this once.

import type { VNode } from "preact";
import { useEffect, useState } from "preact/hooks";
import { count, dollars } from "../../../shared/format.js";
import { Field, useForm } from "../../../shared/form.js";
import { call } from "../../../shared/session.js";
import { Copy, Dialog } from "../../parts.js";
import { FormDialog } from "../form_dialog.js";
import { t as admin } from "../texts.js";
import { isAmount, isWhole } from "../typed.js";
import { t } from "./texts.js";

const MADE_MAX = 1000;
const BATCH_CHARACTERS_MAX = 64;

export interface Made {
  readonly codes: readonly string[];
  readonly amount: string;
  readonly batch: string;
}

interface MakeProps {
  readonly onClose: () => void;
  readonly onMade: (made: Made) => void;
}

export function MakeVouchers({ onClose, onMade }: MakeProps): VNode {
  const form = useForm(
    { amount: "", count: "1", batch: "", expires: "" },
    {
      check: ({ amount, count: number, batch }) => ({
        ...(isAmount(amount.trim()) ? {} : { amount: admin.value.amountAboveZero }),
        ...(isWhole(number.trim(), 1, MADE_MAX) ? {} : { count: admin.value.wholeNumber("1", count(MADE_MAX)) }),
        ...(batch.trim() === "" ? { batch: t.value.batchMissing } : {}),
      }),
      send: async (typed) => {
        onMade(
          await call<Made>("POST", "/api/admin/vouchers", {
            amount: typed.amount.trim(),
            count: Number(typed.count),
            batch: typed.batch.trim(),
            ...(typed.expires === "" ? {} : { expires: typed.expires }),
          }),
        );
      },
    },
  );
  return (
    <FormDialog title={t.value.make} form={form} action={t.value.make} onClose={onClose}>
      <Field form={form} name="amount" label={t.value.amount} inputMode="decimal" suffix="USD" required />
      <Field form={form} name="count" label={t.value.count} hint={t.value.countHint} inputMode="numeric" required />
      <Field
        form={form}
        name="batch"
        label={t.value.batch}
        hint={t.value.batchHint}
        maxLength={BATCH_CHARACTERS_MAX}
        required
      />
      <Field form={form} name="expires" label={t.value.expires} hint={t.value.expiresHint} type="date" />
    </FormDialog>
  );
}

/** The codes. Escape does not close it: what is lost here is lost. */
export function Codes({ of, onClose }: { readonly of: Made; readonly onClose: () => void }): VNode {
  const text = of.codes.join("\n");
  const [url, setUrl] = useState<string>();
  useEffect(() => {
    const made = URL.createObjectURL(new Blob([`${text}\n`], { type: "text/plain" }));
    setUrl(made);
    return () => URL.revokeObjectURL(made);
  }, [text]);
  return (
    <Dialog title={t.value.made(count(of.codes.length))} onClose={onClose} firm>
      <p>
        {of.batch} · {dollars(of.amount)}
      </p>
      <p>{t.value.once}</p>
      <pre class="codes" tabIndex={0} aria-label={t.value.codes}>
        <code>{text}</code>
      </pre>
      <p class="actions">
        <Copy text={text} label={t.value.copyAll} />
        {url !== undefined && (
          <a class="button" href={url} download="vouchers.txt">
            {t.value.save}
          </a>
        )}
      </p>
      <p class="actions">
        <button type="button" class="button primary" onClick={onClose}>
          {t.value.done}
        </button>
      </p>
    </Dialog>
  );
}
