// What the page is about: who uses it, the conversations, and the answers that are under way.
//
// The server has the truth of an answer; what is kept here is a copy with a position. After a
// reload, and in every other tab that shows the conversation, the answer is gone on with from there.

import { batch, computed, effect, signal } from "@preact/signals";
import type { ConnectionState } from "tokenferry";
import { randomId } from "../shared/random.js";
import { Announcements } from "./announcements.js";
import { Answers } from "./answers.js";
import { Draft } from "./draft.js";
import { Gateway, askModels, failureOf } from "./gateway.js";
import { followed, takeLink } from "./link.js";
import type { Live, Phase } from "./live.js";
import { forgetLeftOver, noteLeftOver, storeLeftOver } from "./left_over.js";
import { type Access, ownerOf, recallOwner, rememberOwner } from "./owner.js";
import { isOnline } from "./page_state.js";
import { recall, remember, take } from "./session_storage.js";
import { type Store, MemoryStore, openStore } from "./store.js";
import { type News, Tabs } from "./tabs.js";
import { t } from "./texts.js";
import { type Conversation, type Failure, type Turn, newTurn, path, titleOf } from "./tree.js";

const MODELS_DELAY_MS = 400;
const FIRST_MODEL = "demo";
const AWAY: Phase = { kind: "reconnecting" };

