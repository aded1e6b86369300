// What the page is about: who uses it, the conversations, and the answers that are under way.
//
// The server has the truth of an answer; what is kept here is a copy with a position. After a
// reload, and in every other tab that shows the conversation, the answer is gone on with from there.

import { batch, computed, effect, signal } from "@preact/signals";
import type { ConnectionState, Stream } from "tokenferry";
import { randomId } from "../shared/random.js";
import { Announcements } from "./announcements.js";
import { type Identity, type Model, Gateway, askModels, failureOf } from "./gateway.js";
import { Live, type Phase } from "./live.js";
import { recall, remember } from "./session_storage.js";
import { type Store, MemoryStore, openStore } from "./store.js";
import { t } from "./texts.js";
import {
  type Conversation,
  type Failure,
  type Turn,
  type Turns,
  compact,
  isNewer,
  lineage,
  messagesOf,
  newTurn,
  path,
  titleOf,
} from "./tree.js";

// A reload asks the server for the rest anyway: what is kept may be this much behind.
const KEEP_MS = 500;
const MODELS_DELAY_MS = 400;
// Of the frame that carries a request, whose limit is a mebibyte unless the operator raised it.
const REQUEST_BYTES_MAX = 950_000;
const LINK = /^#follow=(st_\w{1,64})$/;

type News = { readonly kind: "list" } | { readonly kind: "turns"; readonly conversation: string };

export type Access =
  | { readonly state: "asking" }
  | { readonly state: "in"; readonly identity: Identity; readonly models: readonly Model[] }
  | { readonly state: "out"; readonly failure: Failure };

const FIRST_MODEL = "demo";
const AWAY: Phase = { kind: "reconnecting" };

export class Chat {
  readonly access = signal<Access>({ state: "asking" });
  readonly key = signal(recall("key"));
  /** Whether an account's login has ended, so that its conversations are not shown. */
  readonly lapsed = signal(false);
  readonly connection = signal<ConnectionState>({ status: "idle" });
  readonly online = signal(navigator.onLine);
  readonly conversations = signal<readonly Conversation[]>([]);
  readonly current = signal<Conversation | null>(null);
  readonly turns = signal<Turns>(new Map());
  readonly live = signal<ReadonlyMap<string, Live>>(new Map());
  readonly draft = signal("");
  readonly images = signal<readonly string[]>([]);
  /** What stands in the way of sending, beside what belongs to an answer. */
  readonly obstacle = signal<Failure | null>(null);
  readonly model = signal(recall("model"));
  /** For the screen reader. */
  readonly announced = signal("");
  readonly shown = computed(() => path(this.turns.value, this.current.value?.choice ?? {}));
  readonly running = computed(() => this.shown.value.find((turn) => this.live.value.has(turn.id)) ?? null);
  #store: Store = new MemoryStore();
  #gateway: Gateway | null = null;
  #channel: BroadcastChannel | null = null;
  #announcements = new Announcements();
  /** Turns of conversations that were deleted: their answers may still be coming. */
  readonly #removed = new Set<string>();
  #entering: Promise<void> = Promise.resolve();
  #opened = 0;
  #keyTimer = 0;
  #draftTimer = 0;

  async start(): Promise<void> {
    this.#store = await openStore();
    await this.#recallLeft();
    if (typeof BroadcastChannel === "function") {
      this.#channel = new BroadcastChannel("tokenferry-chat");
      this.#channel.onmessage = (event: MessageEvent<News>) => void this.#hear(event.data);
    }
    for (const name of ["online", "offline"] as const) {
      addEventListener(name, () => (this.online.value = navigator.onLine));
    }
    addEventListener("hashchange", () => void this.#followLink());
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.#gateway?.hurry();
    });
    addEventListener("pagehide", () => this.#keepAll());
    effect(() => {
      const running = this.running.value;
      const live = running && this.live.value.get(running.id);
      const phase = live && this.phaseOf(live);
      if (phase) this.#tell(phase.kind === "queued" ? t.value.queued(phase.ahead) : t.value[phase.kind], phase.kind === "queued" ? "queue" : "step");
    });
    await this.enter();
  }

  // -- who ----------------------------------------------------------------------------------------

  /** Finds out who the page is and what it may use. */
  enter(): Promise<void> {
    this.#entering = this.#enter();
    return this.#entering;
  }

