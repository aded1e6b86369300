// A client over sockets that the test answers for: what a server that died, and one that kept less, make of an answer.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { load } from "./dist.js";

const { Tokenferry, ClientClosedError, ConfigurationError, StreamExpiredError, UpstreamError } =
  await load("node");
const VECTORS = new URL("../../../spec/vectors/api_key.json", import.meta.url);
const apiKey = JSON.parse(readFileSync(VECTORS, "utf8")).cases[0].key;
const request = { model: "m", messages: [{ role: "user", content: "?" }] };

/** Returns a client, and its sockets as they come: `sent` is what it said, `give` answers. */
function world(options = {}) {
  const sockets = [];
  class WebSocket {
    sent = [];
    constructor() {
      sockets.push(this);
      queueMicrotask(() => this.onopen?.());
    }
    send(text) {
      const message = JSON.parse(text);
      this.sent.push(message);
      if (message.type === "auth")
        this.give({ type: "ready", heartbeat_s: 15, connection_id: "c_1" });
      this.waiting?.(message);
    }
    close() {}
    give(...frames) {
      for (const frame of frames) this.onmessage({ data: JSON.stringify(frame) });
    }
    /** Waits for a message of a type. */
    async said(type) {
      const found = () => this.sent.findIndex((message) => message.type === type);
      while (found() < 0) await new Promise((resolve) => (this.waiting = resolve));
      return this.sent.splice(found(), 1)[0];
    }
  }
  const client = new Tokenferry({ baseURL: "http://gateway.test", apiKey, WebSocket, ...options });
  const socket = async (number) => {
    while (sockets.length <= number) await new Promise((resolve) => setTimeout(resolve, 1));
    return sockets[number];
  };
  return { client, socket };
}

const ofStream = { stream_id: "st_1", epoch: 1 };
const started = (ref) => ({ type: "started", ref, ...ofStream, seq: 0 });
const chunk = (seq, content, more = {}) => ({
  type: "chunk",
  ...ofStream,
  seq,
  choices: [{ index: 0, delta: { content } }],
  ...more,
});
const done = (seq, more = {}) => ({
  type: "done",
  ...ofStream,
  seq,
  finish_reason: "stop",
  cost: "0.1",
  done: true,
  ...more,
});

/** Reads everything as a user would who shows it. */
async function shown(stream) {
  let text = "";
  const replaced = [];
  for await (const chunk of stream) {
    text = chunk.replaces ? chunk.text : text + chunk.text;
    if (chunk.replaces) replaced.push(chunk.replaces);
  }
  return { text, replaced };
}

test("what a dead server had sent and lost is taken back, and the rest follows", async () => {
  const { client, socket } = world();
  const stream = client.stream(request);
  const reading = shown(stream);
  const first = await socket(0);
  const { ref, idempotency_key } = await first.said("create");
  assert.equal(idempotency_key, stream.idempotencyKey);
  first.give(started(ref), chunk(1, "a"), chunk(2, "b"), chunk(3, "c"));
  first.onclose({ code: 1006 });
  const second = await socket(1);
  assert.equal((await second.said("resume")).after, 3);
  second.give({
    type: "reset",
    ref,
    stream_id: "st_1",
    epoch: 2,
    keep_through: 1,
    head: 1,
    state: "live",
  });
  second.give(chunk(2, "B", { epoch: 2 }), done(3, { epoch: 2 }));
  assert.deepEqual(await reading, { text: "aB", replaced: ["reset"] });
  assert.equal(stream.answer.text, "aB");
  assert.deepEqual(stream.position, { streamId: "st_1", epoch: 2, seq: 3 });
  assert.equal(stream.cost, "0.1");
  client.close();
});

test("what was saved does not grow with what comes after", async () => {
  const { client, socket } = world();
  const stream = client.stream(request);
  const reading = shown(stream);
  const only = await socket(0);
  const { ref } = await only.said("create");
  only.give(started(ref), chunk(1, "a"));
  while (stream.answer.seq < 1) await new Promise((resolve) => setTimeout(resolve, 1));
  const saved = stream.toJSON();
  only.give(chunk(2, "b"), done(3));
  await reading;
  assert.deepEqual([saved.seq, saved.steps], [1, [[1, 0, "a"]]]);
  client.close();
});

