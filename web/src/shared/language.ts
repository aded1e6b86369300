// The page's language, and texts in both. A dictionary is an object of texts or of functions that
// make one; the Korean one must have the type of the English one, so that no text can be missing.

import { computed, signal } from "@preact/signals";
import type { ReadonlySignal } from "@preact/signals";
import { remember } from "./cookie.js";

export type Language = "en" | "ko";

export const LANGUAGE_NAMES: Readonly<Record<Language, string>> = { en: "English", ko: "한국어" };

const served = typeof document === "undefined" ? "en" : document.documentElement.lang;

/** The language now; components that read it are drawn anew when it changes. */
export const language = signal<Language>(served === "ko" ? "ko" : "en");

export function setLanguage(next: Language): void {
  language.value = next;
  document.documentElement.lang = next;
  remember("language", next);
}

type Text = string | ((...values: never[]) => string);
/** Texts of the same sort may be together, by name. */
type Entry = Text | Readonly<Record<string, Text>>;

/** The dictionary of the page's language, as a signal: `const t = texts(en, ko)`, `t.value.send`. */
export function texts<T extends Record<string, Entry>>(en: T, ko: T): ReadonlySignal<T> {
  return computed(() => (language.value === "ko" ? ko : en));
}