  async #enter(): Promise<void> {
    const key = this.key.value;
    this.access.value = { state: "asking" };
    try {
      const { identity, models } = await askModels(key);
      if (key !== this.key.value) return;
      this.#leave();
      this.#gateway = new Gateway(identity, (state) => (this.connection.value = state));
      const before = recallOwner();
      this.lapsed.value = identity.kind === "guest" && before.startsWith("account:");
      if (identity.kind !== "guest") rememberOwner(identity.kind === "account" ? ownerOf(identity) : "");
      batch(() => {
        this.access.value = { state: "in", identity, models };
        if (!models.some((model) => model.id === this.model.value)) {
          this.model.value = models.find((model) => model.id === FIRST_MODEL)?.id ?? models[0]?.id ?? "";
        }
        this.obstacle.value = null;
      });
      await this.#loadList();
      const typed = this.draft.value;
      if (!(await this.#followLink())) await this.open(recall("conversation"));
      // What was typed before it was known who types it.
      if (typed !== "") this.draft.value = typed;
    } catch (reason) {
      if (key !== this.key.value) return;
      this.access.value = { state: "out", failure: failureOf(reason) };
    }
  }

  /** Takes a key as it is typed; an empty one gives up the one before. */
  setKey(key: string): void {
    if (key === this.key.value) return;
    this.key.value = key;
    remember("key", key);
    clearTimeout(this.#keyTimer);
    this.#keyTimer = window.setTimeout(() => void this.enter(), MODELS_DELAY_MS);
  }

  #leave(): void {
    this.#keepAll();
    for (const live of this.live.value.values()) live.stream.detach();
    this.live.value = new Map();
    this.#gateway?.close();
    this.#gateway = null;
    this.connection.value = { status: "idle" };
  }

  get #owner(): string {
    const access = this.access.value;
    return access.state === "in" ? ownerOf(access.identity) : "";
  }

  // -- conversations ------------------------------------------------------------------------------

  async #loadList(): Promise<void> {
    const owner = this.#owner;
    const own = (await this.#store.conversations()).filter((each) => each.owner === owner);
    this.conversations.value = own.sort((one, other) => other.updated - one.updated);
  }

