// Setting a price.

import type { VNode } from "preact";
import { Field, useForm } from "../../../shared/form.js";
import { call } from "../../../shared/session.js";
import { FormDialog } from "../form_dialog.js";
import type { Typed } from "./prices.js";
import { bodyOf, faultsOf } from "./prices.js";
import { t } from "./texts.js";

interface SetPriceProps {
  readonly from: Typed;
  /** Whether the price so far has what cannot be typed here. */
  readonly hasParts: boolean;
  readonly onClose: () => void;
  readonly onSet: () => void;
}

export function SetPrice({ from, hasParts, onClose, onSet }: SetPriceProps): VNode {
  const form = useForm<Typed>(from, {
    check: faultsOf,
    // A refusal for being odd belongs to no field: it is told above them.
    fieldOf: { force: "" as keyof Typed & string },
    send: async (typed) => {
      await call("POST", "/api/admin/prices", bodyOf(typed));
      onSet();
    },
  });
  const isOdd = form.problem?.param === "force" || form.values.force !== "";
  const further = ["cache_write", "cache_write_1h", "reasoning", "context_tokens_max", "output_tokens_max"] as const;
  const isOpen = [...further, "valid_from", "shutdown", "successor"].some((name) => name in form.faults);
  const rate = { form, inputMode: "decimal", suffix: t.value.perMillion } as const;
  return (
    <FormDialog
      title={from.model === "" ? t.value.setPrice : t.value.setPriceOf(from.model)}
      form={form}
      action={t.value.set}
      onClose={onClose}
    >
      {hasParts && <p class="notice warn">{t.value.partsLost}</p>}
      {isOdd && (
        <div class="notice warn">
          <p>{t.value.odd}</p>
          <label class="check">
            <input
              type="checkbox"
              checked={form.values.force !== ""}
              onChange={(event) => form.set("force", event.currentTarget.checked ? "yes" : "")}
            />
            {t.value.force}
          </label>
        </div>
      )}
      <Field form={form} name="model" label={t.value.name} hint={t.value.nameHint} spellcheck={false} required />
      <Field {...rate} name="input" label={t.value.input} required />
      <Field {...rate} name="output" label={t.value.output} required />
      <Field {...rate} name="cached_input" label={t.value.cached} hint={t.value.asInput} />
      <details open={isOpen}>
        <summary>{t.value.further}</summary>
        <div class="fields">
          <Field {...rate} name="cache_write" label={t.value.cacheWrite} hint={t.value.asInput} />
          <Field {...rate} name="cache_write_1h" label={t.value.cacheWrite1h} hint={t.value.asWrite} />
          <Field {...rate} name="reasoning" label={t.value.reasoning} hint={t.value.asOutput} />
          <Field
            form={form}
            name="context_tokens_max"
            label={t.value.context}
            inputMode="numeric"
            suffix={t.value.tokens}
          />
          <Field
            form={form}
            name="output_tokens_max"
            label={t.value.outputMax}
            inputMode="numeric"
            suffix={t.value.tokens}
          />
          <Field form={form} name="valid_from" label={t.value.validFrom} hint={t.value.validFromHint} type="date" />
          <Field form={form} name="shutdown" label={t.value.shutdown} type="date" />
          <Field
            form={form}
            name="successor"
            label={t.value.successor}
            hint={t.value.successorHint}
            spellcheck={false}
          />
        </div>
      </details>
    </FormDialog>
  );
}
