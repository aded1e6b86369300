import { expect, test } from "vitest";
import { DICTIONARIES } from "../../src/chat/texts.js";

const { en, ko } = DICTIONARIES;
type Name = keyof typeof en;

/** A text, or what a function makes of values that can be told apart. */
function written(text: (typeof en)[Name]): string {
  return typeof text === "string" ? text : (text as (...values: unknown[]) => string)(7, 9);
}

// The same in both languages.
const NAMES = new Set<string>(["product", "price", "branch"]);

test.each(Object.keys(en) as Name[])("%s is said in both languages", (name) => {
  const [english, korean] = [written(en[name]), written(ko[name])];
  expect(typeof en[name]).toBe(typeof ko[name]);
  expect(english).not.toMatch(/[가-힣]/);
  if (!NAMES.has(name)) expect(korean).toMatch(/[가-힣]/);
  expect(korean).not.toMatch(/이\(가\)|을\(를\)|은\(는\)/);
  // What is filled in is filled in on both sides.
  for (const value of ["7", "9"]) expect(korean.includes(value)).toBe(english.includes(value));
});

test("no language has a text that the other one has not", () => {
  expect(Object.keys(ko)).toEqual(Object.keys(en));
});
