// What administrators type, before it is sent.

import { describe, expect, test } from "vitest";
import { minorOf, typedMinor } from "../src/console/admin/accounts/refund.js";
import { bodyOf, faultsOf, NOTHING_TYPED, typedOf } from "../src/console/admin/models/prices.js";
import type { Candidate } from "../src/console/admin/models/prices.js";
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
    false, true, true, false, false, false, false,
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
      price: { name: "p/m", valid_from: null, own: false, source: "", rates: { input: "1.00", output: "2.00" }, parts: [] },
      coming: [],
      context_tokens_max: 1000,
      output_tokens_max: null,
      shutdown_date: null,
      successor: null,
    };
    expect(typedOf(candidate)).toEqual({
      ...NOTHING_TYPED, model: "p/m", input: "1.00", output: "2.00", context_tokens_max: "1000",
    });
    expect(typedOf({ ...candidate, price: null }).model).toBe("m");
  });
});
