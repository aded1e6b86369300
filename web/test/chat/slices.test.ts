import { expect, test } from "vitest";
import { nextEnd, SLICE_CHARACTERS } from "../../src/chat/markdown/slices.js";

test("what is short is drawn at once, what is long a slice at a time", () => {
  expect(nextEnd("", 0)).toBe(0);
  const text = "가".repeat(2 * SLICE_CHARACTERS + 1);
  expect(nextEnd(text.slice(0, SLICE_CHARACTERS), 0)).toBe(SLICE_CHARACTERS);
  const ends = [0];
  while (ends.at(-1)! < text.length) ends.push(nextEnd(text, ends.at(-1)!));
  expect(ends).toEqual([0, SLICE_CHARACTERS, 2 * SLICE_CHARACTERS, text.length]);
});

test("a character of two halves is not cut", () => {
  const text = `a${"🙂".repeat(SLICE_CHARACTERS)}`;
  expect(nextEnd(text, 0)).toBe(SLICE_CHARACTERS + 1);
  expect(nextEnd(text, 1)).toBe(SLICE_CHARACTERS + 1);
});

test("a text that was taken back is drawn as far as it goes", () => {
  expect(nextEnd("short", 100)).toBe(5);
});