test("behind a position without its text, a reset begins anew", async () => {
  const { client, socket } = world();
  const stream = client.resume({ streamId: "st_1", epoch: 1, seq: 10 });
  const reading = shown(stream);
  const only = await socket(0);
  const { ref } = await only.said("resume");
  only.give({
    type: "reset",
    ref,
    stream_id: "st_1",
    epoch: 2,
    keep_through: 4,
    head: 4,
    state: "live",
  });
  only.give(chunk(5, "lost", { epoch: 2 }));
  assert.equal((await only.said("detach")).stream_id, "st_1");
  const again = await only.said("resume");
  assert.deepEqual([again.epoch, again.after], [2, 0]);
  only.give({
    type: "resumed",
    ref: again.ref,
    stream_id: "st_1",
    epoch: 2,
    from: 0,
    head: 5,
    state: "live",
  });
  only.give(chunk(5, "whole", { epoch: 2, from: 1 }), done(6, { epoch: 2 }));
  assert.deepEqual(await reading, { text: "whole", replaced: ["reset"] });
  client.close();
});

test("a saved answer goes on, and a reset within it is exact", async () => {
  const { client, socket } = world();
  const saved = {
    streamId: "st_1",
    epoch: 1,
    seq: 3,
    steps: [
      [1, 0, "a"],
      [3, 0, "bc", "why"],
    ],
  };
  const stream = client.resume(saved);
  const reading = shown(stream);
  const only = await socket(0);
  const { ref, after } = await only.said("resume");
  assert.equal(after, 3);
  only.give({
    type: "reset",
    ref,
    stream_id: "st_1",
    epoch: 2,
    keep_through: 2,
    head: 2,
    state: "live",
  });
  const again = await only.said("resume");
  assert.deepEqual([again.epoch, again.after], [2, 1], "of a merged chunk nothing can stay");
  only.give({
    type: "resumed",
    ref: again.ref,
    stream_id: "st_1",
    epoch: 2,
    from: 1,
    head: 2,
    state: "live",
  });
  only.give(chunk(2, "B", { epoch: 2 }), done(3, { epoch: 2 }));
  assert.deepEqual(await reading, { text: "aB", replaced: ["reset"] });
  assert.equal(stream.answer.reasoning, "");
  client.close();
});

test("a snapshot takes the place of everything, also of an answer that failed", async () => {
  const message = { content: "whole", reasoning_content: "why" };
  const snapshot = {
    type: "snapshot",
    ...ofStream,
    through: 9,
    message,
    usage: null,
    cost: null,
    done: true,
  };
  for (const [more, check] of [
    [
      { finish_reason: "stop" },
      async (stream) => assert.equal((await stream.final()).reasoning, "why"),
    ],
    [
      {
        finish_reason: null,
        error: { code: "provider_cut_off", type: "provider_error", message: "cut" },
      },
      (stream) => assert.rejects(stream.final(), UpstreamError),
    ],
  ]) {
    const { client, socket } = world();
    const stream = client.resume({ streamId: "st_1", epoch: 1, seq: 2 });
    const only = await socket(0);
    const { ref } = await only.said("resume");
    only.give({ ...snapshot, ref, ...more });
    await check(stream);
    assert.equal(stream.answer.text, "whole");
    client.close();
  }
});

test("an expired stream says how it had ended", async () => {
  const { client, socket } = world();
  const stream = client.follow("st_1");
  const only = await socket(0);
  const { ref } = await only.said("resume");
  const error = { code: "expired", type: "invalid_request_error", message: "gone" };
  only.give({ type: "error", ref, error, state: "done", usage: { total_tokens: 3 }, cost: "0.2" });
  await assert.rejects(stream.text(), (thrown) => {
    assert.ok(thrown instanceof StreamExpiredError);
    assert.deepEqual([thrown.state, thrown.cost, thrown.streamId], ["done", "0.2", "st_1"]);
    return true;
  });
  assert.equal(stream.cost, "0.2");
  client.close();
});

