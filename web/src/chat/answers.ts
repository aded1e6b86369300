// The answers that are under way, and the turns of the conversation that is shown.
//
// An answer goes on when another conversation is shown: its turn is kept here until it has ended.

import { batch, signal } from "@preact/signals";
import type { Stream } from "tokenferry";
import { type Gateway, failureOf } from "./gateway.js";
import { Live } from "./live.js";
import type { Store } from "./store.js";
import { t } from "./texts.js";
import { type Failure, type Turn, type Turns, compact, isNewer, lineage, messagesOf } from "./tree.js";

// A reload asks the server for the rest anyway: what is kept may be this much behind.
export const KEEP_MS = 500;
// Of the frame that carries a request, whose limit is a mebibyte unless the operator raised it.
const REQUEST_BYTES_MAX = 950_000;

/** What the answers are part of. */
export interface Surroundings {
  readonly gateway: () => Gateway | null;
  readonly store: () => Store;
  /** The conversation that is shown; an empty text for a new one. */
  readonly conversation: () => string;
  readonly isShown: (turn: string) => boolean;
  /** An answer is being asked for. */
  readonly begins: () => void;
  /** For the screen reader. */
  readonly ends: (words: string) => void;
  /** Other tabs are to look at a conversation. */
  readonly says: (conversation: string) => void;
}

export class Answers {
  readonly turns = signal<Turns>(new Map());
  readonly live = signal<ReadonlyMap<string, Live>>(new Map());
  readonly #around: Surroundings;
  /** Turns whose answers are under way, as they are known; of other conversations, too. */
  readonly #running = new Map<string, Turn>();
  /** Turns of conversations that were deleted: their answers may still be coming. */
  readonly #removed = new Set<string>();

  constructor(around: Surroundings) {
    this.#around = around;
  }

  /** Shows the turns of a conversation. */
  show(turns: readonly Turn[]): void {
    this.turns.value = new Map(turns.map((turn) => [turn.id, this.#latest(turn)]));
  }

  /** Takes the turns that another tab has kept of the conversation that is shown. */
  take(turns: readonly Turn[]): void {
    const known = new Map(this.turns.value);
    for (const turn of turns) {
      const own = known.get(turn.id);
      if (!this.live.value.has(turn.id) && (own === undefined || isNewer(turn, own))) known.set(turn.id, turn);
    }
    this.turns.value = known;
  }

  /**
   * Goes on with what is under way of the conversation that is shown; with what another tab has asked
   * for not before it has a name: a second create would begin where the first one is not known yet.
   */
  resumeAll(named: "named" | "all"): void {
    for (const turn of this.turns.value.values()) {
      const isReady = named === "all" || turn.saved !== null;
      if (turn.state === "running" && isReady && !this.live.value.has(turn.id)) this.receive(turn, true);
    }
  }

  /** Asks for the answer of a turn, or goes on with it; `isAgain` if it may have been asked for before. */
  receive(turn: Turn, isAgain: boolean): void {
    const gateway = this.#around.gateway();
    if (gateway === null) return;
    let stream: Stream;
    try {
      stream = turn.saved ? gateway.resume(turn.saved) : asked(gateway, turn, this.turns.value);
    } catch (reason) {
      this.put({ ...turn, failure: failureOf(reason) });
      return;
    }
    const live = new Live(stream, isAgain);
    this.live.value = new Map(this.live.value).set(turn.id, live);
    this.#around.begins();
    stream.on("started", () => {
      this.#keep(turn.id);
      // With its name, other tabs can follow it.
      this.#around.says(turn.conversation);
    });
    if (turn.isStopping) live.stop();
    void this.#read(turn.id, live);
  }

  /** Ends an answer; a page that is left before the server has said so does it when it comes back. */
  stop(id: string): void {
    const turn = this.#turn(id);
    this.live.value.get(id)?.stop();
    if (turn?.state === "running" && this.live.value.has(id)) this.put({ ...turn, isStopping: true });
  }

  /** Changes a turn, and keeps it. */
  put(turn: Turn): void {
    if (this.#around.conversation() === turn.conversation) {
      this.turns.value = new Map(this.turns.value).set(turn.id, turn);
    }
    if (turn.state === "running") this.#running.set(turn.id, turn);
    else this.#running.delete(turn.id);
    void this.#around.store().putTurn(turn);
  }

  /** Ends the answers of a conversation that is being deleted, given all its turns. */
  remove(turns: readonly Turn[]): void {
    const gateway = this.#around.gateway();
    const known = new Map(turns.map((turn) => [turn.id, turn]));
    for (const turn of turns) {
      this.#removed.add(turn.id);
      const live = this.live.value.get(turn.id);
      if (live) live.stop();
      // Of an earlier visit, or of another tab.
      else if (turn.state === "running" && gateway) end(gateway, turn, known);
    }
  }

  /** Leaves all answers; they go on at the server. */
  detach(): void {
    for (const live of this.live.value.values()) live.stream.detach();
    this.live.value = new Map();
  }

  /** Keeps how far all are, and returns their turns. */
  keepAll(): Turn[] {
    const running: Turn[] = [];
    for (const id of this.live.value.keys()) {
      this.#keep(id);
      const turn = this.#running.get(id);
      if (turn) running.push({ ...turn, images: [] });
    }
    return running;
  }

  /** Takes up what `keepAll` of an earlier page has returned. */
  recall(running: readonly Turn[]): void {
    for (const turn of running) this.#running.set(turn.id, turn);
  }

  async #read(id: string, live: Live): Promise<void> {
    const { stream } = live;
    const hadText = live.hasText;
    const keeping = window.setInterval(() => this.#keep(id), KEEP_MS);
    try {
      for await (const _chunk of stream) {
        const turn = this.#turn(id);
        if (turn && turn.firstMs === null && live.isWatched && live.hasText && !hadText && !turn.isFollowed) {
          this.#change({ ...turn, firstMs: Date.now() - turn.created });
        }
        live.changed();
      }
      clearInterval(keeping);
      // Detached: it goes on at the server, and with the next visit here.
      if (stream.finishReason !== null) this.#ended(id, live, null);
    } catch (reason) {
      clearInterval(keeping);
      this.#ended(id, live, failureOf(reason));
    }
  }

  #ended(id: string, live: Live, failure: Failure | null): void {
    live.draw();
    const turn = this.#turn(id);
    const remaining = new Map(this.live.value);
    remaining.delete(id);
    if (turn === undefined) {
      this.live.value = remaining;
      return;
    }
    const ended = endOf(turn, live, failure);
    const words = failure ? "" : ended.state === "stopped" ? t.value.stopped : t.value.finished;
    if (words && this.#around.isShown(id)) this.#around.ends(words);
    batch(() => {
      this.live.value = remaining;
      this.put(ended);
    });
    this.#around.says(turn.conversation);
  }

  /** The turn as it is known; of another conversation than the one that is shown, too. */
  #turn(id: string): Turn | undefined {
    if (this.#removed.has(id)) return undefined;
    return this.turns.value.get(id) ?? this.#running.get(id);
  }

  /** Changes a turn that nobody else needs to hear of yet. */
  #change(turn: Turn): void {
    if (this.turns.value.has(turn.id)) this.turns.value = new Map(this.turns.value).set(turn.id, turn);
    else this.#running.set(turn.id, turn);
  }

  /** Of two versions of a turn, the one that says more. */
  #latest(turn: Turn): Turn {
    const own = this.#running.get(turn.id);
    return own && isNewer(own, turn) ? own : turn;
  }

  /** Keeps how far an answer is. */
  #keep(id: string): void {
    const live = this.live.value.get(id);
    const turn = this.#turn(id);
    const saved = live?.stream.toJSON();
    if (!live || !turn || !saved || (turn.saved?.seq === saved.seq && turn.saved.epoch === saved.epoch)) return;
    const kept: Turn = { ...turn, ...withText(live.stream), saved: compact(saved) };
    this.#running.set(id, kept);
    // What is drawn of it comes from the live answer; the map stays, so that nothing is drawn anew.
    if (this.turns.value.has(id)) (this.turns.value as Map<string, Turn>).set(id, kept);
    void this.#around.store().putTurn(kept);
  }
}

