import { describe, expect, test } from "vitest";
import { dayAt, daysOf, spanOf } from "../src/console/usage/periods.js";
import type { Used } from "../src/console/usage/series.js";
import { costOf, drawn, everyDay, shares, sumsOf } from "../src/console/usage/series.js";

const NOW = Date.parse("2026-11-27T23:59:59Z");

function used(group: string, changes: Partial<Used> = {}): Used {
  return {
    group,
    requests: 1,
    failed: 0,
    unpriced: 0,
    prompt_tokens: 10,
    cached_tokens: 4,
    completion_tokens: 5,
    cost: "0.10",
    list_cost: "0.08",
    cache_saved: "0.01",
    ...changes,
  };
}

describe("the days of a page", () => {
  test.each([
    [{}, "30", "2026-10-29", "2026-11-27"],
    [{ period: "7" }, "7", "2026-11-21", "2026-11-27"],
    [{ period: "month" }, "month", "2026-11-01", "2026-11-30"],
    [{ period: "last-month" }, "last-month", "2026-10-01", "2026-10-31"],
    [{ from: "2026-02-27", to: "2026-03-01" }, "own", "2026-02-27", "2026-03-01"],
    [{ from: "2026-11-27", to: "2026-11-27", period: "7" }, "own", "2026-11-27", "2026-11-27"],
    // What an address says wrongly.
    [{ period: "own" }, "30", "2026-10-29", "2026-11-27"],
    [{ period: "x" }, "30", "2026-10-29", "2026-11-27"],
    [{ from: "2026-03-02", to: "2026-03-01" }, "30", "2026-10-29", "2026-11-27"],
    [{ from: "2026-13-01", to: "2026-13-02" }, "30", "2026-10-29", "2026-11-27"],
    [{ from: "2026-11-01" }, "30", "2026-10-29", "2026-11-27"],
  ])("%j", (query, period, from, to) => expect(spanOf(query, NOW)).toEqual({ period, from, to }));

  test("a month in a leap year, and over a year's end", () => {
    expect(spanOf({ period: "month" }, Date.parse("2028-02-10T00:00:00Z")).to).toBe("2028-02-29");
    expect(spanOf({ period: "last-month" }, Date.parse("2027-01-01T00:00:00Z")).from).toBe("2026-12-01");
  });

  test("all days, the ends included, and no more than asked", () => {
    expect(daysOf("2026-02-27", "2026-03-01")).toEqual(["2026-02-27", "2026-02-28", "2026-03-01"]);
    expect(daysOf("2026-03-01", "2026-02-27")).toEqual([]);
    expect(daysOf("2000-01-01", "2026-01-01", 5)).toHaveLength(5);
  });

  test("today is that of UTC", () => expect(dayAt(NOW)).toBe("2026-11-27"));
});

describe("figures", () => {
  test("days without requests are zero, days to come are not known", () => {
    const rows = everyDay([used("2026-11-26")], "2026-11-25", "2026-11-28", "2026-11-27");
    expect(rows.map((row) => drawn(row, "requests"))).toEqual([0, 1, 0, null]);
    expect(rows.map((row) => drawn(row, "cost"))).toEqual([0, 0.1, 0, null]);
    expect(rows.map((row) => drawn(row, "tokens"))).toEqual([0, 15, 0, null]);
  });

  test("what has no price has no cost; what was free costs zero", () => {
    expect(costOf(used("m", { requests: 2, unpriced: 2, cost: "0.00" }))).toBeNull();
    expect(drawn(used("m", { requests: 2, unpriced: 2, cost: "0.00" }), "cost")).toBeNull();
    expect(costOf(used("m", { requests: 2, unpriced: 1, cost: "0.10" }))).toBe(100_000_000n);
    expect(costOf(used("m", { cost: "0.00" }))).toBe(0n);
  });

  test("sums lose no digit", () => {
    const rows = Array.from({ length: 10 }, (_, index) => used(String(index), { cost: "900719925474099.100000001" }));
    expect(sumsOf(rows).costNanos).toBe(9_007_199_254_740_991_000_000_010n);
    expect(sumsOf([])).toMatchObject({ requests: 0, costNanos: 0n });
  });

  test("bars are shares of the largest", () => {
    expect(shares([used("a", { cost: "1.00" }), used("b", { cost: "0.25" })], "cost")).toEqual([1, 0.25]);
    expect(shares([used("a", { requests: 0 })], "requests")).toEqual([0]);
    expect(shares([], "cost")).toEqual([]);
  });
});