test("leaving the loop cancels; a second reader is refused", async () => {
  const { client, socket } = world();
  const stream = client.stream(request);
  const reading = (async () => {
    for await (const _ of stream) {
      await assert.rejects(shown(stream), ConfigurationError);
      break;
    }
  })();
  const only = await socket(0);
  only.give(started((await only.said("create")).ref), chunk(1, "a"), chunk(2, "b"));
  await reading;
  assert.equal((await only.said("cancel")).stream_id, "st_1");
  only.give(done(3, { finish_reason: "cancelled" }));
  const { text, finishReason } = await stream.final();
  assert.deepEqual([text, finishReason], ["ab", "cancelled"]);
  client.close();
});

test("a stream whose reader is behind is paused, and goes on when it has read", async () => {
  const { client, socket } = world({ bufferBytes: 1_000 });
  const stream = client.stream(request);
  const only = await socket(0);
  const { ref } = await only.said("create");
  only.give(started(ref));
  for (let seq = 1; seq < 20; seq++) only.give(chunk(seq, "x".repeat(100)));
  assert.ok(stream.paused);
  assert.ok(stream.bufferedBytes <= 1_400, String(stream.bufferedBytes));
  await only.said("detach");
  const reading = shown(stream);
  const { after, ref: again } = await only.said("resume");
  only.give({ type: "resumed", ref: again, ...ofStream, from: after, head: 20, state: "live" });
  for (let seq = after + 1; seq < 20; seq++) {
    only.give(chunk(seq, "x".repeat(100)));
    await new Promise((resolve) => setImmediate(resolve));
  }
  only.give(done(20));
  assert.equal((await reading).text.length, 1_900);
  client.close();
});

test("closing fails what has not ended, and nothing can be asked after it", async () => {
  const { client, socket } = world();
  const states = [];
  client.on("connection", ({ status }) => states.push(status));
  const stream = client.stream(request);
  const only = await socket(0);
  only.give(started((await only.said("create")).ref), chunk(1, "a"));
  client.close();
  await assert.rejects(stream.final(), ClientClosedError);
  assert.equal(stream.answer.text, "a");
  assert.throws(() => client.stream(request), ClientClosedError);
  assert.deepEqual(states, ["connecting", "open", "closed"]);
});

test("a connection without streams is closed after a while", async () => {
  const { client, socket } = world({ idleMs: 1 });
  const stream = client.stream(request);
  const only = await socket(0);
  const closed = new Promise((resolve) => (only.close = resolve));
  only.give(started((await only.said("create")).ref), done(1));
  await stream.final();
  assert.equal(await closed, 1000);
  assert.deepEqual(client.connection, { status: "idle" });
  client.close();
});

test("a request is as it was when it was asked, on every connection", async () => {
  const { client, socket } = world();
  const messages = [{ role: "user", content: [{ type: "text", text: "first" }] }];
  const stream = client.stream({ model: "m", messages });
  messages[0].content[0].text = "second";
  messages.push({ role: "user", content: "third" });
  const first = await socket(0);
  const asked = await first.said("create");
  first.onclose({ code: 1006 });
  const again = await (await socket(1)).said("create");
  assert.deepEqual(again, asked);
  assert.deepEqual(asked.request.messages, [
    { role: "user", content: [{ type: "text", text: "first" }] },
  ]);
  stream.detach();
  client.close();
});

test("what cannot be sent is told, and costs nobody else anything", async () => {
  const { client, socket } = world();
  const other = client.stream(request).text();
  const circle = {};
  circle.circle = circle;
  for (const [more, options, said] of [
    [{ seed: 1n }, {}, /BigInt/],
    [{ circle }, {}, /circular/],
    [{ user: "half an emoji: \ud83d" }, {}, /toWellFormed/],
    [{}, { idempotencyKey: "\ud83d" }, /toWellFormed/],
  ]) {
    assert.throws(
      () => client.stream({ ...request, ...more }, options),
      (error) => error instanceof ConfigurationError && said.test(error.message),
    );
  }
  const only = await socket(0);
  only.give(started((await only.said("create")).ref), chunk(1, "👩‍👩‍👧"), done(2));
  assert.equal(await other, "👩‍👩‍👧");
  assert.equal(only.sent.filter(({ type }) => type === "create").length, 0);
  client.close();
});

