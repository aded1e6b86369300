// The short requests, over a fetch of the test's own.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { load } from "./dist.js";

const { asking } = await load("http");
const { Tokenferry } = await load("node");
const VECTORS = new URL("../../../spec/vectors/api_key.json", import.meta.url);
const apiKey = JSON.parse(readFileSync(VECTORS, "utf8")).cases[0].key;
const { ConnectionError, RateLimitError, ServerError } = await load("errors");

/** Returns what asks, and what it asked: answers are given in turn, the last one for ever. */
function world(...answers) {
  const asked = [];
  const own = async (url, options) => {
    asked.push({ url, ...options });
    const [status, body, headers] = answers.length > 1 ? answers.shift() : answers[0];
    if (status === 0) throw new TypeError("fetch failed");
    return new Response(body, { status, headers });
  };
  return { asked, ask: asking({ http: "http://gateway.test" }, "tf_key", own, 2) };
}

const refused = JSON.stringify({
  error: {
    code: "rate_limit_exceeded",
    type: "rate_limit_error",
    message: "slow",
    retryable: true,
  },
  limit: { scope: "key" },
});

test("an answer is an object, and the key is in a header", async () => {
  const { ask, asked } = world([200, '{"a": 1}']);
  assert.deepEqual(await ask("/x"), { a: 1 });
  const [{ url, method, headers }] = asked;
  assert.deepEqual(
    [url, method, headers],
    ["http://gateway.test/x", "GET", { Authorization: "Bearer tf_key" }],
  );
});

test("what failed for a while is asked again, after the time that was named", async () => {
  const { ask, asked } = world([429, refused, { "retry-after-ms": "0" }], [200, "{}"]);
  assert.deepEqual(await ask("/x"), {});
  assert.equal(asked.length, 2);
});

test("a time is read from either header, and nobody waits for minutes", async () => {
  for (const [headers, expected] of [
    [{ "retry-after-ms": "90500", "retry-after": "91" }, 90_500],
    [{ "retry-after": "91" }, 91_000],
    [{ "retry-after-ms": "soon", "retry-after": "91" }, 91_000],
  ]) {
    const { ask, asked } = world([429, refused, { ...headers, "x-request-id": "req_1" }]);
    await assert.rejects(ask("/x"), (error) => {
      assert.ok(error instanceof RateLimitError);
      assert.deepEqual(
        [error.retryAfterMs, error.requestId, error.limit, error.message],
        [expected, "req_1", { scope: "key" }, "slow"],
      );
      return true;
    });
    assert.equal(asked.length, 1);
  }
  const { ask } = world([429, refused, { "retry-after": "soon" }]);
  await assert.rejects(ask("/x", { maxRetries: 0 }), { retryAfterMs: null });
});

test("what a proxy answers for a server that is away is said to be none of the gateway's", async () => {
  const { ask } = world([502, "<html>"]);
  await assert.rejects(ask("/x", { maxRetries: 0 }), (error) => {
    assert.ok(error instanceof ServerError);
    assert.deepEqual([error.code, error.status, error.retryable], ["http_502", 502, true]);
    assert.match(error.message, /not the gateway's own/);
    return true;
  });
});

test("no answer is a connection's error", async () => {
  const { ask } = world([0]);
  await assert.rejects(ask("/x", { method: "DELETE", maxRetries: 0 }), (error) => {
    assert.ok(error instanceof ConnectionError);
    assert.equal(error.message, "DELETE /x: the request failed.");
    assert.ok(error.cause instanceof TypeError);
    return true;
  });
});

test("an answer that breaks off is a connection's error, and is asked for again", async () => {
  const broken = () => {
    const start = (controller) => controller.enqueue(new TextEncoder().encode('{"a"'));
    const pull = (controller) => controller.error(new TypeError("terminated"));
    return new ReadableStream({ start, pull });
  };
  const { ask, asked } = world([200, broken()], [200, '{"a": 1}']);
  assert.deepEqual(await ask("/x"), { a: 1 });
  assert.equal(asked.length, 2);
  const once = world([200, broken()]);
  await assert.rejects(once.ask("/x", { maxRetries: 0 }), ConnectionError);
});

test("a model's name may be anything: what a path cannot hold is encoded, its slashes stay", async () => {
  const asked = [];
  const own = async (url) => {
    asked.push(url);
    return new Response('{"id": "m"}');
  };
  const client = new Tokenferry({ baseURL: "http://gateway.test", apiKey, fetch: own });
  assert.deepEqual(await client.models.get("vendor/모델 1?#%"), { id: "m" });
  client.close();
  assert.deepEqual(asked, ["http://gateway.test/v1/models/vendor/%EB%AA%A8%EB%8D%B8%201%3F%23%25"]);
});
