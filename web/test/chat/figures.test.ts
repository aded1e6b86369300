import { expect, test } from "vitest";
import { cost, duration, rate } from "../../src/chat/figures.js";

test.each([
  [null, "–"],
  ["0.00", "$0"],
  ["0.000000000", "$0"],
  ["0.00", "$0"],
  ["0.000412", "$0.000412"],
  ["0.000001234567", "$0.00000123"],
  ["0.05", "$0.05"],
  ["0.5", "$0.50"],
  ["12.3456", "$12.34"],
  ["3", "$3.00"],
  ["what", "–"],
])("a cost of %s is shown as %s", (amount, shown) => {
  expect(cost(amount)).toBe(shown);
});

test.each([
  [null, "–"],
  [0, "0 ms"],
  [820.4, "820 ms"],
  [4_230, "4.2 s"],
])("%s ms are shown as %s", (ms, shown) => {
  expect(duration(ms)).toBe(shown);
});

test("a price has no needless zeros, and none is none", () => {
  expect(rate({ input: "1.00", output: "0.40" }, "input")).toBe("1");
  expect(rate({ input: "1.00", output: "0.40" }, "output")).toBe("0.40");
  expect(rate({ input: "0.0125" }, "input")).toBe("0.0125");
  expect(rate({ input: "0.0125" }, "output")).toBeNull();
  expect(rate(null, "input")).toBeNull();
});