/** Reads everything as a user would who shows all choices. */
async function shownByChoice(stream) {
  const texts = {};
  for await (const { index, text, replaces } of stream)
    texts[index] = replaces ? text : (texts[index] ?? "") + text;
  return texts;
}

test("of a choice of which nothing stands, nothing is left", async () => {
  const { client, socket } = world();
  const stream = client.stream({ ...request, n: 2 });
  const reading = shownByChoice(stream);
  const first = await socket(0);
  const { ref } = await first.said("create");
  const calls = [{ index: 2, id: "c", function: { name: "f", arguments: "{" } }];
  const ofChoice = (index, delta) => ({ choices: [{ index, delta }] });
  first.give(
    started(ref),
    chunk(1, "", ofChoice(0, { content: "a", tool_calls: calls })),
    chunk(2, "", ofChoice(1, { content: "x" })),
  );
  first.onclose({ code: 1006 });
  const second = await socket(1);
  await second.said("resume");
  const ofEpoch = { ...ofStream, epoch: 2 };
  second.give({ type: "reset", ref, ...ofEpoch, keep_through: 1, head: 1, state: "live" });
  const rest = [{ index: 2, function: { arguments: "}" } }];
  second.give(
    chunk(2, "", { epoch: 2, ...ofChoice(1, { content: "X" }) }),
    chunk(3, "", { epoch: 2, ...ofChoice(0, { content: "b", tool_calls: rest }) }),
    done(4, { epoch: 2 }),
  );
  assert.deepEqual(await reading, { 0: "ab", 1: "X" });
  assert.deepEqual((await stream.final()).texts, ["ab", "X"]);
  assert.deepEqual(stream.answer.toolCalls, [{ id: "c", name: "f", arguments: "{}" }]);
  client.close();
});

test("a call that is told again keeps its index", async () => {
  const { client, socket } = world();
  const steps = [[1, 0, "", "", [{ index: 2, id: "c", name: "f", arguments: "{" }]]];
  const stream = client.resume({ ...{ streamId: "st_1", epoch: 1, seq: 2 }, steps });
  const only = await socket(0);
  const { ref } = await only.said("resume");
  const ofEpoch = { ...ofStream, epoch: 2 };
  only.give({ type: "reset", ref, ...ofEpoch, keep_through: 1, head: 1, state: "live" });
  only.give(done(2, { epoch: 2 }));
  const seen = [];
  for await (const { toolCalls } of stream) seen.push(...toolCalls);
  assert.deepEqual(seen, [{ index: 2, id: "c", name: "f", arguments: "{" }]);
  client.close();
});

test("a snapshot has every choice, and so has what a cancel by HTTP brings", async () => {
  const messages = ["가", "나"].map((content) => ({ role: "assistant", content }));
  const [message] = messages;
  const { client, socket } = world();
  const stream = client.follow("st_1");
  const only = await socket(0);
  const { ref } = await only.said("resume");
  only.give({ ...done(9), type: "snapshot", ref, through: 9, message, messages });
  assert.deepEqual(await shownByChoice(stream), { 0: "가", 1: "나" });
  client.close();
  const summary = {
    ...{ id: "st_1", epoch: 1, head: 9, finish_reason: "cancelled", usage: null, cost: null },
    completion: { choices: messages.map((message) => ({ message })) },
  };
  const other = world({ fetch: async () => new Response(JSON.stringify(summary)) });
  const cancelled = other.client.stream(request);
  const first = await other.socket(0);
  first.give(started((await first.said("create")).ref));
  while (cancelled.id === null) await new Promise((resolve) => setImmediate(resolve));
  first.onclose({ code: 1006 });
  await new Promise((resolve) => setImmediate(resolve));
  await cancelled.cancel();
  assert.deepEqual((await cancelled.final()).texts, ["가", "나"]);
  other.client.close();
});

const { Tokenferry: Page, ConnectionError } = await load("browser");

/** Returns what a page's stream ends with whose tickets are these. */
async function withoutTicket(ticket, options = {}) {
  const fetch = async () => new Response("{}");
  const client = new Page({ baseURL: "http://gateway.test", ticket, fetch, ...options });
  try {
    return await client.stream(request).text();
  } catch (error) {
    return error;
  } finally {
    client.close();
  }
}

