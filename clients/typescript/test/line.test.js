// The line of requests over a gate: what is sent, sent again, and let go.

import assert from "node:assert/strict";
import { test } from "node:test";

import { load } from "./dist.js";

const { Line } = await load("line");

const creation = { request: {}, idempotencyKey: "k" };

/** Returns a line, and what it asked of its owner; while `full.value`, there are too many streams. */
function world(lineMax = 10, waitMsMax = 60_000) {
  const [sent, ended, waiting, full] = [[], [], [], { value: false }];
  const owner = {
    send(ref) {
      if (full.value) throw new RangeError("full");
      sent.push(ref);
    },
    end: (failed) => ended.push(failed),
    waits: (ref, state) => waiting.push({ ref, ...state }),
  };
  return { line: new Line(owner, lineMax, waitMsMax), sent, ended, waiting, full };
}

const refusal = (ref, more = {}) => ({
  ref,
  error: {
    code: "server_overloaded",
    type: "server_error",
    retryable: true,
    retryAfterMs: 0,
    ...more,
  },
  streamId: null,
});
const limit = { code: "rate_limit_exceeded", type: "rate_limit_error" };

test("a full line takes nobody, until somebody leaves", () => {
  const { line } = world(1);
  assert.ok(line.enter("a", creation, 2));
  assert.ok(!line.enter("b", creation, 2));
  line.leave("a");
  assert.ok(line.enter("b", creation, 2));
  line.close();
});

test("what is refused for a while is sent again: of a limit always, else so many times", () => {
  const { line, sent } = world();
  line.enter("a", creation, 1);
  line.move();
  assert.deepEqual(sent, ["a"]);
  assert.ok(line.repeats(refusal("a", limit)));
  assert.ok(line.repeats(refusal("a", limit)));
  assert.deepEqual(sent, ["a", "a", "a"]);
  assert.ok(!line.repeats(refusal("a")));
});

test("nothing is repeated that has begun, is lost, is refused for good or may not be", () => {
  const { line, sent } = world();
  line.enter("a", creation, 2);
  line.enter("once", creation, 0);
  line.move();
  assert.ok(!line.repeats({ ...refusal("a"), streamId: "st_1" }));
  assert.ok(!line.repeats(refusal("a", { code: "connection_lost", type: "" })));
  assert.ok(!line.repeats(refusal("a", { retryable: false })));
  assert.ok(!line.repeats(refusal("once", limit)));
  line.started("a");
  assert.ok(!line.repeats(refusal("a", limit)));
  assert.deepEqual(sent, ["a", "once"]);
});

test("with as many streams as a link has, a request waits, and says so", () => {
  const { line, sent, waiting, full } = world();
  full.value = true;
  line.enter("a", creation, 2);
  line.move();
  assert.deepEqual(sent, []);
  assert.ok(line.waits("a"));
  line.move();
  const { ref, ahead, code, waitMs } = waiting.at(-1);
  assert.deepEqual([ref, ahead, code], ["a", 0, "rate_limit_exceeded"]);
  assert.ok(waitMs > 0 && waitMs <= 1_000);
  line.close();
  assert.ok(!line.waits("a"));
});

test("whose turn would come too late is told how long it would be", () => {
  const { line, ended, full } = world(10, 0);
  full.value = true;
  line.enter("a", creation, 2);
  line.move();
  line.move();
  assert.equal(ended.length, 1);
  assert.equal(ended[0].error.code, "rate_limit_exceeded");
  assert.match(ended[0].error.message, /1 s more, longer than `queueWaitMs`/);
  assert.ok(ended[0].error.retryAfterMs > 0);
  assert.ok(!line.repeats(ended[0]), "it is not put back");
});
