import { beforeEach, describe, expect, test, vi } from "vitest";
import { forgetLeftOver, noteLeftOver, storeLeftOver } from "../../src/chat/left_over.js";
import { MemoryStore } from "../../src/chat/store.js";
import { type Conversation, newTurn } from "../../src/chat/tree.js";

const TALK: Conversation = {
  id: "talk",
  owner: "guest",
  title: "배 이야기",
  created: 1,
  updated: 1,
  model: "demo",
  choice: {},
};
const QUESTION = newTurn("user", { id: "q", conversation: "talk", parent: null, created: 1, text: "안녕", images: [] });

const chosen = (id: string): Conversation => ({ ...TALK, choice: { "": id } });

beforeEach(() => {
  const kept = new Map<string, string>();
  vi.stubGlobal("sessionStorage", {
    getItem: (name: string) => kept.get(name) ?? null,
    setItem: (name: string, text: string) => kept.set(name, text),
    removeItem: (name: string) => kept.delete(name),
  });
});

describe("what a page that is left has still to store", () => {
  test("is stored by the next one, once", async () => {
    noteLeftOver("changed", { conversation: chosen("one"), turns: [] });
    noteLeftOver("asked", { conversation: chosen("two"), turns: [QUESTION] });
    const store = new MemoryStore();
    await storeLeftOver(store);
    expect(await store.conversations()).toEqual([chosen("two")]);
    expect(await store.turns("talk")).toEqual([QUESTION]);
    const later = new MemoryStore();
    await storeLeftOver(later);
    expect(await later.conversations()).toEqual([]);
  });

  test("is nothing when it was stored; what was noted since stays", async () => {
    const first = noteLeftOver("changed", { conversation: chosen("one"), turns: [] });
    const second = noteLeftOver("changed", { conversation: chosen("two"), turns: [] });
    first();
    const store = new MemoryStore();
    await storeLeftOver(store);
    expect(await store.conversations()).toEqual([chosen("two")]);
    noteLeftOver("changed", { conversation: chosen("two"), turns: [] });
    second();
    const later = new MemoryStore();
    await storeLeftOver(later);
    expect(await later.conversations()).toEqual([]);
  });

  test("is forgotten with its conversation, and with no other", async () => {
    noteLeftOver("changed", { conversation: TALK, turns: [] });
    noteLeftOver("asked", { conversation: { ...TALK, id: "other" }, turns: [] });
    forgetLeftOver("talk");
    const store = new MemoryStore();
    await storeLeftOver(store);
    expect((await store.conversations()).map((each) => each.id)).toEqual(["other"]);
  });
});
