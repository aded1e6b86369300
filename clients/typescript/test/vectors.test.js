// The link over the vectors that all clients share. Needs the build: npm run build, or one that
// stands elsewhere: TOKENFERRY_DIST.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { load } from "./dist.js";

const { Link, STREAMS_MAX } = await load("link");
const VECTORS = new URL("../../../spec/vectors/client/", import.meta.url);
const OPTIONS = {
  attempts_max: "attemptsMax",
  outage_ms_max: "outageMsMax",
  retries_max: "maxRetries",
  wait_ms_max: "waitMsMax",
};
const INFO = { retry_after_ms: "retryAfterMs" };
const EVENT_KEYS = {
  streamId: "stream_id",
  keepThrough: "keep_through",
  finishReason: "finish_reason",
  finishReasons: "finish_reasons",
};

const renamed = (object, names) =>
  Object.fromEntries(Object.entries(object).map(([key, value]) => [names[key] ?? key, value]));

/** Returns what was said of a connection's end. */
const refusal = ({ refusal: said }) => said && { retryAfterMs: null, ...renamed(said, INFO) };

/** Gives the link the one input of a step. */
function perform(link, step) {
  const [[kind, values]] = Object.entries(step.do);
  const nowMs = step.at_ms;
  const bits = values.random_bits ?? 0;
  switch (kind) {
    case "create": {
      const { ref, idempotency_key: idempotencyKey, ...rest } = values;
      return link.create(ref, { idempotencyKey, ...rest }, nowMs);
    }
    case "follow": {
      const { ref, stream_id: streamId, epoch, after } = values;
      return link.follow(ref, { streamId, epoch, after }, nowMs);
    }
    case "cancel":
      return link.cancel(values.ref, nowMs, bits);
    case "detach":
      return link.detach(values.ref, nowMs, bits);
    case "close":
      return link.close();
    case "opened":
      return link.opened(nowMs);
    case "closed":
      return link.closed(values.code, nowMs, bits, refusal(values));
    case "fired":
      return link.fired(nowMs, bits);
    case "received":
      return link.received(values.text ?? JSON.stringify(values.frame), nowMs, bits);
    default:
      throw new Error(kind);
  }
}

/** Leaves out what an event does not say: null, and empty lists. */
function plain(event) {
  return Object.fromEntries(
    Object.entries(event)
      .filter(([, value]) => value !== null && !(Array.isArray(value) && !value.length))
      .map(([key, value]) => [key, key === "error" ? plain(value) : value]),
  );
}

/** Takes the time out of an error, beside which the vectors have it. */
function told({ error, ...event }) {
  const { retryAfterMs = null, ...rest } = error ?? {};
  return error ? { ...event, error: rest, retry_after_ms: retryAfterMs } : event;
}

/** Returns an action as the vectors write it. */
function wire(action) {
  switch (action.kind) {
    case "send":
      return { send: action.message };
    case "deliver":
      return { event: plain(told(renamed(action.event, EVENT_KEYS))) };
    case "connect":
      return { connect: { delay_ms: action.delayMs, ...(action.ticket && { ticket: true }) } };
    case "close":
      return { close: { code: action.code } };
    case "timer":
      return { timer: { in_ms: action.inMs } };
    default:
      throw new Error(action.kind);
  }
}

const expected = (action) => (action.event ? { event: plain(action.event) } : action);

let count = 0;
for (const file of readdirSync(VECTORS)
  .filter((name) => name.endsWith(".json"))
  .sort()) {
  for (const { name, options = {}, steps } of JSON.parse(
    readFileSync(new URL(file, VECTORS), "utf8"),
  ).cases) {
    count += 1;
    test(`${file}: ${name}`, () => {
      const link = new Link(renamed(options, OPTIONS));
      steps.forEach((step, number) => {
        const done = perform(link, step).map(wire);
        assert.deepEqual(
          done,
          step.expect.map(expected),
          `step ${number}: ${JSON.stringify(step.do)}`,
        );
      });
    });
  }
}

test("there are vectors", () => assert.ok(count > 100));

const creation = { request: {}, idempotencyKey: "k" };

test("a ref is used once at a time", () => {
  const link = new Link();
  link.create("a", creation, 0);
  assert.throws(() => link.create("a", creation, 0), RangeError);
  link.cancel("a", 0, 0);
  assert.deepEqual(link.create("a", creation, 0), []);
  assert.equal(link.phase, "dialling");
});

test("a stream is followed once", () => {
  const link = new Link();
  const following = { streamId: "st_1", epoch: 1, after: 0 };
  link.follow("a", following, 0);
  assert.throws(() => link.follow("b", following, 0), RangeError);
});

test("the number of streams is limited", () => {
  const link = new Link();
  for (let number = 0; number < STREAMS_MAX; number++) link.create(String(number), creation, 0);
  assert.throws(() => link.create("one more", creation, 0), RangeError);
});

test("the caller's request is not changed", () => {
  const request = { stream: false };
  const link = new Link();
  link.create("a", { ...creation, request }, 0);
  link.opened(0);
  const [sent] = link.received('{"type":"ready","heartbeat_s":15}', 0, 0);
  assert.equal(sent.message.request.stream, true);
  assert.equal(request.stream, false);
});

test("deep nesting is no crash", () => {
  const link = new Link();
  link.create("a", creation, 0);
  link.opened(0);
  const kinds = link.received("[".repeat(200_000), 0, 0).map((action) => action.kind);
  assert.deepEqual(kinds, ["close", "timer", "connect"]);
});
