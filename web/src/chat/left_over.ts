// What a page has still to store when it is left: it does not wait for the database, and the next page of the same
// tab does it.

import { recall, remember, take } from "./session_storage.js";
import type { Store } from "./store.js";
import type { Conversation, Turn } from "./tree.js";

export interface LeftOver {
  readonly conversation: Conversation;
  readonly turns: readonly Turn[];
}

// In the order in which they are stored: what was asked knows the conversation as it was last.
const NAMES = ["changed", "asked"] as const;

/** Notes what is about to be stored; what it returns is called when it is. */
export function noteLeftOver(name: (typeof NAMES)[number], leftOver: LeftOver): () => void {
  const text = JSON.stringify(leftOver);
  remember(name, text);
  return () => {
    // Not what was noted since.
    if (recall(name) === text) remember(name, "");
  };
}

/** Forgets what has still to be stored of a conversation that is deleted. */
export function forgetLeftOver(id: string): void {
  for (const name of NAMES) {
    const text = recall(name);
    if (text !== "" && (JSON.parse(text) as LeftOver).conversation.id === id) remember(name, "");
  }
}

/** Stores what the page before has left. */
export async function storeLeftOver(store: Store): Promise<void> {
  for (const name of NAMES) {
    const leftOver = take<LeftOver>(name);
    if (leftOver === null) continue;
    await store.putConversation(leftOver.conversation);
    for (const turn of leftOver.turns) await store.putTurn(turn);
  }
}