export class Chat {
  readonly access = signal<Access>({ state: "asking" });
  readonly key = signal(recall("key"));
  /** Whether an account's login has ended, so that its conversations are not shown. */
  readonly lapsed = signal(false);
  readonly connection = signal<ConnectionState>({ status: "idle" });
  readonly conversations = signal<readonly Conversation[]>([]);
  readonly current = signal<Conversation | null>(null);
  readonly #answers = new Answers({
    gateway: () => this.#gateway,
    store: () => this.#store,
    conversation: () => this.current.value?.id ?? "",
    isShown: (id) => this.shown.value.some((turn) => turn.id === id),
    begins: () => this.#announcements.begin(),
    ends: (words) => this.#tell(words, "end"),
    says: (conversation) => this.#tabs.say({ kind: "turns", conversation }),
  });
  readonly turns = this.#answers.turns;
  readonly live = this.#answers.live;
  readonly #draft = new Draft(() => this.#store);
  readonly draft = this.#draft.text;
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
  readonly #tabs = new Tabs();
  #announcements = new Announcements();
  /** A conversation that other tabs cannot know yet. */
  #unkept = "";
  #entering: Promise<void> = Promise.resolve();
  #opening: Promise<void> = Promise.resolve();
  #opened = 0;
  #keyTimer = 0;

  async start(): Promise<void> {
    this.#store = await openStore();
    await this.#recallLeft();
    this.#tabs.hear((news) => void this.#hear(news));
    addEventListener("hashchange", () => void this.#followLink());
    document.addEventListener("visibilitychange", () => document.hidden || this.#gateway?.hurry());
    addEventListener("pagehide", () => this.#keepAll());
    effect(() => {
      const running = this.running.value;
      const live = running && this.live.value.get(running.id);
      const phase = live && this.phaseOf(live);
      if (phase)
        this.#tell(
          phase.kind === "queued" ? t.value.queued(phase.ahead) : t.value[phase.kind],
          phase.kind === "queued" ? "queue" : "step",
        );
    });
    await this.enter();
  }

  // -- who ----------------------------------------------------------------------------------------

  /** Finds out who the page is and what it may use. */
  enter(): Promise<void> {
    return (this.#entering = this.#enter());
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
    this.#answers.detach();
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
  open(id: string): Promise<void> {
    // At once, and not when all is there: what is typed or attached meanwhile is for what is opened.
    if (++this.#opened > 1) {
      this.images.value = [];
      this.obstacle.value = null;
    }
    const found = this.conversations.value.find((each) => each.id === id) ?? null;
    const drafted = this.#draft.turnTo({ conversation: found?.id ?? "", owner: this.#owner });
    return (this.#opening = this.#open(found, drafted, this.#opened));
  }

  async #open(found: Conversation | null, drafted: Promise<void>, number: number): Promise<void> {
    const turns = found === null ? [] : await this.#store.turns(found.id);
    await drafted;
    if (number !== this.#opened) return;
    // Whoever logs in again comes back to where the login ended.
    if (found !== null || !this.lapsed.value) remember("conversation", found?.id ?? "");
    batch(() => {
      this.current.value = found;
      this.#answers.show(turns);
      const { model = "" } = found ?? {};
      const access = this.access.value;
      if (access.state === "in" && access.models.some((each) => each.id === model)) this.model.value = model;
    });
    this.#answers.resumeAll("all");
  }

  async remove(id: string): Promise<void> {
    this.#answers.remove(await this.#store.turns(id));
    forgetLeftOver(id);
    await this.#store.remove(id);
    await this.#loadList();
    this.#tabs.say({ kind: "list" });
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
    this.#draft.set(text);
  }

  async #putConversation(conversation: Conversation): Promise<void> {
    if (this.current.value?.id === conversation.id) this.current.value = conversation;
    const stored = noteLeftOver("changed", { conversation, turns: [] });
    await this.#store.putConversation(conversation);
    stored();
    await this.#loadList();
    this.#tabs.say({ kind: "list" });
  }

  // -- asking -------------------------------------------------------------------------------------

  /** Sends the draft, unless nothing is to be sent, or an answer is still coming. */
  async send(): Promise<void> {
    const text = this.draft.value.trim();
    const images = this.images.value;
    if ((text === "" && images.length === 0) || this.running.value) return;
    await this.#entering;
    await this.#opening;
    const access = this.access.value;
    if (access.state === "out") {
      const { failure } = access;
      this.obstacle.value =
        failure.code === "login_required" ? { ...failure, code: "missing_api_key", requestId: null } : failure;
    }
    const isAnother = this.running.value !== null || this.draft.value.trim() !== text || this.images.value !== images;
    if (access.state !== "in" || this.model.value === "" || isAnother) return;
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
    if (turn.state !== "running") return this.regenerate(turn);
    this.#answers.put({ ...turn, failure: null, isStopping: false });
    this.#answers.receive(this.turns.value.get(turn.id)!, true);
  }

  stop(): void {
    this.#answers.stop(this.running.value?.id ?? "");
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
      conversation = {
        id: randomId(),
        owner: this.#owner,
        title,
        created: nowMs,
        updated: nowMs,
        model: this.model.value,
        choice: {},
      };
      this.#unkept = conversation.id;
    }
    const id = randomId();
    const question = newTurn("user", { id, conversation: conversation.id, parent, created: nowMs, text, images });
    conversation = { ...conversation, choice: { ...conversation.choice, [parent ?? ""]: id }, updated: nowMs };
    void this.#store.putConversation(conversation);
    batch(() => {
      this.current.value = conversation;
      this.#answers.put(question);
    });
    remember("conversation", conversation.id);
    this.#draft.moveTo({ conversation: conversation.id, owner: this.#owner });
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
    // Before anything is asked.
    const stored = noteLeftOver("asked", { conversation: kept, turns: [question, turn] });
    const storing = this.#putConversation(kept);
    batch(() => {
      this.#answers.put(turn);
      this.#answers.receive(turn, false);
    });
    await storing;
    this.#unkept = "";
    await this.#store.putTurn(question);
    await this.#store.putTurn(turn);
    stored();
    this.#tabs.say({ kind: "turns", conversation: conversation.id });
  }

  /** What is to be said of an answer that comes. */
  phaseOf(live: Live): Phase {
    // The browser knows first: a connection that leads nowhere may stay open for long.
    return isOnline.value ? live.phase.value : AWAY;
  }

  // -- leaving and coming back -------------------------------------------------------------------

  #keepAll(): void {
    const running = this.#answers.keepAll();
    // A page that is left does not wait for the database.
    remember("running", running.length > 0 ? JSON.stringify(running) : "");
    this.#draft.leave();
  }

  /** Takes up what a page of this tab has left. */
  async #recallLeft(): Promise<void> {
    await storeLeftOver(this.#store);
    this.#answers.recall(take<Turn[]>("running") ?? []);
  }

  // -- other tabs and devices ---------------------------------------------------------------------

  async #hear(news: News): Promise<void> {
    await this.#loadList();
    const now = this.current.value;
    if (now === null) return;
    const found = this.conversations.value.find((each) => each.id === now.id);
    if (found === undefined) {
      if (now.id === this.#unkept) return;
      this.#answers.remove([...this.turns.value.values()]);
      return this.open("");
    }
    if (news.kind === "list") {
      this.current.value = { ...found, choice: now.choice };
      return;
    }
    if (news.conversation !== now.id) return;
    const turns = await this.#store.turns(now.id);
    if (this.current.value?.id !== now.id) return;
    batch(() => {
      this.current.value = found;
      this.#answers.take(turns);
    });
    this.#answers.resumeAll("named");
  }

  /** Follows the stream that the address names, from its beginning. */
  async #followLink(): Promise<boolean> {
    if (this.access.value.state !== "in") return false;
    const streamId = takeLink();
    if (streamId === null) return false;
    for (const { id } of this.conversations.value) {
      if ((await this.#store.turns(id)).some((turn) => turn.saved?.streamId === streamId)) {
        await this.open(id);
        return true;
      }
    }
    const [conversation, turn] = followed(streamId, this.#owner, t.value.followed);
    await this.#putConversation(conversation);
    await this.#store.putTurn(turn);
    await this.open(conversation.id);
    return true;
  }

  #tell(words: string, kind: "queue" | "step" | "end"): void {
    if (this.#announcements.admits(words, kind, performance.now())) this.announced.value = words;
  }
}
