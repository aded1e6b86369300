// What administrators type, before it is sent.

import { describe, expect, test } from "vitest";
import { decisionsOf } from "../src/console/admin/accounts/decide.js";
import { minorOf, typedMinor } from "../src/console/admin/accounts/refund.js";
import { bodyOf, faultsOf, NOTHING_TYPED, typedOf } from "../src/console/admin/models/prices.js";
import type { Candidate } from "../src/console/admin/models/prices.js";
import { ACTIONS, actionName, detailsOf } from "../src/console/admin/audit/entry.js";
import type { Entry } from "../src/console/admin/audit/entry.js";
import { isAmount, isWhole, newReference } from "../src/console/admin/typed.js";

test("amounts are decimal texts above zero", () => {
  for (const text of ["5", "5.00", "0.000000001", "999999999.999999999"]) expect(isAmount(text)).toBe(true);
  for (const text of ["", "0", "0.00", "-5", "+5", "1e3", "5,00", "1.0000000001", "1000000000", "５"]) {
    expect(isAmount(text)).toBe(false);
  }
  expect(isAmount("0.00", true)).toBe(true);
});

test("whole numbers are within their limits, both included", () => {
  expect(["0", "1", "1000", "1001", "1.5", "", "-1"].map((text) => isWhole(text, 1, 1000))).toEqual([
    false,
    true,
    true,
    false,
    false,
    false,
    false,
  ]);
});

test("references are in the form that the API takes, and never the same", () => {
  const made = Array.from({ length: 100 }, newReference);
  for (const reference of made) expect(reference).toMatch(/^[0-9A-Za-z_-]{1,64}$/);
  expect(new Set(made).size).toBe(100);
});

describe("a refund", () => {
  test.each([
    ["USD", "12.34", 1234],
    ["USD", "12", 1200],
    ["USD", "0.05", 5],
    ["USD", "12.345", null],
    ["KRW", "15000", 15000],
    ["KRW", "15000.5", null],
    ["KRW", "", null],
    ["EUR", "12.34", 1234],
    ["JPY", "1500", 1500],
    ["USD", "-1", null],
  ])("of %s %s", (currency, text, minor) => {
    expect(minorOf(currency, text)).toBe(minor);
  });

  test("is typed as it is meant", () => {
    for (const minor of [1, 99, 100, 1234, 100_000]) {
      expect(minorOf("USD", typedMinor("USD", minor))).toBe(minor);
      expect(minorOf("KRW", typedMinor("KRW", minor))).toBe(minor);
    }
    expect(typedMinor("USD", 5)).toBe("0.05");
  });
});

describe("an order", () => {
  const order = { state: "paid", credited: "5.00", paid: null };
  const paid = { currency: "KRW", amount: "7250", amount_minor: 7250, credit: "4.99" };
  test.each([
    [order, ["refund"]],
    [{ ...order, credited: "0.00" }, []],
    [{ ...order, state: "refunding" }, ["give-up"]],
    [{ state: "review", credited: "0.00", paid }, ["accept", "refund", "close"]],
    [{ state: "review", credited: "0.00", paid: { ...paid, amount_minor: 0 } }, ["close"]],
    [{ state: "review", credited: "0.00", paid: null }, ["close"]],
    [{ state: "closed", credited: "0.00", paid }, []],
  ] as const)("%j waits for %j", (order, decisions) => {
    expect(decisionsOf(order)).toEqual(decisions);
  });
});

describe("a price", () => {
  const typed = { ...NOTHING_TYPED, model: " m ", input: "1.25", output: "10" };

  test("is sent without what was left empty", () => {
    expect(bodyOf({ ...typed, context_tokens_max: "128000", valid_from: "2099-01-01", force: "yes" })).toEqual({
      model: "m",
      input: "1.25",
      output: "10",
      context_tokens_max: 128_000,
      valid_from: "2099-01-01",
      force: true,
    });
  });

  test.each([
    [{ ...typed, model: " " }, ["model"]],
    [{ ...typed, input: "", output: "x" }, ["input", "output"]],
    [{ ...typed, reasoning: "1000000.1" }, ["reasoning"]],
    [{ ...typed, output_tokens_max: "0" }, ["output_tokens_max"]],
    [{ ...typed, successor: "n" }, ["successor"]],
    [{ ...typed, successor: "n", shutdown: "2099-01-01" }, []],
    [{ ...typed, input: "0", output: "1000000" }, []],
  ])("is looked at before it is sent (%#)", (wrong, fields) => {
    expect(Object.keys(faultsOf(wrong))).toEqual(fields);
  });

  test("begins with the one so far", () => {
    const candidate: Candidate = {
      provider: "p",
      model: "m",
      price: {
        name: "p/m",
        valid_from: null,
        own: false,
        source: "",
        rates: { input: "1.00", output: "2.00" },
        parts: [],
      },
      coming: [],
      context_tokens_max: 1000,
      output_tokens_max: null,
      shutdown_date: null,
      successor: null,
    };
    expect(typedOf(candidate)).toEqual({
      ...NOTHING_TYPED,
      model: "p/m",
      input: "1.00",
      output: "2.00",
      context_tokens_max: "1000",
    });
    expect(typedOf({ ...candidate, price: null }).model).toBe("m");
  });
});

describe("what administrators have changed", () => {
  function told(details: Entry["details"]): string[] {
    const entry: Entry = {
      number: 1,
      created: 1,
      action: "a",
      target: "t",
      account: null,
      by: "b",
      by_email: null,
      details,
    };
    return detailsOf(entry).map(([name, text]) => `${name}: ${text}`);
  }

  test("every action has words, and one that is not known keeps its name", () => {
    for (const action of ACTIONS) expect(actionName(action)).not.toBe(action);
    expect(actionName("model.melt")).toBe("model.melt");
  });

  test("details are written as people read them", () => {
    expect(told({ amount: "-1.50", reason: "버그 제보" })).toEqual(["Amount: -$1.50", "Reason: 버그 제보"]);
    expect(told({ priority: true, requests_per_minute: 1200, tokens_per_minute: null, streams_max: 0 })).toEqual([
      "Service tier “priority”: yes",
      "Requests a minute: 1,200",
      "Tokens a minute: as other keys",
      "Streams at a time: no limit",
    ]);
    expect(told({ valid_from: "2026-12-01", forced: false, rates: { input: "1.00", cached_input: "0.125" } })).toEqual([
      "Valid from: 2026-12-01",
      "Rates: input $1.00 · cached input $0.125",
    ]);
    expect(told({ valid_from: null, forced: true, reason: null })).toEqual([
      "Valid from: All",
      "Set though it is odd: yes",
      "Reason: –",
    ]);
    expect(told({ amount_minor: 4000, currency: "KRW" })).toEqual(["Amount: ₩4,000"]);
    expect(told({ amount_minor: 450, currency: "USD" })).toEqual(["Amount: $4.50"]);
    expect(told({ count: 0, flavour: "mint", nested: { deep: { er: 1 } } })).toEqual([
      "How many: 0",
      "flavour: mint",
      "nested: deep er 1",
    ]);
    expect(told({ streams_max: 0, before: { priority: false, tokens_per_minute: 1200, streams_max: null } })).toEqual([
      "Streams at a time: no limit",
      "Before: Service tier “priority” no · Tokens a minute 1,200 · Streams at a time as other keys",
    ]);
  });
});