  /** Shows a conversation; with an empty id, a new one that is not kept before something was asked. */
  async open(id: string): Promise<void> {
    const number = ++this.#opened;
    if (this.#opened > 1) await this.#keepDraft();
    const found = this.conversations.value.find((each) => each.id === id) ?? null;
    const turns = found === null ? [] : await this.#store.turns(found.id);
    const draft = recallDraft(found?.id ?? "") ?? (await this.#store.draft(found?.id ?? ""));
    if (number !== this.#opened) return;
    // Whoever logs in again comes back to where the login ended.
    if (found !== null || !this.lapsed.value) remember("conversation", found?.id ?? "");
    batch(() => {
      this.current.value = found;
      this.turns.value = new Map(turns.map((turn) => [turn.id, this.#latest(turn)]));
      this.draft.value = draft;
      this.images.value = [];
      this.obstacle.value = null;
      const { model = "" } = found ?? {};
      const access = this.access.value;
      if (access.state === "in" && access.models.some((each) => each.id === model)) this.model.value = model;
    });
    this.#resumeAll();
  }

  async remove(id: string): Promise<void> {
    for (const turn of await this.#store.turns(id)) {
      this.live.value.get(turn.id)?.stop();
      this.#removed.add(turn.id);
    }
    await this.#store.remove(id);
    await this.#loadList();
    this.#say({ kind: "list" });
    if (this.current.value?.id === id) await this.open("");
  }

  async removeAll(): Promise<void> {
    for (const { id } of this.conversations.value) await this.remove(id);
  }

  async rename(id: string, title: string): Promise<void> {
    const found = this.conversations.value.find((each) => each.id === id);
    if (found && title.trim() !== "") await this.#putConversation({ ...found, title: titleOf(title) });
  }

  chooseModel(id: string): void {
    this.model.value = id;
    remember("model", id);
    const now = this.current.value;
    if (now) void this.#putConversation({ ...now, model: id });
  }

  setDraft(text: string): void {
    this.draft.value = text;
    clearTimeout(this.#draftTimer);
    this.#draftTimer = window.setTimeout(() => void this.#keepDraft(), KEEP_MS);
  }

  async #keepDraft(): Promise<void> {
    clearTimeout(this.#draftTimer);
    if (this.access.value.state === "in") await this.#store.putDraft(this.current.value?.id ?? "", this.draft.value);
  }

  async #putConversation(conversation: Conversation): Promise<void> {
    if (this.current.value?.id === conversation.id) this.current.value = conversation;
    await this.#store.putConversation(conversation);
    await this.#loadList();
    this.#say({ kind: "list" });
  }

  // -- asking -------------------------------------------------------------------------------------

  /** Sends the draft, unless nothing is to be sent, or an answer is still coming. */
  async send(): Promise<void> {
    const text = this.draft.value.trim();
    const images = this.images.value;
    if ((text === "" && images.length === 0) || this.running.value) return;
    await this.#entering;
    const access = this.access.value;
    if (access.state === "out") {
      const { failure } = access;
      this.obstacle.value = failure.code === "login_required" ? { ...failure, code: "missing_api_key", requestId: null } : failure;
    }
    if (access.state !== "in" || this.model.value === "" || this.draft.value.trim() !== text) return;
    const before = this.shown.value.at(-1)?.id ?? null;
    this.draft.value = "";
    this.images.value = [];
    await this.#ask(before, text, images);
  }

  /** Asks the question of a turn otherwise, as a branch beside it. */
  async edit(turn: Turn, text: string): Promise<void> {
    if (this.running.value || text.trim() === "") return;
    await this.#ask(turn.parent, text.trim(), turn.images);
  }

  /** Has the question of a turn answered once more; a branch beside the answer that there is. */
  async regenerate(turn: Turn): Promise<void> {
    const question = turn.role === "user" ? turn : this.turns.value.get(turn.parent ?? "");
    if (question && !this.running.value) await this.#answer(question);
  }

  /** Asks again for an answer of which nothing came, or goes on with one whose connection was lost. */
  async retry(turn: Turn): Promise<void> {
    if (turn.state === "running") {
      this.#putTurn({ ...turn, failure: null });
      this.#receive(this.turns.value.get(turn.id)!);
      return;
    }
    await this.regenerate(turn);
  }

  stop(): void {
    const { value } = this.running;
    if (value) this.live.value.get(value.id)?.stop();
  }

  async choose(turn: Turn): Promise<void> {
    const now = this.current.value;
    if (now) await this.#putConversation({ ...now, choice: { ...now.choice, [turn.parent ?? ""]: turn.id } });
  }

  async #ask(parent: string | null, text: string, images: readonly string[]): Promise<void> {
    const nowMs = Date.now();
    let conversation = this.current.value;
    if (conversation === null) {
      const title = titleOf(text) || t.value.image;
      conversation = { id: randomId(), owner: this.#owner, title, created: nowMs, updated: nowMs, model: this.model.value, choice: {} };
      await this.#store.putDraft("", "");
    }
    const id = randomId();
    const question = newTurn("user", { id, conversation: conversation.id, parent, created: nowMs, text, images });
    const choice = { ...conversation.choice, [parent ?? ""]: id };
    batch(() => {
      this.current.value = { ...conversation, choice, updated: nowMs };
      this.#putTurn(question);
    });
    remember("conversation", conversation.id);
    await this.#keepDraft();
    await this.#answer(question);
  }

  async #answer(question: Turn): Promise<void> {
    const conversation = this.current.value!;
    const id = randomId();
    const turn = newTurn("assistant", {
      id,
      conversation: conversation.id,
      parent: question.id,
      created: Date.now(),
      model: this.model.value,
      idempotencyKey: randomId(),
    });
    const kept: Conversation = {
      ...conversation,
      model: turn.model,
      updated: Date.now(),
      choice: { ...conversation.choice, [question.id]: id },
    };
    // Before anything is asked: a page that is left now does not wait for the database.
    remember("asked", JSON.stringify({ conversation: kept, turns: [question, turn] }));
    batch(() => {
      this.#putTurn(turn);
      this.#receive(turn);
    });
    await this.#putConversation(kept);
    await this.#store.putTurn(question);
    await this.#store.putTurn(turn);
    remember("asked", "");
    this.#say({ kind: "turns", conversation: conversation.id });
  }

  /** What is to be said of an answer that comes. */
  phaseOf(live: Live): Phase {
    // The browser knows first: a connection that leads nowhere may stay open for long.
    return this.online.value ? live.phase.value : AWAY;
  }

  // -- receiving ----------------------------------------------------------------------------------

  #resumeAll(): void {
    for (const turn of this.turns.value.values()) {
      if (turn.state === "running" && !this.live.value.has(turn.id)) this.#receive(turn);
    }
  }

  #receive(turn: Turn): void {
    const gateway = this.#gateway;
    if (gateway === null) return;
    let stream: Stream;
    try {
      stream = turn.saved
        ? gateway.resume(turn.saved)
        : gateway.ask(turn.model, messagesOf(lineage(this.turns.value, turn.parent ?? ""), REQUEST_BYTES_MAX), turn.idempotencyKey);
    } catch (reason) {
      this.#putTurn({ ...turn, failure: failureOf(reason) });
      return;
    }
    const live = new Live(stream);
    this.live.value = new Map(this.live.value).set(turn.id, live);
    this.#announcements.begin();
    stream.on("started", () => {
      this.#keep(turn.id);
      // With its name, other tabs can follow it.
      this.#say({ kind: "turns", conversation: turn.conversation });
    });
    void this.#read(turn.id, live);
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
    const { stream } = live;
    live.draw();
    const isCut = failure?.code === "connection_lost";
    const { usage, cost, finishReason } = stream;
    const state = isCut ? "running" : failure ? "failed" : finishReason === "cancelled" ? "stopped" : "done";
    const turn = this.#turn(id);
    const remaining = new Map(this.live.value);
    remaining.delete(id);
    if (turn) {
      const saved = stream.toJSON();
      const ended: Turn = {
        ...turn,
        ...withText(stream),
        state,
        saved: saved && (isCut ? compact(saved) : { ...saved, steps: [] }),
        finish: finishReason,
        tokens: usage?.completion_tokens ?? null,
        isEstimate: usage?.estimated === true,
        cost,
        totalMs: live.isWatched && !turn.isFollowed ? Date.now() - turn.created : null,
        failure,
      };
      const words = failure ? "" : state === "stopped" ? t.value.stopped : t.value.finished;
      if (words && this.shown.value.some((each) => each.id === id)) this.#tell(words, "end");
      batch(() => {
        this.live.value = remaining;
        this.#putTurn(ended);
      });
      this.#say({ kind: "turns", conversation: turn.conversation });
      return;
    }
    this.live.value = remaining;
  }

  /** The turn as it is known; of another conversation than the one that is shown, too. */
  #turn(id: string): Turn | undefined {
    if (this.#removed.has(id)) return undefined;
    return this.turns.value.get(id) ?? this.#others.get(id);
  }

  readonly #others = new Map<string, Turn>();

  /** Changes a turn that nobody else needs to hear of yet. */
  #change(turn: Turn): void {
    if (this.turns.value.has(turn.id)) this.turns.value = new Map(this.turns.value).set(turn.id, turn);
    else this.#others.set(turn.id, turn);
  }

  #putTurn(turn: Turn): void {
    if (this.current.value?.id === turn.conversation) {
      this.turns.value = new Map(this.turns.value).set(turn.id, turn);
    }
    if (turn.state === "running") this.#others.set(turn.id, turn);
    else this.#others.delete(turn.id);
    void this.#store.putTurn(turn);
  }

  /** Of two versions of a turn, the one that says more. */
  #latest(turn: Turn): Turn {
    const own = this.#others.get(turn.id);
    return own && isNewer(own, turn) ? own : turn;
  }

