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
function live(text: string): { live: Live; happens: (name: string) => void } {
  const listeners = new Map<string, () => void>();
  const on = (name: string, listener: () => void) => listeners.set(name, listener);
  const stream = { id: "st_1", ended: false, answer: { text, reasoning: "" }, on, cancel: () => undefined };
  return { live: new Live(stream as unknown as Stream), happens: (name) => listeners.get(name)!() };
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
