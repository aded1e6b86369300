// The line of requests that wait for a limit.

import assert from "node:assert/strict";
import { test } from "node:test";

import { load } from "./dist.js";

const { Gate } = await load("gate");

const entered = (gate, ...refs) => refs.forEach((ref) => assert.ok(gate.enter(ref, 0)));
const requests = (remaining, resetMs, limit = 60) => [
  { name: "requests", limit, remaining, resetMs },
];

test("an open gate lets everybody through, in order", () => {
  const gate = new Gate(10, 1000);
  entered(gate, "a", "b", "c");
  assert.deepEqual(gate.next(0), { go: ["a", "b", "c"], late: [], wakeInMs: null });
});

test("after a refusal all wait, in their old order, and one goes when the time has come", () => {
  const gate = new Gate(10, 10_000);
  entered(gate, "a", "b", "c");
  gate.next(0);
  gate.started("c");
  gate.refused("b", 500, 100);
  gate.refused("a", 400, 110);
  entered(gate, "d");
  assert.deepEqual(gate.waiting(), ["a", "b", "d"]);
  assert.deepEqual(gate.next(120), { go: [], late: [], wakeInMs: 480 });
  assert.equal(gate.waitMs(120), 480);
  assert.deepEqual(gate.next(599).go, []);
  assert.deepEqual(gate.next(600).go, ["a"]);
  assert.deepEqual(gate.next(601).go, [], "one at a time, until it has started");
});

test("each that starts makes room for one more", () => {
  const gate = new Gate(10, 10_000);
  entered(gate, "a", "b", "c", "d");
  gate.next(0);
  for (const ref of ["a", "b", "c", "d"]) gate.refused(ref, 100, 0);
  assert.deepEqual(gate.next(100).go, ["a"]);
  gate.started("a");
  assert.deepEqual(gate.next(101).go, ["b", "c"]);
});

test("what is left of a minute bounds how many are sent", () => {
  const gate = new Gate(10, 100_000);
  gate.standing(requests(2, 58_000), 0);
  entered(gate, "a", "b", "c");
  assert.deepEqual(gate.next(0).go, ["a", "b"]);
});

test("when nothing is left, the first waits for exactly one place", () => {
  const gate = new Gate(10, 100_000);
  // 60 a minute and all used: the last is free in 60.0 s, the first in 1.0 s.
  gate.standing(requests(0, 60_000), 0);
  entered(gate, "a");
  assert.deepEqual(gate.next(0), { go: [], late: [], wakeInMs: 1000 });
  assert.deepEqual(gate.next(999).go, []);
  assert.deepEqual(gate.next(1000).go, ["a"]);
});

test("limits of tokens, and no limit, close nothing", () => {
  const gate = new Gate(10, 1000);
  gate.standing([{ name: "tokens", limit: 10, remaining: 0, resetMs: 60_000 }], 0);
  gate.standing(requests(0, 60_000, 0), 0);
  entered(gate, "a");
  assert.deepEqual(gate.next(0).go, ["a"]);
});

test("the line is bounded: the last place is given, and none after it", () => {
  const gate = new Gate(2, 1000);
  assert.ok(gate.enter("a", 0));
  assert.ok(gate.enter("b", 0));
  assert.ok(!gate.enter("c", 0));
  gate.next(0);
  assert.ok(gate.enter("c", 0));
});

test("the waiting is bounded: who would go too late is told at once", () => {
  const gate = new Gate(10, 1000);
  entered(gate, "a", "b");
  gate.next(0);
  gate.refused("a", 1000, 0);
  assert.deepEqual(gate.next(0).late, [], "just in time");
  gate.refused("b", 1001, 0);
  assert.deepEqual(gate.next(0), { go: [], late: ["a", "b"], wakeInMs: null });
});

test("who waits behind one that never answers is told when its time is over", () => {
  const gate = new Gate(10, 1000);
  entered(gate, "a");
  gate.next(0);
  gate.refused("a", 1, 0);
  assert.deepEqual(gate.next(1).go, ["a"]);
  assert.ok(gate.enter("b", 1));
  assert.deepEqual(gate.next(1), { go: [], late: [], wakeInMs: 1001 });
  assert.deepEqual(gate.next(1002).late, ["b"]);
});

test("who leaves makes room, wherever it was", () => {
  const gate = new Gate(10, 10_000);
  entered(gate, "a", "b", "c");
  gate.next(0);
  for (const ref of ["a", "b", "c"]) gate.refused(ref, 100, 0);
  gate.leave("b");
  assert.deepEqual(gate.next(100).go, ["a"]);
  gate.leave("a");
  assert.deepEqual(gate.next(101).go, ["c"]);
  assert.ok(!gate.waits("c"));
  gate.refused("nobody", 100, 0);
  assert.equal(gate.length, 0);
});