test("a ticket that cannot be got is what the error says, and not the gateway", async () => {
  class WebSocket {
    constructor() {
      assert.fail("without a ticket nothing is opened");
    }
  }
  for (const [ticket, said] of [
    [async () => (await Promise.reject(new Error("not logged in"))).ticket, /not logged in/],
    [async () => undefined, /no ticket/],
    [async () => "", /no ticket/],
  ]) {
    const error = await withoutTicket(ticket, { WebSocket, maxRetries: 0 });
    assert.ok(error instanceof ConnectionError);
    assert.deepEqual([error.kind, error.code], ["ticket", "connection_ticket"]);
    assert.match(error.message, said);
  }
});

test("a ticket that never comes is given up", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  let asked = 0;
  const ticket = () => new Promise(() => (asked += 1));
  const ended = withoutTicket(ticket, { WebSocket: class {}, maxRetries: 0 });
  context.mock.timers.tick(0);
  while (asked < 1) await new Promise((resolve) => setImmediate(resolve));
  context.mock.timers.tick(15_000);
  const error = await ended;
  assert.equal(error.kind, "ticket");
  assert.match(error.message, /15 s/);
});

test("why a connection could not be made is not told of the next one", async () => {
  // The first connection fails; while it is found out why, it is not wanted any more.
  let probed;
  const probing = new Promise((resolve) => (probed = resolve));
  let answer;
  const fetch = async () => {
    probed();
    return await new Promise((resolve) => (answer = () => resolve(new Response("{}"))));
  };
  const sockets = [];
  class WebSocket {
    sent = [];
    constructor() {
      sockets.push(this);
      if (sockets.length === 1) queueMicrotask(() => this.onclose({ code: 1006 }));
      else queueMicrotask(() => this.onopen());
    }
    send(text) {
      const message = JSON.parse(text);
      this.sent.push(message);
      if (message.type === "auth") this.give({ type: "ready", heartbeat_s: 15 });
    }
    give(frame) {
      this.onmessage({ data: JSON.stringify(frame) });
    }
    close() {}
  }
  const client = new Tokenferry({
    ...{ baseURL: "http://gateway.test", apiKey, WebSocket, fetch, idleMs: 0 },
  });
  const unwanted = client.stream(request);
  await probing;
  const idle = new Promise((resolve) =>
    client.on("connection", ({ status }) => status === "idle" && resolve()),
  );
  await unwanted.cancel();
  await idle;
  const stream = client.stream(request);
  while (!sockets[1]?.sent.some(({ type }) => type === "create"))
    await new Promise((resolve) => setImmediate(resolve));
  answer();
  await new Promise((resolve) => setImmediate(resolve));
  const { ref } = sockets[1].sent.find(({ type }) => type === "create");
  for (const frame of [started(ref), chunk(1, "a"), done(2)]) sockets[1].give(frame);
  assert.equal(await stream.text(), "a");
  assert.equal(sockets.length, 2);
  client.close();
});

test("what is kept for ever is not closed at once", async (context) => {
  const waits = [];
  context.mock.method(globalThis, "setTimeout", (_, inMs) => waits.push(inMs));
  const client = new Tokenferry({
    ...{ baseURL: "http://gateway.test", apiKey, WebSocket: class {}, idleMs: Infinity },
  });
  await client.stream(request).cancel();
  assert.ok(waits.every((inMs) => inMs < 2 ** 31));
  assert.ok(Math.max(...waits) > 2 ** 30);
  client.close();
});

test("what was detached is not followed again, whatever is still to be read of it", async () => {
  const { client, socket } = world();
  const stream = client.resume({ streamId: "st_1", epoch: 1, seq: 10 });
  const only = await socket(0);
  const { ref } = await only.said("resume");
  const ofEpoch = { ...ofStream, epoch: 2 };
  only.give({ type: "reset", ref, ...ofEpoch, keep_through: 4, head: 4, state: "live" });
  stream.detach();
  assert.deepEqual(await shown(stream), { text: "", replaced: ["reset"] });
  assert.ok(stream.ended);
  assert.equal(only.sent.filter(({ type }) => type === "resume").length, 0);
  client.close();
});
