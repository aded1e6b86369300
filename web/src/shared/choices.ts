// Language and theme are one choice for all tabs of the browser.

import { batch, effect } from "@preact/signals";
import { type Language, language, setLanguage } from "./language.js";
import { type Theme, setTheme, theme } from "./theme.js";

interface Choices {
  readonly language: Language;
  readonly theme: Theme;
}

/** Tells other tabs what is chosen here, and takes what is chosen there. */
export function shareChoices(): void {
  if (typeof BroadcastChannel !== "function") return;
  const channel = new BroadcastChannel("tokenferry-choices");
  let known: Choices = { language: language.value, theme: theme.value };
  channel.onmessage = (event: MessageEvent<Choices>) => {
    const chosen = event.data;
    known = chosen;
    batch(() => {
      if (chosen.language !== language.value) setLanguage(chosen.language);
      if (chosen.theme !== theme.value) setTheme(chosen.theme);
    });
  };
  effect(() => {
    const now: Choices = { language: language.value, theme: theme.value };
    if (now.language === known.language && now.theme === known.theme) return;
    known = now;
    channel.postMessage(now);
  });
}
