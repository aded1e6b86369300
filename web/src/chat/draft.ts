// What is being written: one draft a conversation, and one for the next new conversation of each
// who uses the page.

import { signal } from "@preact/signals";
import { KEEP_MS } from "./answers.js";
import { recall, remember } from "./session_storage.js";
import { type DraftPlace, type Store, draftName } from "./store.js";

export class Draft {
  readonly text = signal("");
  readonly #store: () => Store;
  /** What it is for; null before it is known who writes. */
  #place: DraftPlace | null = null;
  #isRead = false;
  #timer = 0;

  constructor(store: () => Store) {
    this.#store = store;
  }

  set(text: string): void {
    this.text.value = text;
    clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => void this.keep(), KEEP_MS);
  }

  async keep(): Promise<void> {
    clearTimeout(this.#timer);
    const { value } = this.text;
    // What was kept, and is still being read, is not to be replaced by nothing.
    if (this.#place === null || (value === "" && !this.#isRead)) return;
    recallLeft(this.#place); // what was left there is older, if this page was left and came back
    await this.#store().putDraft(this.#place, value);
  }

  /** Leaves it to the next page of this tab: a page that is left does not wait for the database. */
  leave(): void {
    void this.keep();
    if (this.#place && this.text.value !== "") remember("draft", `${draftName(this.#place)} ${this.text.value}`);
  }

  /** Keeps what there is and takes up what was kept for another place; what is typed meanwhile goes first. */
  async turnTo(place: DraftPlace): Promise<void> {
    void this.keep();
    // What was typed before it was known who types it stays.
    if (this.#place !== null) this.text.value = "";
    this.#place = place;
    this.#isRead = false;
    const kept = recallLeft(place) ?? (await this.#store().draft(place));
    if (this.#place !== place) return;
    this.#isRead = true;
    if (this.text.value === "") this.text.value = kept;
  }

  /** Goes along to another place: a new conversation has been begun. */
  moveTo(place: DraftPlace): void {
    void this.keep();
    this.#place = place;
    this.#isRead = true;
  }
}

/** What was being written when this tab's last page was left; once. */
function recallLeft(place: DraftPlace): string | null {
  const [left, before] = [recall("draft"), `${draftName(place)} `];
  if (!left.startsWith(before)) return null;
  remember("draft", "");
  return left.slice(before.length);
}
