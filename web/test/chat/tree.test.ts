import type { SavedStream, Step } from "tokenferry";
import { describe, expect, test } from "vitest";
import {
  branches,
  compact,
  isNewer,
  lineage,
  messagesOf,
  newTurn,
  path,
  titleOf,
  type Turn,
} from "../../src/chat/tree.js";

let clock = 0;
const turn = (id: string, parent: string | null, role: Turn["role"] = "user", of: Partial<Turn> = {}): Turn =>
  newTurn(role, { id, conversation: "c", parent, created: ++clock, text: id, ...of });
const map = (...turns: Turn[]) => new Map(turns.map((each) => [each.id, each]));

const turns = map(
  turn("q1", null),
  turn("a1", "q1", "assistant"),
  turn("a2", "q1", "assistant"),
  turn("q2", "a1"),
  turn("a3", "q2", "assistant"),
  turn("q1b", null),
);

describe("branches", () => {
  test("the latest one is shown, unless another was chosen", () => {
    expect(path(turns, {}).map(({ id }) => id)).toEqual(["q1b"]);
    expect(path(turns, { "": "q1" }).map(({ id }) => id)).toEqual(["q1", "a2"]);
    expect(path(turns, { "": "q1", q1: "a1" }).map(({ id }) => id)).toEqual(["q1", "a1", "q2", "a3"]);
    expect(path(turns, { "": "gone" }).map(({ id }) => id)).toEqual(["q1b"]);
    expect(path(new Map(), {})).toEqual([]);
  });

  test("they are counted in the order in which they were made", () => {
    expect(branches(turns, "q1").map(({ id }) => id)).toEqual(["a1", "a2"]);
    expect(branches(turns, null).map(({ id }) => id)).toEqual(["q1", "q1b"]);
  });

  test("a turn that is its own ancestor is followed once", () => {
    const circle = map(turn("x", "y"), turn("y", "x"));
    expect(lineage(circle, "x").length).toBeLessThanOrEqual(3);
    expect(path(circle, {})).toEqual([]);
  });

  test("the model is told what stands before, and nothing of other branches", () => {
    expect(messagesOf(lineage(turns, "q2"), 1000)).toEqual([
      { role: "user", content: "q1" },
      { role: "assistant", content: "a1" },
      { role: "user", content: "q2" },
    ]);
  });
});

describe("what is sent", () => {
  const image = `data:image/jpeg;base64,${"A".repeat(1000)}`;

  test("an answer of which nothing came is left out", () => {
    const line = [turn("q", null), turn("a", "q", "assistant", { text: "" })];
    expect(messagesOf(line, 1000)).toEqual([{ role: "user", content: "q" }]);
  });

  test("images stand before their text", () => {
    expect(messagesOf([turn("q", null, "user", { images: [image] })], 10_000)).toEqual([
      {
        role: "user",
        content: [
          { type: "image_url", image_url: { url: image } },
          { type: "text", text: "q" },
        ],
      },
    ]);
    expect(messagesOf([turn("q", null, "user", { images: [image], text: "" })], 10_000)).toEqual([
      { role: "user", content: [{ type: "image_url", image_url: { url: image } }] },
    ]);
  });

  test("where all is too long, the oldest images are left out", () => {
    const line = [
      turn("old", null, "user", { images: [image, image] }),
      turn("new", "old", "user", { images: [image] }),
    ];
    const sent = messagesOf(line, 2_500);
    expect(sent[0]!.content).toHaveLength(2); // one image and the text
    expect(sent[1]!.content).toHaveLength(2);
    expect(messagesOf(line, 1_500)[0]!.content).toBe("old");
  });
});

test.each([
  ["  안녕하세요 \n 반갑습니다", "안녕하세요 반갑습니다"],
  ["x".repeat(60), "x".repeat(60)],
  ["x".repeat(61), `${"x".repeat(59)}…`],
  ["👩‍🚀".repeat(40), undefined],
])("a title of %s", (text, title) => {
  const made = titleOf(text);
  if (title !== undefined) expect(made).toBe(title);
  expect([...made].length).toBeLessThanOrEqual(60);
  expect(made).not.toMatch(/[\ud800-\udbff](?![\udc00-\udfff])/); // no half of a character
});

describe("what is kept of a position", () => {
  const steps = (count: number): Step[] =>
    Array.from({ length: count }, (_, at) => [at + 1, 0, `t${at} `, at % 2 ? `r${at}` : ""]);
  const text = (saved: SavedStream) => (saved.steps ?? []).map((step) => step[2]).join("");
  const reasoning = (saved: SavedStream) => (saved.steps ?? []).map((step) => step[3] ?? "").join("");

  test.each([0, 1, 64, 65, 66, 1000])("%i steps become few, and say the same", (count) => {
    const saved: SavedStream = { streamId: "st_1", epoch: 1, seq: count, steps: steps(count) };
    const small = compact(saved);
    expect(small.steps!.length).toBeLessThanOrEqual(66);
    expect([text(small), reasoning(small), small.seq]).toEqual([text(saved), reasoning(saved), saved.seq]);
    const seqs = small.steps!.map(([seq]) => seq);
    expect(seqs).toEqual([...seqs].sort((one, other) => one - other));
    expect(seqs.at(-1)).toBe(saved.steps!.at(-1)?.[0]);
  });

  test("other choices stay as they are", () => {
    const saved: SavedStream = { streamId: "st_1", epoch: 1, seq: 200, steps: [...steps(199), [200, 1, "b"]] };
    expect(compact(saved)).toBe(saved);
  });
});

describe("of two versions of a turn", () => {
  const saved = (epoch: number, seq: number): SavedStream => ({ streamId: "st_1", epoch, seq });
  const running = (at: SavedStream | null) => turn("a", "q", "assistant", { saved: at });
  const done = turn("a", "q", "assistant", { saved: saved(1, 5), state: "done" });

  test.each([
    ["what has ended", done, running(saved(1, 9)), true],
    ["not what goes on", running(saved(1, 9)), done, false],
    ["what is further", running(saved(1, 9)), running(saved(1, 8)), true],
    ["not what is behind", running(saved(1, 8)), running(saved(1, 9)), false],
    ["a newer epoch", running(saved(2, 1)), running(saved(1, 9)), true],
    ["what has a name", running(saved(1, 0)), running(null), true],
    ["not what has none", running(null), running(saved(1, 0)), false],
  ])("%s is newer", (_, one, other, expected) => {
    expect(isNewer(one, other)).toBe(expected);
  });
});
