import { afterEach, describe, expect, test } from "vitest";
import {
  ago,
  count,
  dayName,
  dollars,
  duration,
  exactDollars,
  moment,
  nanosOf,
  percent,
  price,
  UNKNOWN,
} from "../src/shared/format.js";
import { language } from "../src/shared/language.js";

afterEach(() => {
  language.value = "en";
});

describe("amounts", () => {
  test.each([
    ["0", 0n],
    ["5.00", 5_000_000_000n],
    ["-6.896551724", -6_896_551_724n],
    ["0.000000001", 1n],
    // Beyond what a float holds.
    ["9007199254740993.000000001", 9_007_199_254_740_993_000_000_001n],
  ])("%s is read exactly", (text, nanos) => expect(nanosOf(text)).toBe(nanos));

  test.each(["", "1.", ".5", "1e3", "+1", "1,000", "0.0000000001", "NaN", "-"])("%j is no amount", (text) =>
    expect(() => nanosOf(text)).toThrow(RangeError),
  );

  test.each([
    ["0.00", 2, "$0.00"],
    ["0", 6, "$0.00"],
    ["36.896517", 2, "$36.90"],
    ["0.005", 2, "$0.01"],
    ["0.004999999", 2, "<$0.01"],
    ["-0.000000001", 6, ">-$0.000001"],
    ["-6.5", 2, "-$6.50"],
    ["1234567.891", 2, "$1,234,567.89"],
    ["999.995", 2, "$1,000.00"],
    ["12.5", 0, "$13"],
    ["9007199254740993.01", 2, "$9,007,199,254,740,993.01"],
  ])("%s with %i decimals is %s", (text, decimals, shown) => expect(dollars(text, decimals)).toBe(shown));

  test.each([
    ["0.00", "$0.00"],
    ["25", "$25.00"],
    ["0.0189915", "$0.0189915"],
    ["-0.000000001", "-$0.000000001"],
    ["1000.100000000", "$1,000.10"],
  ])("%s is exactly %s", (text, shown) => expect(exactDollars(text)).toBe(shown));

  test("what is not known is no zero", () => {
    for (const shown of [
      dollars(null),
      exactDollars(undefined),
      count(null),
      duration(null),
      moment(null),
      ago(null),
      percent(null),
    ]) {
      expect(shown).toBe(UNKNOWN);
    }
  });

  test("won have no decimals, and the language's own form", () => {
    expect(price("KRW", "10000")).toBe("₩10,000");
    expect(price("USD", "5.00")).toBe("$5.00");
    expect(price("EUR", "5.00")).toBe("5.00 EUR");
    language.value = "ko";
    expect(price("KRW", "10000")).toBe("10,000원");
  });
});

test.each([
  [0, "0 ms"],
  [999, "999 ms"],
  [1000, "1.00 s"],
  [59_999, "60.00 s"],
  [60_000, "1 min"],
  [123_456, "2 min 3 s"],
])("%i milliseconds are %s", (ms, shown) => expect(duration(ms).replaceAll("\u00a0", " ")).toBe(shown));

test.each([
  ["en", "Nov 28, 2026, 05:49:40"],
  ["ko", "2026. 11. 28. 05:49:40"],
] as const)("moments in %s stand below each other", (name, shown) => {
  language.value = name;
  const ms = new Date(2026, 10, 28, 5, 49, 40).getTime();
  expect(moment(ms / 1000)).toBe(shown);
});

test("durations in Korean", () => {
  language.value = "ko";
  expect([258, 7_730, 60_000, 123_456].map(duration)).toEqual(["258ms", "7.73초", "1분", "2분 3초"]);
});

test.each([
  [0, "now"],
  [59, "now"],
  [60, "1 minute ago"],
  [3_599, "59 minutes ago"],
  [7_200, "2 hours ago"],
  [86_400, "yesterday"],
  [30 * 86_400, "30 days ago"],
  [-5, "now"],
])("%i seconds ago is %s", (seconds, shown) => expect(ago(1_000_000 - seconds, 1_000_000_000)).toBe(shown));

test("a day is that of the API, whatever the browser's zone", () => {
  expect(dayName("2026-11-01")).toBe("Nov 1");
  language.value = "ko";
  expect(dayName("2026-11-01")).toBe("11월 1일");
});
