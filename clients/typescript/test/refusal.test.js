// What Node's own WebSocket does not tell of a refused upgrade: the status. It is asked for again.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { test } from "node:test";

import { load } from "./dist.js";

const { Tokenferry } = await load("node");
const VECTORS = new URL("../../../spec/vectors/api_key.json", import.meta.url);
const apiKey = JSON.parse(readFileSync(VECTORS, "utf-8")).cases[0].key;
const request = { model: "demo", messages: [] };

/** Fails as Node's own does: with an error that has neither a code nor the status. */
class WebSocket {
  failure = new TypeError();
  constructor() {
    queueMicrotask(() => this.onerror({ error: this.failure }));
  }
  close() {}
}

/** Opens a client of a server that answers upgrades so; `asked` is what it was asked with. */
async function refused(t, status, { body = "", headers = [], ...options } = {}) {
  const asked = [];
  const server = createServer((_, response) => response.end("{}"));
  server.on("upgrade", (request, socket) => {
    asked.push(request.headers["sec-websocket-protocol"]);
    const more =
      status === 101
        ? ["Connection: Upgrade", "Upgrade: websocket"]
        : [`Content-Length: ${Buffer.byteLength(body)}`, ...headers];
    socket.end(`HTTP/1.1 ${status} -\r\n${more.join("\r\n")}\r\n\r\n${body}`);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const baseURL = `http://127.0.0.1:${server.address().port}`;
  const client = new Tokenferry({ apiKey, baseURL, WebSocket, maxRetries: 0, ...options });
  t.after(() => {
    client.close();
    server.close();
    server.closeAllConnections();
  });
  return { client, asked, baseURL };
}

const own = (code, type, message, retryable = false) =>
  JSON.stringify({ error: { code, type, message, param: null, retryable } });
const ended = (client) =>
  client
    .stream(request)
    .text()
    .catch((error) => error);

for (const [status, name, said] of [
  [401, "AuthenticationError", /it says 401\.$/],
  [403, "PermissionDeniedError", /it says 403\.$/],
  [404, "UpgradeError", /it says 404\.$/],
  [426, "UpgradeError", /it says 426\. Does a proxy drop the Upgrade header\?$/],
]) {
  test(`a refusal with ${status} is told as what it is`, async (t) => {
    const { client } = await refused(t, status);
    const error = await ended(client);
    assert.equal(error.name, name);
    assert.match(error.message, said);
  });
}

test("a gateway that is about to restart is asked again, and not taken for a proxy's fault", async (t) => {
  const { client } = await refused(t, 503, { maxRetries: 1 });
  const stream = client.stream(request);
  // Whichever comes first: it comes back, or it is over.
  const { error, attempt } = await new Promise((tell) => {
    stream.once("reconnecting", tell);
    stream.once("ended", tell);
  });
  assert.equal(attempt, 1);
  assert.match(error.message, /it says 503\.$/);
});

test("an upgrade that is accepted says nothing of the failure before", async (t) => {
  const { client } = await refused(t, 101);
  const error = await ended(client);
  assert.equal(error.name, "UpgradeError");
  assert.match(error.message, /does a proxy drop the Upgrade header\?$/);
});

test("what the gateway says of a refusal is told in its words", async (t) => {
  const body = own("key_revoked", "authentication_error", "This key was revoked. 열쇠가 폐기됨.");
  const { client } = await refused(t, 401, { body, headers: ["X-Request-ID: req_1"] });
  const error = await ended(client);
  assert.equal(error.name, "AuthenticationError");
  assert.equal(error.code, "key_revoked");
  assert.equal(error.message, "This key was revoked. 열쇠가 폐기됨.");
  assert.equal(error.requestId, "req_1");
});

test("a ticket that is refused is told as that, as it is offered again with the question", async (t) => {
  const said = "The ticket is unknown, used, expired, or for another origin.";
  const body = own("invalid_ticket", "authentication_error", said);
  const tickets = ["one", "two"];
  const ticket = async () => tickets.shift();
  const { client, asked } = await refused(t, 401, { body, ticket, maxRetries: 2 });
  const error = await ended(client);
  assert.deepEqual(
    [error.name, error.code, error.message],
    ["AuthenticationError", "invalid_ticket", said],
  );
  // The socket of this test asks for nothing; and the first bad ticket may be an old one.
  assert.deepEqual(asked, ["tokenferry.v1, ticket.one", "tokenferry.v1, ticket.two"]);
});

test("a limit of the gateway's is told in its words, with its time", async (t) => {
  const body = own("too_many_connections", "rate_limit_error", "One connection may be open.", true);
  const { client } = await refused(t, 429, { body, headers: ["Retry-After-Ms: 1500"] });
  const error = await ended(client);
  assert.deepEqual(
    [error.name, error.code, error.message, error.status, error.retryable, error.retryAfterMs],
    ["RateLimitError", "too_many_connections", "One connection may be open.", 429, true, 1500],
  );
});

test("a limit of a proxy's is told as that; a page in place of JSON says nothing", async (t) => {
  const options = { body: "<html>slow down</html>", headers: ["Retry-After: 7"] };
  const { client, baseURL } = await refused(t, 429, options);
  const error = await ended(client);
  assert.deepEqual(
    [error.name, error.code, error.status, error.retryable, error.retryAfterMs],
    ["RateLimitError", "http_429", 429, true, 7000],
  );
  assert.equal(
    error.message,
    `${baseURL} takes no connection for now: HTTP 429, and not from the gateway itself.`,
  );
});

test("a limit is waited for as long as it says, and not at all if that is too long", async (t) => {
  const options = { maxRetries: 2, queueWaitMs: 60_000 };
  const near = await refused(t, 429, { ...options, headers: ["Retry-After: 60"] });
  const stream = near.client.stream(request);
  stream.text().catch(() => {});
  const { attempt, waitMs, error } = await new Promise((tell) => stream.once("reconnecting", tell));
  assert.deepEqual([attempt, waitMs, error.name], [1, 60_000, "RateLimitError"]);
  const far = await refused(t, 429, { ...options, headers: ["Retry-After: 61"] });
  const told = await ended(far.client);
  assert.deepEqual([told.name, told.retryAfterMs, far.asked.length], ["RateLimitError", 61_000, 1]);
});

test("a gateway that is away behind its proxy is tried so many times, and then told", async (t) => {
  const { client, asked } = await refused(t, 502, { maxRetries: 1 });
  const error = await ended(client);
  assert.equal(error.name, "UpgradeError");
  assert.match(error.message, /it says 502\.$/);
  assert.equal(asked.length, 2);
});

test("the status that `ws` tells holds, whatever the question afterwards is answered with", async (t) => {
  class WebSocketOfWs extends WebSocket {
    constructor() {
      super();
      this.failure = new Error("Unexpected server response: 429");
    }
  }
  const { client } = await refused(t, 101, { WebSocket: WebSocketOfWs });
  const error = await ended(client);
  assert.deepEqual(
    [error.name, error.code, error.retryAfterMs],
    ["RateLimitError", "http_429", null],
  );
});

for (const [location, name, base] of [
  ["https://127.0.0.1/v1/stream", "WrongSchemeError", "https://127.0.0.1"],
  ["https://elsewhere.test/llm/v1/stream", "UpgradeError", "https://elsewhere.test/llm"],
  ["/login", "UpgradeError", "BASE/login"],
]) {
  test(`an address that leads elsewhere is told with where that is: ${location}`, async (t) => {
    const headers = [`Location: ${location}`];
    const { client, baseURL } = await refused(t, 308, { headers });
    const error = await ended(client);
    assert.equal(error.name, name);
    const to = base.replace("BASE", baseURL);
    assert.equal(
      error.message,
      `${baseURL} leads to ${to}: that may be what \`baseURL\` should be.`,
    );
  });
}
