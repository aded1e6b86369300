import { expect, test } from "vitest";
import { Announcements, ANNOUNCEMENTS_MAX } from "../../src/chat/announcements.js";

test("an answer is announced a few times, and its end always", () => {
  const announcements = new Announcements();
  announcements.begin();
  let count = 0;
  for (let step = 0; step < 50; step++) count += Number(announcements.admits(`step ${step}`, "step", step));
  expect(count).toBe(ANNOUNCEMENTS_MAX - 1);
  expect(announcements.admits("the end", "end", 60)).toBe(true);
  expect(announcements.admits("once more", "end", 61)).toBe(false);
  announcements.begin();
  expect(announcements.admits("step 0", "step", 70)).toBe(true);
});

test("places in the line are ten seconds apart", () => {
  const announcements = new Announcements();
  expect(announcements.admits("3 ahead", "queue", 0)).toBe(true);
  expect(announcements.admits("2 ahead", "queue", 9_999)).toBe(false);
  expect(announcements.admits("1 ahead", "queue", 10_000)).toBe(true);
});

test("nothing is said twice in a row", () => {
  const announcements = new Announcements();
  expect(announcements.admits("Answering", "step", 0)).toBe(true);
  expect(announcements.admits("Answering", "step", 1)).toBe(false);
});
