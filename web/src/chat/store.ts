// Conversations, turns and drafts in the browser's database. Where there is none (some browsers'
// private windows), they live as long as the page.
//
// Weakness: two tabs that write one turn at the same time both write; what has come further stays.

import { type DBSchema, type IDBPDatabase, openDB } from "idb";
import { type Conversation, isNewer, type Turn } from "./tree.js";

const NAME = "tokenferry-chat";
const VERSION = 1;

interface Schema extends DBSchema {
  conversations: { key: string; value: Conversation };
  turns: { key: string; value: Turn; indexes: { conversation: string } };
  drafts: { key: string; value: string };
}

/** What a draft is for; without a conversation, for the next new one of its owner. */
export interface DraftPlace {
  readonly conversation: string;
  readonly owner: string;
}

export function draftName({ conversation, owner }: DraftPlace): string {
  return conversation || `new ${owner}`;
}

export interface Store {
  conversations(): Promise<Conversation[]>;
  turns(conversation: string): Promise<Turn[]>;
  draft(place: DraftPlace): Promise<string>;
  putConversation(conversation: Conversation): Promise<void>;
  /** Writes a turn, unless what is there says more, or its conversation was deleted. */
  putTurn(turn: Turn): Promise<void>;
  /** Writes a draft, unless its conversation was deleted. */
  putDraft(place: DraftPlace, text: string): Promise<void>;
  remove(conversation: string): Promise<void>;
}

export async function openStore(): Promise<Store> {
  try {
    return new DatabaseStore(
      await openDB<Schema>(NAME, VERSION, {
        upgrade(database) {
          database.createObjectStore("conversations", { keyPath: "id" });
          database.createObjectStore("turns", { keyPath: "id" }).createIndex("conversation", "conversation");
          database.createObjectStore("drafts");
        },
        // A newer page in another tab: make room for it, and go on without keeping anything.
        blocking: (_current, _blocked, event) => (event.target as IDBDatabase).close(),
      }),
    );
  } catch {
    return new MemoryStore();
  }
}

class DatabaseStore implements Store {
  readonly #database: IDBPDatabase<Schema>;

  constructor(database: IDBPDatabase<Schema>) {
    this.#database = database;
  }

  conversations(): Promise<Conversation[]> {
    return this.#database.getAll("conversations");
  }

  turns(conversation: string): Promise<Turn[]> {
    return this.#database.getAllFromIndex("turns", "conversation", conversation);
  }

  async draft(place: DraftPlace): Promise<string> {
    return (await this.#database.get("drafts", draftName(place))) ?? "";
  }

  async putConversation(conversation: Conversation): Promise<void> {
    await this.#database.put("conversations", conversation);
  }

  async putTurn(turn: Turn): Promise<void> {
    const work = this.#database.transaction(["conversations", "turns"], "readwrite");
    const turns = work.objectStore("turns");
    const isDeleted = (await work.objectStore("conversations").getKey(turn.conversation)) === undefined;
    const known = await turns.get(turn.id);
    if (!isDeleted && (known === undefined || isNewer(turn, known))) await turns.put(turn);
    await work.done;
  }

  async putDraft(place: DraftPlace, text: string): Promise<void> {
    const { conversation } = place;
    const work = this.#database.transaction(["conversations", "drafts"], "readwrite");
    const drafts = work.objectStore("drafts");
    if (text === "") await drafts.delete(draftName(place));
    else if (conversation === "" || (await work.objectStore("conversations").getKey(conversation)))
      await drafts.put(text, draftName(place));
    await work.done;
  }

  async remove(conversation: string): Promise<void> {
    const work = this.#database.transaction(["conversations", "turns", "drafts"], "readwrite");
    await work.objectStore("conversations").delete(conversation);
    await work.objectStore("drafts").delete(conversation);
    const keys = await work.objectStore("turns").index("conversation").getAllKeys(conversation);
    for (const key of keys) await work.objectStore("turns").delete(key);
    await work.done;
  }
}

export class MemoryStore implements Store {
  readonly #conversations = new Map<string, Conversation>();
  readonly #turns = new Map<string, Turn>();
  readonly #drafts = new Map<string, string>();

  async conversations(): Promise<Conversation[]> {
    return [...this.#conversations.values()];
  }

  async turns(conversation: string): Promise<Turn[]> {
    return [...this.#turns.values()].filter((turn) => turn.conversation === conversation);
  }

  async draft(place: DraftPlace): Promise<string> {
    return this.#drafts.get(draftName(place)) ?? "";
  }

  async putConversation(conversation: Conversation): Promise<void> {
    this.#conversations.set(conversation.id, conversation);
  }

  async putTurn(turn: Turn): Promise<void> {
    const isDeleted = !this.#conversations.has(turn.conversation);
    const known = this.#turns.get(turn.id);
    if (!isDeleted && (known === undefined || isNewer(turn, known))) this.#turns.set(turn.id, turn);
  }

  async putDraft(place: DraftPlace, text: string): Promise<void> {
    if (place.conversation === "" || this.#conversations.has(place.conversation))
      this.#drafts.set(draftName(place), text);
  }

  async remove(conversation: string): Promise<void> {
    this.#conversations.delete(conversation);
    this.#drafts.delete(conversation);
    for (const turn of await this.turns(conversation)) this.#turns.delete(turn.id);
  }
}
