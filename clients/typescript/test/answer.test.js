// What a reader has of an answer, and how a part of it is taken back.

import assert from "node:assert/strict";
import { test } from "node:test";

import { load } from "./dist.js";

const { Answer, toolCallsOf } = await load("answer");

const chunk = (seq, text, delta = {}, index = 0) => ({
  type: "chunk",
  seq,
  epoch: 1,
  index,
  text,
  delta,
});
const seen = ({ text, reasoning, seq, epoch }) => ({ text, reasoning, seq, epoch });

function read(...chunks) {
  const answer = new Answer();
  for (const one of chunks) answer.apply(one);
  return answer;
}

test("text and reasoning grow", () => {
  const answer = read(
    chunk(1, "", { reasoning_content: "음 " }),
    chunk(2, "", { reasoning: "so" }),
    chunk(3, "안"),
    chunk(4, "녕 👩‍👩‍👧"),
    chunk(5, "", { refusal: "no" }),
  );
  assert.deepEqual(seen(answer), { text: "안녕 👩‍👩‍👧no", reasoning: "음 so", seq: 5, epoch: 1 });
});

test("calls of tools come in pieces", () => {
  const call = (index, id, name, args) => ({
    tool_calls: [{ index, id, function: { name, arguments: args } }],
  });
  const answer = read(
    chunk(1, "", call(0, "c0", "look", "")),
    chunk(2, "", call(1, "c1", "find", '{"q":')),
    chunk(3, "", call(0, undefined, undefined, '{"city":"서울"}')),
    chunk(4, "", call(1, undefined, undefined, "1}")),
  );
  const calls = [
    { id: "c0", name: "look", arguments: '{"city":"서울"}' },
    { id: "c1", name: "find", arguments: '{"q":1}' },
  ];
  assert.deepEqual(answer.toolCalls, calls);
  answer.rewind(2, 2);
  assert.deepEqual(answer.toolCalls, [
    { id: "c0", name: "look", arguments: "" },
    { id: "c1", name: "find", arguments: '{"q":' },
  ]);
});

test("a custom tool is called with any text", () => {
  const call = (custom, more) => ({ tool_calls: [{ index: 0, ...more, custom }] });
  const answer = read(
    chunk(1, "", call({ name: "sql", input: "" }, { id: "c1", type: "custom" })),
    chunk(2, "", call({ input: "SELECT " })),
    chunk(3, "", call({ input: "1" })),
  );
  const whole = { id: "c1", name: "sql", arguments: "SELECT 1", type: "custom" };
  assert.deepEqual(answer.toolCalls, [whole]);
  const custom = { name: "sql", input: "SELECT 1" };
  answer.replace(1, 9, { tool_calls: [{ id: "c1", type: "custom", custom }] });
  assert.deepEqual(answer.toolCalls, [whole]);
  // What a page keeps of it is JSON, and tells the same.
  const kept = new Answer(1, 9, JSON.parse(JSON.stringify(answer.steps)));
  assert.deepEqual(kept.toolCalls, [whole]);
});

test("the name of a call may come in pieces, as everywhere else in the gateway", () => {
  const call = (name) => ({ tool_calls: [{ index: 0, id: "c0", function: { name } }] });
  const answer = read(chunk(1, "", call("get_")), chunk(2, "", call("weather")));
  assert.deepEqual(answer.toolCalls, [{ id: "c0", name: "get_weather", arguments: "" }]);
});

test("a call's index is believed within bounds", () => {
  const [call] = toolCallsOf({ tool_calls: [{ index: 1e9, id: "c", function: { name: "f" } }] });
  assert.deepEqual(call, { index: 0, id: "c", name: "f", arguments: "" });
  assert.deepEqual(toolCallsOf({ tool_calls: [null, 3, "x"] }), []);
  assert.deepEqual(toolCallsOf({ tool_calls: "x" }), []);
});

test("choices are apart", () => {
  const answer = read(chunk(1, "a"), chunk(2, "b", {}, 1), chunk(3, "c"));
  assert.deepEqual(
    answer.choices.map(({ text }) => text),
    ["ac", "b"],
  );
  answer.rewind(2, 2);
  assert.deepEqual(
    answer.choices.map(({ text }) => text),
    ["a", "b"],
  );
});

test("a rewind keeps what is at the border, and nothing beyond it", () => {
  for (const [keep, text] of [
    [0, ""],
    [1, "a"],
    [2, "ab"],
    [3, "abc"],
  ]) {
    const answer = read(chunk(1, "a"), chunk(2, "b"), chunk(3, "c"));
    answer.rewind(2, keep);
    assert.deepEqual(seen(answer), { text, reasoning: "", seq: keep, epoch: 2 });
  }
});

test("of a merged chunk that reaches beyond, nothing stays", () => {
  const answer = read(chunk(2, "ab"), chunk(5, "cde"));
  answer.rewind(2, 4);
  assert.deepEqual(seen(answer), { text: "ab", reasoning: "", seq: 2, epoch: 2 });
});

test("what was saved is taken up again, also what goes back behind it", () => {
  const saved = JSON.parse(
    JSON.stringify(read(chunk(1, "a"), chunk(3, "bc"), chunk(4, "", { reasoning: "r" })).steps),
  );
  const answer = new Answer(1, 4, saved);
  assert.deepEqual(seen(answer), { text: "abc", reasoning: "r", seq: 4, epoch: 1 });
  answer.rewind(2, 3);
  assert.deepEqual(seen(answer), { text: "abc", reasoning: "", seq: 3, epoch: 2 });
});

test("behind a position whose text is not known lies the start alone", () => {
  const answer = new Answer(1, 10);
  answer.apply(chunk(11, "k"));
  answer.rewind(2, 10);
  assert.deepEqual(seen(answer), { text: "", reasoning: "", seq: 10, epoch: 2 });
  answer.rewind(3, 9);
  assert.deepEqual(seen(answer), { text: "", reasoning: "", seq: 0, epoch: 3 });
});

test("a whole message takes the place of everything", () => {
  const answer = read(chunk(1, "half"), chunk(2, "b", {}, 1));
  const tool_calls = [{ id: "c", type: "function", function: { name: "f", arguments: "{}" } }];
  answer.replace(2, 9, { content: "whole", reasoning_content: "why", tool_calls });
  assert.deepEqual(seen(answer), { text: "whole", reasoning: "why", seq: 9, epoch: 2 });
  assert.deepEqual(answer.toolCalls, [{ id: "c", name: "f", arguments: "{}" }]);
  answer.replace(2, 9, { content: null });
  assert.equal(answer.text, "");
});
