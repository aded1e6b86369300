// The tree of errors, against the table that the server's own code gives.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { load } from "./dist.js";

const errors = await load("errors");
const { readAddress } = await load("address");
const TABLE = readFileSync(new URL("../../../docs/errors.md", import.meta.url), "utf8");
const ROWS = [...TABLE.matchAll(/^\| `([a-z_]+)` \| `([a-z_]+)` \| (\d+) \|/gm)];
// Of what only HTTP answers, the status comes with the answer.
const OVER_HTTP_ALONE =
  /voucher|topup|payment_|refund|review_|webhook|email_|too_many_keys|request_too_slow/;

test("every error of a stream has the status of the table, and a class of its own kind", () => {
  assert.ok(ROWS.length > 50);
  const classes = {
    401: "AuthenticationError",
    402: "InsufficientCreditError",
    403: "PermissionDeniedError",
    404: "NotFoundError",
    409: "ConflictError",
    410: "StreamExpiredError",
    422: "UnprocessableEntityError",
    429: "RateLimitError",
  };
  for (const [, code, type, status] of ROWS) {
    if (OVER_HTTP_ALONE.test(code)) continue;
    const info = { code, type, message: "m", param: null, retryable: false };
    const error = errors.apiError(info);
    assert.equal(error.status, Number(status), code);
    assert.ok(error instanceof errors.APIError && error instanceof errors.TokenferryError);
    const upstream = type === "provider_error" || code === "upstream_lost";
    const other = Number(status) >= 500 ? "ServerError" : "BadRequestError";
    const expected = upstream ? "UpstreamError" : (classes[status] ?? other);
    assert.equal(error.name, code === "position_ahead" ? "PositionAheadError" : expected, code);
  }
});

test("every class says its name, whatever a bundler calls it", () => {
  for (const [name, Class] of Object.entries(errors)) {
    if (!(Class.prototype instanceof Error)) continue;
    const expected = name === "AbortedError" ? "AbortError" : name;
    assert.equal(Object.getOwnPropertyDescriptor(Class.prototype, "name")?.value, expected);
  }
});

test("what the gateway said is kept", () => {
  const info = {
    code: "rate_limit_exceeded",
    type: "rate_limit_error",
    message: "slow",
    param: "n",
    retryable: true,
    retryAfterMs: 40,
  };
  const limit = { scope: "key", name: "requests_per_minute", value: 60 };
  const error = errors.apiError(info, { requestId: "req_1", limit });
  assert.ok(error instanceof errors.RateLimitError);
  const { code, param, retryable, requestId, retryAfterMs, message } = error;
  assert.deepEqual(
    [code, param, retryable, requestId, retryAfterMs, message],
    ["rate_limit_exceeded", "n", true, "req_1", 40, "slow"],
  );
  assert.deepEqual(error.limit, limit);
});

test("a provider's own 429 is a rate limit", () => {
  const info = {
    code: "insufficient_quota",
    type: "provider_error",
    message: "",
    param: null,
    retryable: true,
  };
  assert.ok(errors.apiError(info, { status: 429 }) instanceof errors.RateLimitError);
});

test("an address is read in every way it is written", () => {
  const expected = { http: "http://a.kr:8000", socket: "ws://a.kr:8000/v1/stream" };
  for (const text of [
    "http://a.kr:8000",
    "http://a.kr:8000/",
    "http://a.kr:8000/v1",
    "ws://a.kr:8000/v1/stream",
    "ws://a.kr:8000/v1/stream/",
  ]) {
    assert.deepEqual(readAddress(text), expected);
  }
  assert.deepEqual(readAddress("wss://a.kr/llm/v1/stream"), {
    http: "https://a.kr/llm",
    socket: "wss://a.kr/llm/v1/stream",
  });
});

test("an address that cannot be right is refused with what to do", () => {
  for (const text of [
    "",
    "localhost",
    "localhost:8000",
    "ftp://a.kr",
    "http://key@a.kr",
    "http://:8000",
  ]) {
    assert.throws(() => readAddress(text), errors.ConfigurationError, text);
  }
});

test("a type that is none of the gateway's own is a provider's, and the client's own have none", () => {
  const error = (code, type) =>
    errors.apiError({ code, type, message: "m", param: null, retryable: true });
  const overloaded = error("overloaded", "a_providers_own");
  assert.deepEqual([overloaded.name, overloaded.status], ["UpstreamError", 502]);
  const followed = error("already_followed", "");
  assert.deepEqual([followed.name, followed.status], ["BadRequestError", 400]);
});
