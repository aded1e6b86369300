// What a link does beyond the vectors: pauses, notices, and refusals from outside of messages.

import assert from "node:assert/strict";
import { test } from "node:test";

import { load } from "./dist.js";

const { Link } = await load("link");

const creation = { request: {}, idempotencyKey: "k" };
const ready = '{"type":"ready","heartbeat_s":15,"connection_id":"c_1"}';
const started = '{"type":"started","ref":"a","stream_id":"st_1","epoch":1,"seq":0}';
const chunk = (seq, text = "x") =>
  JSON.stringify({
    type: "chunk",
    stream_id: "st_1",
    epoch: 1,
    seq,
    choices: [{ index: 0, delta: { content: text } }],
  });

function live(options = {}) {
  const link = new Link(options);
  link.create("a", creation, 0);
  link.opened(0);
  for (const text of [ready, started, chunk(1)]) link.received(text, 0, 0);
  return link;
}

const told = (actions) =>
  actions.filter(({ kind }) => kind === "deliver").map(({ event }) => event);
const sent = (actions) =>
  actions.filter(({ kind }) => kind === "send").map(({ message }) => message);
const resume = (after) => ({ type: "resume", ref: "a", stream_id: "st_1", epoch: 1, after });

test("a paused stream is let go, and asked for again where it was left", () => {
  const link = live();
  assert.deepEqual(sent(link.pause("a", 0, 0)), [{ type: "detach", stream_id: "st_1" }]);
  assert.deepEqual(told(link.received(chunk(2), 0, 0)), []);
  assert.deepEqual(link.pause("a", 0, 0), [], "it is paused already");
  assert.deepEqual(sent(link.unpause("a")), [resume(1)]);
  assert.deepEqual(link.unpause("a"), [], "it is not paused any more");
});

test("a paused stream is not asked for on the next connection, until it is wanted", () => {
  const link = live();
  link.pause("a", 0, 0);
  const [dial] = link.closed(1006, 0, 0).filter(({ kind }) => kind === "connect");
  assert.deepEqual([dial.delayMs, dial.attempt], [250, 1]);
  assert.deepEqual(link.unpause("a"), [], "there is no connection");
  link.pause("a", 0, 0);
  link.opened(1);
  assert.deepEqual(sent(link.received(ready, 1, 0)), []);
  assert.deepEqual(sent(link.unpause("a")), [resume(1)]);
});

test("a paused stream can be cancelled: at once where there is a connection, else on the next", () => {
  const cancel = { type: "cancel", stream_id: "st_1" };
  const link = live();
  link.pause("a", 0, 0);
  assert.deepEqual(sent(link.cancel("a", 0, 0)), [cancel]);
  assert.deepEqual(sent(link.cancel("a", 0, 0)), [], "it was sent");
  const other = live();
  other.pause("a", 0, 0);
  other.closed(1006, 0, 0);
  assert.deepEqual(sent(other.cancel("a", 0, 0)), []);
  other.opened(1);
  assert.deepEqual(sent(other.received(ready, 1, 0)), [cancel]);
  assert.deepEqual(sent(other.unpause("a")), [resume(1)]);
});

test("what is no part of an answer is told to who asked for it", () => {
  const notices = [
    { type: "queued", stream_id: "st_1", position: 3, eta_s: null },
    { type: "caught_up", stream_id: "st_1", seq: 1 },
    {
      type: "rate_limits",
      ref: "a",
      rate_limits: [{ name: "requests", limit: 60, remaining: 59, reset_ms: 1000 }],
    },
    { type: "queued", stream_id: "st_other", position: 3, eta_s: 1 },
  ];
  const events = (link) =>
    notices.flatMap((notice) => told(link.received(JSON.stringify(notice), 0, 0)));
  assert.deepEqual(events(live()), []);
  assert.deepEqual(events(live({ notices: true })), [
    { type: "queued", ref: "a", position: 3, etaS: null },
    { type: "caught_up", ref: "a", seq: 1 },
    {
      type: "rate_limits",
      ref: "a",
      limits: [{ name: "requests", limit: 60, remaining: 59, resetMs: 1000 }],
    },
  ]);
});

