// What is made of a WebSocket that does not keep to the standard's order of events.

import assert from "node:assert/strict";
import { test } from "node:test";

import { load } from "./dist.js";

const { Dialler } = await load("socket");

const address = { http: "http://gateway", socket: "ws://gateway/v1/stream" };
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Dials with a socket of the test's own; returns what the owner was told. */
async function dialled(Socket) {
  const told = [];
  const dialler = new Dialler(address, async () => Socket, undefined, {
    opened: () => told.push("opened"),
    received: () => {},
    closed: ({ code, error, wasOpen }) => told.push({ code, error, wasOpen }),
  });
  dialler.dial(1e6);
  dialler.hurry();
  await turn();
  return { told, dialler };
}

test("an error before the opening is the end, as Node 22 tells no more of it", async () => {
  const error = new Error("Received network error or non-101 status code.");
  class Socket {
    constructor() {
      queueMicrotask(() => this.onerror({ error, message: error.message }));
    }
    close() {}
  }
  const { told, dialler } = await dialled(Socket);
  dialler.hangUp(1000);
  assert.deepEqual(told, [{ code: 1006, error, wasOpen: false }]);
});

test("an error of an open socket leaves the word to its close", async () => {
  const error = new Error("reset");
  class Socket {
    constructor() {
      queueMicrotask(() => {
        this.onopen();
        this.onerror({ error });
        this.onclose({ code: 1011, reason: "broken" });
        this.onerror({ error });
      });
    }
    close() {}
  }
  const { told } = await dialled(Socket);
  assert.deepEqual(told, ["opened", { code: 1011, error, wasOpen: true }]);
});

test("a close that follows an error is not told a second time", async () => {
  const error = new Error("Unexpected server response: 401");
  class Socket {
    constructor() {
      queueMicrotask(() => {
        this.onerror({ error });
        this.onclose({ code: 1006 });
      });
    }
    close() {}
  }
  const { told } = await dialled(Socket);
  assert.deepEqual(told, [{ code: 1006, error, wasOpen: false }]);
});
