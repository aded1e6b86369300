// Redeeming a voucher.

import type { VNode } from "preact";
import { useState } from "preact/hooks";
import { Field, FormView, missing, useForm } from "../../shared/form.js";
import { dollars } from "../../shared/format.js";
import { texts } from "../../shared/language.js";
import { call } from "../../shared/session.js";
import { Page } from "../parts.js";

const t = texts(
  {
    title: "Vouchers",
    intro: "A voucher's code becomes credit, once.",
    code: "Code",
    hint: "As it stands on the voucher. Capitals, blanks and hyphens do not matter.",
    redeem: "Redeem",
    redeemed: (credit: string, balance: string): string => `${credit} was credited. Your balance is ${balance}.`,
    ledger: "To the ledger",
  },
  {
    title: "쿠폰",
    intro: "쿠폰 번호를 등록하면 크레딧이 충전됩니다. 쿠폰은 한 번만 쓸 수 있습니다.",
    code: "쿠폰 번호",
    hint: "쿠폰에 적힌 대로 입력해 주세요. 대소문자와 공백, 하이픈은 구분하지 않습니다.",
    redeem: "등록",
    redeemed: (credit: string, balance: string): string =>
      `${credit} 크레딧이 충전되었습니다. 현재 잔액은 ${balance}입니다.`,
    ledger: "원장 보기",
  },
);

const CODE_CHARACTERS_MAX = 64;

export function Vouchers(): VNode {
  const [done, setDone] = useState<{ credited: string; balance: string } | null>(null);
  const form = useForm(
    { code: "" },
    {
      check: (values) => {
        setDone(null);
        return missing(values, "code");
      },
      send: async ({ code }) => {
        setDone(await call<{ credited: string; balance: string }>("POST", "/api/vouchers/redeem", { code }));
        form.reset();
      },
    },
  );
  return (
    <Page title={t.value.title} intro={t.value.intro}>
      <FormView form={form} action={t.value.redeem}>
        <Field
          form={form}
          name="code"
          label={t.value.code}
          hint={t.value.hint}
          maxLength={CODE_CHARACTERS_MAX}
          spellcheck={false}
          required
        />
      </FormView>
      <div role="status">
        {done !== null && (
          <div class="notice ok">
            <p>{t.value.redeemed(dollars(done.credited), dollars(done.balance))}</p>
            <a href="/console/credit">{t.value.ledger}</a>
          </div>
        )}
      </div>
    </Page>
  );
}
