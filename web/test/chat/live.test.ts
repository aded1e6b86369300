import type { Stream } from "tokenferry";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Live } from "../../src/chat/live.js";

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("window", globalThis);
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

/** An answer of which so much is there, and how to say what happens to it. */
function live(text: string, id: string | null = "st_1", isAgain = false) {
  const listeners: [string, () => void][] = [];
  const on = (name: string, listener: () => void) => listeners.push([name, listener]);
  const cancel = vi.fn();
  const stream = { id, ended: false, answer: { text, reasoning: "" }, on, cancel };
  const happens = (name: string) => listeners.forEach(([on, listener]) => on === name && listener());
  return { live: new Live(stream as unknown as Stream, isAgain), happens, cancel };
}

test.each([
  ["some", "answering"],
  ["", "waiting"],
])("that it has caught up is said for two seconds: %j", (text, then) => {
  const { live: answer, happens } = live(text);
  expect(answer.phase.value.kind).toBe("reconnecting");
  happens("caughtUp");
  vi.advanceTimersByTime(1_999);
  expect(answer.phase.value.kind).toBe("caughtUp");
  vi.advanceTimersByTime(1);
  expect(answer.phase.value.kind).toBe(then);
});

test("what it says of the connection outlasts no other news, and a stop outlasts it", () => {
  const { live: answer, happens } = live("some");
  happens("caughtUp");
  happens("reconnecting");
  vi.advanceTimersByTime(5_000);
  expect(answer.phase.value.kind).toBe("reconnecting");
  answer.stop();
  happens("caughtUp");
  vi.advanceTimersByTime(5_000);
  expect(answer.phase.value.kind).toBe("stopping");
});

test.each([
  ["that has a name", "st_1", true],
  ["that is asked for now", null, false],
])("a stop ends an answer %s at once", (_name, id, isAgain) => {
  const { live: answer, cancel } = live("", id, isAgain);
  answer.stop();
  answer.stop();
  expect(cancel).toHaveBeenCalledTimes(1);
});

test("a stop of what an earlier page has asked for waits for its name: it may be under way", () => {
  const { live: answer, happens, cancel } = live("", null, true);
  answer.stop();
  expect(cancel).not.toHaveBeenCalled();
  expect(answer.phase.value.kind).toBe("stopping");
  happens("started");
  expect(cancel).toHaveBeenCalledTimes(1);
  expect(answer.phase.value.kind).toBe("stopping");
});
