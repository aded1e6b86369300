// What is made of answers that are none.

import { expect, test } from "vitest";
import { api, Problem } from "../src/shared/api.js";
import { explained } from "../src/shared/problems.js";

function answering(response: () => Response): void {
  globalThis.fetch = async () => response();
}

async function problemOf(asked: Promise<unknown>): Promise<Problem> {
  const problem: unknown = await asked.then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(problem).toBeInstanceOf(Problem);
  return problem as Problem;
}

test("an answer that breaks off is none", async () => {
  answering(() => new Response(new ReadableStream({ start: (body) => body.error(new TypeError("terminated")) })));
  expect((await problemOf(api("GET", "/api/balance"))).code).toBe("unreachable");
});

test("so is the page of a network that wants a login first", async () => {
  answering(() => new Response("<html>Welcome to our hotel</html>"));
  expect((await problemOf(api("GET", "/api/balance"))).code).toBe("unreachable");
});

test("a refusal keeps its words, its id and its wait; a proxy's page is cut", async () => {
  const error = { message: "Slow down.", code: "toString", param: "n" };
  const headers = { "x-request-id": "req_1", "retry-after-ms": "1500" };
  answering(() => new Response(JSON.stringify({ error }), { status: 400, headers }));
  const refused = await problemOf(api("POST", "/api/keys", {}));
  expect(refused).toMatchObject({ status: 400, ...error, requestId: "req_1", retryAfterMs: 1_500 });
  expect(explained(refused)).toBe("Slow down.");
  answering(() => new Response("x".repeat(1_000), { status: 502 }));
  const proxy = await problemOf(api("GET", "/api/keys"));
  expect([proxy.code, proxy.message.length]).toEqual(["http_502", 300]);
});

test("nothing is an answer, too", async () => {
  answering(() => new Response(null, { status: 204 }));
  expect(await api("DELETE", "/api/keys/1")).toBeUndefined();
});
