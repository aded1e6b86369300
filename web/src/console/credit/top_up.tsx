// Ordering credit: currency, package, who takes the money. What follows is the payment page's.

import type { VNode } from "preact";
import { useState } from "preact/hooks";
import { dollars, price } from "../../shared/format.js";
import { FormView, useForm } from "../../shared/form.js";
import { language } from "../../shared/language.js";
import { call } from "../../shared/session.js";
import { Choice } from "../filters.js";
import type { Options } from "./order.js";
import { currenciesOf, sellerName } from "./order.js";
import { t } from "./texts.js";

export function TopUp({ options }: { readonly options: Options }): VNode {
  const korean = language.value === "ko";
  const currencies = currenciesOf(options, korean ? "KRW" : "USD");
  const [wish, setWish] = useState({ currency: "", package: "", provider: "" });
  const [going, setGoing] = useState(false);

  const currency = currencies.includes(wish.currency) ? wish.currency : (currencies[0] ?? "");
  const packages = options.packages.filter((one) => one.currency === currency);
  const chosen = packages.find((one) => one.id === wish.package) ?? packages[0];
  const sellers = options.providers.filter((one) => one.currencies.includes(currency));
  const seller = sellers.find((one) => one.name === wish.provider) ?? sellers[0];

  const form = useForm(
    {},
    {
      send: async () => {
        const body = { provider: seller!.name, package: chosen!.id };
        const { pay_url } = await call<{ pay_url: string }>("POST", "/api/topups", body);
        if (!/^https?:\/\//.test(pay_url)) throw new Error("the payment page is no page");
        setGoing(true);
        location.assign(pay_url);
      },
    },
  );
  if (chosen === undefined || seller === undefined) return <p class="empty">{t.value.notSold}</p>;
  return (
    <FormView
      form={form}
      action={t.value.pay}
      class="top-up"
      also={<span role="status">{going && t.value.going}</span>}
    >
      {currencies.length > 1 && (
        <Choice
          label={t.value.currency}
          value={currency}
          choices={currencies.map((name) => [name, name])}
          onChange={(next) => setWish({ ...wish, currency: next })}
        />
      )}
      <fieldset class="packages">
        <legend>{t.value.package}</legend>
        {packages.map((one) => (
          <label key={one.id} class="package">
            <input
              type="radio"
              name="package"
              checked={one.id === chosen.id}
              onChange={() => setWish({ ...wish, currency, package: one.id })}
            />
            <span class="amount">{price(one.currency, one.amount)}</span>
            {one.currency !== "USD" && <span class="note">{t.value.gets(dollars(one.credit))}</span>}
          </label>
        ))}
      </fieldset>
      <fieldset class="packages">
        <legend>{t.value.provider}</legend>
        {sellers.map((one) => (
          <label key={one.name} class="package">
            <input
              type="radio"
              name="provider"
              checked={one.name === seller.name}
              onChange={() => setWish({ ...wish, currency, provider: one.name })}
            />
            <span>{sellerName(one.name, korean)}</span>
            {!one.live && <span class="note">({t.value.test})</span>}
          </label>
        ))}
      </fieldset>
      {!seller.live && <p class="note">{t.value.testText}</p>}
    </FormView>
  );
}
