// Light, dark, or what the system says.

import { signal } from "@preact/signals";
import { forget, remember } from "./cookie.js";

export type Theme = "system" | "light" | "dark";

const served = typeof document === "undefined" ? undefined : document.documentElement.dataset["theme"];

export const theme = signal<Theme>(served === "light" || served === "dark" ? served : "system");

export function setTheme(next: Theme): void {
  theme.value = next;
  if (next === "system") {
    delete document.documentElement.dataset["theme"];
    forget("theme");
  } else {
    document.documentElement.dataset["theme"] = next;
    remember("theme", next);
  }
}
