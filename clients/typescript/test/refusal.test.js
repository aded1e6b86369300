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
  constructor() {
    queueMicrotask(() => this.onerror({ error: new TypeError() }));
  }
  close() {}
}

/** Opens a client of a server that answers upgrades with this status. */
async function refused(t, status) {
  const server = createServer((_, response) => response.end("{}"));
  server.on("upgrade", (_, socket) => {
    const more = status === 101 ? "Connection: Upgrade\r\nUpgrade: websocket" : "Content-Length: 0";
    socket.end(`HTTP/1.1 ${status} -\r\n${more}\r\n\r\n`);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const baseURL = `http://127.0.0.1:${server.address().port}`;
  const client = new Tokenferry({ apiKey, baseURL, WebSocket, maxRetries: 0 });
  t.after(() => {
    client.close();
    server.close();
    server.closeAllConnections();
  });
  return client;
}

for (const [status, name, said] of [
  [401, "AuthenticationError", /it says 401\.$/],
  [403, "PermissionDeniedError", /it says 403\.$/],
  [404, "UpgradeError", /it says 404\.$/],
  [426, "UpgradeError", /it says 426\. Does a proxy drop the Upgrade header\?$/],
]) {
  test(`a refusal with ${status} is told as what it is`, async (t) => {
    const client = await refused(t, status);
    const error = await client.stream(request).text().catch((error) => error);
    assert.equal(error.name, name);
    assert.match(error.message, said);
  });
}

test("a gateway that is about to restart is asked again, and not taken for a proxy's fault", async (t) => {
  const client = await refused(t, 503);
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
  const client = await refused(t, 101);
  const error = await client.stream(request).text().catch((error) => error);
  assert.equal(error.name, "UpgradeError");
  assert.match(error.message, /does a proxy drop the Upgrade header\?$/);
});