/** Asks for the answer of a turn; asked for before, it is the same answer. */
function asked(gateway: Gateway, turn: Turn, turns: Turns): Stream {
  return gateway.ask(turn.model, messagesOf(lineage(turns, turn.parent ?? ""), REQUEST_BYTES_MAX), turn.idempotencyKey);
}

/** Ends an answer that nobody here receives. */
function end(gateway: Gateway, turn: Turn, turns: Turns): void {
  if (turn.saved) {
    void gateway.resume(turn.saved).cancel();
    return;
  }
  // Whoever asked for it was closed before its name was kept: the name is learnt by asking again.
  const stream = asked(gateway, turn, turns);
  // Not before it has begun: the client only forgets what it has not sent yet.
  stream.on("started", () => void stream.cancel());
}

/** The turn of an answer that has ended, or whose connection is lost. */
function endOf(turn: Turn, live: Live, failure: Failure | null): Turn {
  const { stream } = live;
  const { usage, cost, finishReason } = stream;
  const isCut = failure?.code === "connection_lost";
  const saved = stream.toJSON();
  return {
    ...turn,
    ...withText(stream),
    isStopping: isCut && turn.isStopping === true,
    state: isCut ? "running" : failure ? "failed" : finishReason === "cancelled" ? "stopped" : "done",
    saved: saved && (isCut ? compact(saved) : { ...saved, steps: [] }),
    finish: finishReason,
    tokens: usage?.completion_tokens ?? null,
    isEstimate: usage?.estimated === true,
    cost,
    totalMs: live.isWatched && !turn.isFollowed ? Date.now() - turn.created : null,
    failure,
  };
}

function withText(stream: Stream): Pick<Turn, "text" | "reasoning"> {
  return { text: stream.answer.text, reasoning: stream.answer.reasoning };
}