test("a connection that is in doubt is asked, and given up when it does not answer", () => {
  const link = live();
  const [ping, timer] = link.doubt(1_000);
  assert.deepEqual(ping.message, { type: "ping", t: 1_000 });
  assert.deepEqual(timer, { kind: "timer", inMs: 5_000 });
  assert.deepEqual(link.doubt(2_000), [], "it was asked");
  assert.deepEqual(link.fired(5_999, 0), [{ kind: "timer", inMs: 1 }]);
  const [close, , dial] = link.fired(6_000, 0);
  assert.deepEqual([close.code, dial.kind, dial.delayMs], [4108, "connect", 250]);
  assert.deepEqual(link.doubt(6_001), [], "there is nothing to doubt");
});

test("a connection that was in doubt and answers is a good one", () => {
  const link = live();
  link.doubt(1_000);
  link.received('{"type":"pong","t":1000}', 5_999, 0);
  assert.equal(
    link.fired(6_000, 0).some(({ kind }) => kind === "close"),
    false,
  );
  assert.equal(link.phase, "open");
  assert.equal(sent(link.doubt(7_000)).length, 1, "it can be doubted again");
});

test("after the network was away, another connection is opened at once", () => {
  const link = live();
  const [close, , dial] = link.redial(1_000, 0);
  assert.deepEqual([close.code, dial.kind, dial.delayMs], [4108, "connect", 250]);
  assert.deepEqual(link.redial(1_001, 0), [], "it is being opened");
  link.opened(1_500);
  assert.deepEqual(sent(link.received(ready, 1_500, 0)), [resume(1)]);
});

test("a refusal that came outside of a message has its own words", () => {
  const link = live();
  const refusal = {
    code: "invalid_api_key",
    message: "revoked",
    type: "",
    param: null,
    retryable: false,
  };
  const [event] = told(link.closed(4001, 0, 0, refusal));
  assert.deepEqual([event.type, event.error], ["failed", refusal]);
  assert.equal(link.phase, "idle");
});

test("when no attempt can succeed, everything fails and nothing is tried again", () => {
  const link = live();
  link.closed(1006, 0, 0);
  const error = { code: "connection_dns", message: "?", type: "", param: null, retryable: false };
  const actions = link.refuse(error);
  assert.deepEqual(actions[0], { kind: "close", code: 1000 });
  assert.deepEqual(
    told(actions).map((event) => event.error),
    [error],
  );
  assert.equal(link.phase, "idle");
});

test("the kept text of an answer that failed is told, and then how it failed", () => {
  const link = live();
  link.closed(1006, 0, 0);
  link.opened(1);
  link.received(ready, 1, 0);
  const snapshot = {
    type: "snapshot",
    ref: "a",
    stream_id: "st_1",
    epoch: 1,
    through: 5,
    message: { content: "half" },
    finish_reason: null,
    usage: null,
    cost: "0.1",
    done: true,
    error: { code: "provider_cut_off", message: "cut", type: "provider_error" },
  };
  const events = told(link.received(JSON.stringify(snapshot), 1, 0));
  assert.deepEqual(
    events.map(({ type }) => type),
    ["snapshot", "failed"],
  );
  assert.deepEqual([events[1].error.code, events[1].cost], ["provider_cut_off", "0.1"]);
});

test("what was cancelled and left can be followed again", () => {
  const link = live();
  link.closed(1006, 0, 0);
  link.cancel("a", 0, 0);
  link.detach("a", 0, 0);
  link.follow("b", { streamId: "st_1", epoch: 1, after: 1 }, 0);
  link.opened(1);
  assert.deepEqual(sent(link.received(ready, 1, 0)), [
    { type: "cancel", stream_id: "st_1" },
    { ...resume(1), ref: "b" },
  ]);
  const resumed = { type: "resumed", ref: "b", stream_id: "st_1", epoch: 1, from: 1, head: 2 };
  link.received(JSON.stringify(resumed), 1, 0);
  assert.deepEqual(
    told(link.received(chunk(2), 1, 0)).map(({ ref }) => ref),
    ["b"],
  );
});
