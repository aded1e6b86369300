// What differs between the runtimes that Node's entry is for.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";

import { load } from "./dist.js";

const { Tokenferry } = await load("node");
const { causeCode } = await load("diagnosis");
const VECTORS = new URL("../../../spec/vectors/api_key.json", import.meta.url);
const apiKey = JSON.parse(readFileSync(VECTORS, "utf-8")).cases[0].key;

test("the environment is not asked for what is given, as Deno may not allow it", (t) => {
  const { env } = process;
  const asked = [];
  process.env = new Proxy({}, { get: (_, name) => void asked.push(name) });
  t.after(() => (process.env = env));
  new Tokenferry({ baseURL: "http://gateway.test", apiKey }).close();
  assert.deepEqual(asked, []);
  assert.throws(() => new Tokenferry(), { code: "configuration" });
  assert.deepEqual(asked, ["TOKENFERRY_BASE_URL", "TOKENFERRY_API_KEY"]);
});

// Deno 2.9; of its `fetch` it is the cause that says more.
for (const [said, code] of [
  ["client error (Connect): tcp connect error: Connection refused (os error 111)", "ECONNREFUSED"],
  ["client error (Connect): dns error: failed to lookup address information", "ENOTFOUND"],
  ["invalid peer certificate: Other(OtherError(CaUsedAsEndEntity))", "CERT_INVALID"],
  ["client error (Connect): received corrupt message of type InvalidContentType", "EPROTO"],
  ["client error (SendRequest): connection closed before message completed", null],
]) {
  test(`Deno's words are understood: ${code}`, () => {
    const cause = new Error(`error sending request for url (http://gateway/): ${said}`);
    assert.equal(causeCode(new TypeError("fetch failed", { cause })), code);
  });
}

test("a short request says why there was no connection, as a stream does", async () => {
  const cause = Object.assign(new Error("x"), { code: "ECONNREFUSED" });
  const refused = async () => Promise.reject(new TypeError("fetch failed", { cause }));
  const options = { baseURL: "http://gateway.test", apiKey, fetch: refused, maxRetries: 0 };
  const client = new Tokenferry(options);
  for (const call of [() => client.models.list(), () => client.streams.get("st_1")]) {
    await assert.rejects(call, {
      name: "ConnectionRefusedError",
      message: /^Nothing listens at http:\/\/gateway\.test/,
    });
  }
  client.close();
});

test("a short request that alone fails is not explained by what works", async () => {
  const asked = [];
  const fetch = async (url) => {
    asked.push(url);
    if (url.endsWith("/healthz")) return new Response("ok");
    throw new TypeError("fetch failed");
  };
  const options = { baseURL: "http://gateway.test", apiKey, fetch, maxRetries: 0 };
  const client = new Tokenferry(options);
  await assert.rejects(client.models.get("demo"), {
    name: "ConnectionError",
    message: "GET /v1/models/demo: the request failed.",
  });
  assert.deepEqual(asked, ["http://gateway.test/v1/models/demo", "http://gateway.test/healthz"]);
  client.close();
});

test("Node's codes are found where they are, also that of the first of several addresses", () => {
  const error = Object.assign(new Error("x"), { code: "ECONNRESET" });
  assert.equal(causeCode(error), "ECONNRESET");
  assert.equal(causeCode(new TypeError("fetch failed", { cause: error })), "ECONNRESET");
  assert.equal(causeCode(new AggregateError([error, new Error("y")])), "ECONNRESET");
  assert.equal(causeCode("no error"), null);
});
