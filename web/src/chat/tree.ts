// A conversation as a tree of turns: an edited question or another answer is a branch beside the
// first one. Pure.

import type { ContentPart, Message, SavedStream, Step } from "tokenferry";

export type TurnState = "running" | "done" | "stopped" | "failed";

/** Why something failed. `retryAtMs` is Unix time. */
export interface Failure {
  readonly code: string;
  readonly message: string;
  readonly requestId: string | null;
  readonly retryAtMs: number | null;
}

export interface Turn {
  readonly id: string;
  readonly conversation: string;
  readonly parent: string | null;
  readonly role: "user" | "assistant";
  /** Unix milliseconds. */
  readonly created: number;
  readonly text: string;
  readonly reasoning: string;
  /** Data URLs. */
  readonly images: readonly string[];
  readonly model: string;
  readonly state: TurnState;
  /** Under which name the answer was asked for, so that asking again starts nothing twice. */
  readonly idempotencyKey: string;
  /** What the client goes on from; null before the server has begun. */
  readonly saved: SavedStream | null;
  readonly finish: string | null;
  readonly tokens: number | null;
  readonly isEstimate: boolean;
  /** Decimal USD. */
  readonly cost: string | null;
  readonly firstMs: number | null;
  readonly totalMs: number | null;
  readonly failure: Failure | null;
  /** Whether it was asked for elsewhere, so that nobody here knows when. */
  readonly isFollowed: boolean;
  /** Whether its reader has stopped it, and the server has not said so yet. */
  readonly isStopping?: boolean;
}

export interface Conversation {
  readonly id: string;
  /** Whose it is: nobody else who uses this browser is shown it. */
  readonly owner: string;
  readonly title: string;
  readonly created: number;
  readonly updated: number;
  readonly model: string;
  /** The chosen one of several branches, by the turn before them; "" before the first. */
  readonly choice: Readonly<Record<string, string>>;
}

export type Turns = ReadonlyMap<string, Turn>;

const TITLE_CHARACTERS = 60;

export function newTurn(
  role: Turn["role"],
  of: Pick<Turn, "id" | "conversation" | "parent" | "created"> & Partial<Turn>,
): Turn {
  return {
    role,
    text: "",
    reasoning: "",
    images: [],
    model: "",
    state: role === "user" ? "done" : "running",
    idempotencyKey: "",
    saved: null,
    finish: null,
    tokens: null,
    isEstimate: false,
    cost: null,
    firstMs: null,
    totalMs: null,
    failure: null,
    isFollowed: false,
    ...of,
  };
}

/** The turns that follow one, oldest first. */
export function branches(turns: Turns, parent: string | null): Turn[] {
  const found = [...turns.values()].filter((turn) => turn.parent === parent);
  return found.sort((one, other) => one.created - other.created || (one.id < other.id ? -1 : 1));
}

/** The turns that are shown: from the first one on, the chosen branch or the latest. */
export function path(turns: Turns, choice: Conversation["choice"]): Turn[] {
  const shown: Turn[] = [];
  let parent: string | null = null;
  for (;;) {
    const found: Turn[] = branches(turns, parent);
    if (found.length === 0 || shown.length > turns.size) return shown;
    const chosen: string | undefined = choice[parent ?? ""];
    const next: Turn = found.find((turn) => turn.id === chosen) ?? found.at(-1)!;
    shown.push(next);
    parent = next.id;
  }
}

/** What stands before a turn, and itself. */
export function lineage(turns: Turns, id: string): Turn[] {
  const found: Turn[] = [];
  for (let at = turns.get(id); at !== undefined && found.length <= turns.size; at = turns.get(at.parent ?? "")) {
    found.unshift(at);
  }
  return found;
}

/** What the model is sent. Where all of it is too long, the oldest images are left out. */
export function messagesOf(line: readonly Turn[], bytesMax: number): Message[] {
  const sent = line.filter((turn) => turn.role === "user" || turn.text !== "");
  let bytes = sent.reduce(
    (sum, { text, images }) => sum + 3 * text.length + images.reduce((all, each) => all + each.length, 0),
    0,
  );
  return sent.map(({ role, text, images }) => {
    if (role === "assistant") return { role, content: text };
    const kept = images.filter((image) => {
      if (bytes <= bytesMax) return true;
      bytes -= image.length;
      return false;
    });
    if (kept.length === 0) return { role, content: text };
    const parts: ContentPart[] = kept.map((url) => ({ type: "image_url", image_url: { url } }));
    return { role, content: text === "" ? parts : [...parts, { type: "text", text }] };
  });
}

export function titleOf(text: string): string {
  const line = text.trim().replace(/\s+/g, " ");
  const characters = [...line];
  return characters.length <= TITLE_CHARACTERS ? line : `${characters.slice(0, TITLE_CHARACTERS - 1).join("")}…`;
}

// As far back the server may take something from an answer without all of it being sent anew.
const STEPS_KEPT = 64;

/** The same position with fewer steps: one for all but the latest. */
export function compact(saved: SavedStream): SavedStream {
  const { steps = [] } = saved;
  const cut = steps.length - STEPS_KEPT;
  // Other choices and calls of tools are seldom; they stay as they are.
  if (cut < 2 || steps.some(([, index, , , calls]) => index !== 0 || (calls?.length ?? 0) > 0)) return saved;
  const old = steps.slice(0, cut);
  const text = old.map((step) => step[2]).join("");
  const reasoning = old.map((step) => step[3] ?? "").join("");
  const merged: Step = [old.at(-1)![0], 0, text, reasoning];
  return { ...saved, steps: [merged, ...steps.slice(cut)] };
}

/** Whether one version of a turn says more than another: what ended wins, then what came further. */
export function isNewer(one: Turn, other: Turn): boolean {
  if ((one.state === "running") !== (other.state === "running")) return one.state !== "running";
  const [a, b] = [one.saved, other.saved];
  if (a === null || b === null) return b === null;
  return a.epoch === b.epoch ? a.seq >= b.seq : a.epoch > b.epoch;
}
