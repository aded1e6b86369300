// What is open on the page, and what kind of device it is on.

import { signal } from "@preact/signals";

export const isSettingsOpen = signal(false);
export const isPickerOpen = signal(false);

const narrow = matchMedia("(max-width: 800px)");
/** Whether there is no room for the list beside the transcript. */
export const isNarrow = signal(narrow.matches);
narrow.addEventListener("change", () => (isNarrow.value = narrow.matches));

/** Whether the browser has a network. */
export const isOnline = signal(navigator.onLine);
for (const name of ["online", "offline"] as const) addEventListener(name, () => (isOnline.value = navigator.onLine));

/** Whether the keyboard is on the screen: its Enter begins a new line, and a focus opens it. */
export const hasScreenKeyboard = matchMedia("(hover: none) and (pointer: coarse)").matches;

export function messageField(): HTMLTextAreaElement | null {
  return document.querySelector("#message");
}