  /** Keeps how far an answer is. */
  #keep(id: string): void {
    const live = this.live.value.get(id);
    const turn = this.#turn(id);
    const saved = live?.stream.toJSON();
    if (!live || !turn || !saved || (turn.saved?.seq === saved.seq && turn.saved.epoch === saved.epoch)) return;
    const kept: Turn = { ...turn, ...withText(live.stream), saved: compact(saved) };
    this.#others.set(id, kept);
    // What is drawn of it comes from the live answer; the map stays, so that nothing is drawn anew.
    if (this.turns.value.has(id)) (this.turns.value as Map<string, Turn>).set(id, kept);
    void this.#store.putTurn(kept);
  }

  #keepAll(): void {
    const running: Turn[] = [];
    for (const id of this.live.value.keys()) {
      this.#keep(id);
      const turn = this.#others.get(id);
      if (turn) running.push({ ...turn, images: [] });
    }
    // A page that is left does not wait for the database.
    remember("running", running.length > 0 ? JSON.stringify(running) : "");
    if (this.draft.value !== "") remember("draft", `${this.current.value?.id ?? ""} ${this.draft.value}`);
    void this.#keepDraft();
  }

  /** Takes up what a page of this tab has left. */
  async #recallLeft(): Promise<void> {
    const asked = recall("asked");
    remember("asked", "");
    if (asked !== "") {
      const { conversation, turns } = JSON.parse(asked) as { conversation: Conversation; turns: Turn[] };
      await this.#store.putConversation(conversation);
      for (const turn of turns) await this.#store.putTurn(turn);
    }
    const text = recall("running");
    remember("running", "");
    if (text === "") return;
    for (const turn of JSON.parse(text) as Turn[]) this.#others.set(turn.id, turn);
  }

  // -- other tabs and devices ---------------------------------------------------------------------

  #say(news: News): void {
    this.#channel?.postMessage(news);
  }

  async #hear(news: News): Promise<void> {
    await this.#loadList();
    const now = this.current.value;
    if (now === null) return;
    const found = this.conversations.value.find((each) => each.id === now.id);
    if (found === undefined) {
      await this.open("");
      return;
    }
    if (news.kind === "list") {
      this.current.value = { ...found, choice: now.choice };
      return;
    }
    if (news.conversation !== now.id) return;
    const known = new Map(this.turns.value);
    for (const turn of await this.#store.turns(now.id)) {
      const own = known.get(turn.id);
      if (!this.live.value.has(turn.id) && (own === undefined || isNewer(turn, own))) known.set(turn.id, turn);
    }
    if (this.current.value?.id !== now.id) return;
    batch(() => {
      this.current.value = found;
      this.turns.value = known;
    });
    // Not before it has a name: a second create would begin where the first one is not known yet.
    for (const turn of known.values()) {
      if (turn.state === "running" && turn.saved !== null && !this.live.value.has(turn.id)) this.#receive(turn);
    }
  }

  /** Follows the stream that the address names, from its beginning. */
  async #followLink(): Promise<boolean> {
    const streamId = LINK.exec(location.hash)?.[1];
    if (streamId === undefined || this.access.value.state !== "in") return false;
    history.replaceState(null, "", location.pathname + location.search);
    for (const { id } of this.conversations.value) {
      if ((await this.#store.turns(id)).some((turn) => turn.saved?.streamId === streamId)) {
        await this.open(id);
        return true;
      }
    }
    const nowMs = Date.now();
    const conversation: Conversation = {
      id: randomId(),
      owner: this.#owner,
      title: t.value.followed,
      created: nowMs,
      updated: nowMs,
      model: "",
      choice: {},
    };
    await this.#store.putTurn(
      newTurn("assistant", {
        id: randomId(),
        conversation: conversation.id,
        parent: null,
        created: nowMs,
        isFollowed: true,
        saved: { streamId, epoch: 1, seq: 0 },
      }),
    );
    await this.#putConversation(conversation);
    await this.open(conversation.id);
    return true;
  }

  #tell(words: string, kind: "queue" | "step" | "end"): void {
    if (this.#announcements.admits(words, kind, performance.now())) this.announced.value = words;
  }
}

function withText(stream: Stream): Pick<Turn, "text" | "reasoning"> {
  return { text: stream.answer.text, reasoning: stream.answer.reasoning };
}

function ownerOf(identity: Identity): string {
  if (identity.kind === "key") return `key:${identity.key.split("_")[1] ?? ""}`;
  return identity.kind === "account" ? `account:${identity.email}` : "guest";
}

/** What was being written when this tab's last page was left; once. */
function recallDraft(conversation: string): string | null {
  const left = recall("draft");
  if (!left.startsWith(`${conversation} `)) return null;
  remember("draft", "");
  return left.slice(conversation.length + 1);
}

function recallOwner(): string {
  try {
    return localStorage.getItem("tokenferry.owner") ?? "";
  } catch {
    return "";
  }
}

function rememberOwner(owner: string): void {
  try {
    localStorage.setItem("tokenferry.owner", owner);
  } catch {
    // Only the hint that a login has ended is lost.
  }
}
