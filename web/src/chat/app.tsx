// The page's frame: the list of conversations, the transcript, and the field below it.

import { type Signal, useSignal } from "@preact/signals";
import type { VNode } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { Icon } from "../shared/icons.js";
import type { Chat } from "./chat.js";
import { Composer } from "./composer.js";
import { ConnectionWords } from "./connection.js";
import { ModelPicker } from "./model_picker.js";
import { isNarrow, isSettingsOpen, isPickerOpen, messageField } from "./page_state.js";
import { SettingsDialog } from "./settings.js";
import { Sidebar } from "./sidebar.js";
import { t } from "./texts.js";
import { Transcript } from "./transcript.js";

export function App({ chat }: { readonly chat: Chat }): VNode {
  const isListOpen = useSignal(false);
  const listButton = useRef<HTMLButtonElement>(null);
  useShortcuts(chat, isListOpen);
  useEffect(() => {
    const title = chat.current.value?.title;
    document.title = title ? `${title} · ${t.value.product}` : t.value.product;
  });
  const wasListOpen = useRef(false);
  // As it is drawn: the effect may run when the list has been closed again.
  const isOpen = isListOpen.value;
  useEffect(() => {
    // Not sooner: until the list is closed, nothing beside it takes the focus. What is in the list may have
    // it still: the browser takes it from there with the next frame.
    const active = document.activeElement;
    const isNowhere = active === document.body || active?.closest("#list");
    if (wasListOpen.current && !isOpen && isNowhere) listButton.current?.focus();
    wasListOpen.current = isOpen;
  }, [isOpen]);
  const close = () => (isListOpen.value = false);
  return (
    <>
      <a class="skip" href="#message">
        {t.value.skip}
      </a>
      <Sidebar chat={chat} isOpen={isListOpen.value || !isNarrow.value} isDrawer={isNarrow.value} onClose={close} />
      <div class="pane" inert={isNarrow.value && isListOpen.value}>
        <header class="bar">
          {isNarrow.value && (
            <button
              ref={listButton}
              type="button"
              class="button quiet icon-only"
              aria-expanded={isListOpen.value}
              aria-controls="list"
              title={t.value.openList}
              aria-label={t.value.openList}
              onClick={() => (isListOpen.value = true)}
            >
              <Icon name="list" />
            </button>
          )}
          <ModelPicker chat={chat} />
          <span class="space" />
          <ConnectionWords chat={chat} />
          {isNarrow.value && (
            <button
              type="button"
              class="button quiet icon-only"
              title={t.value.newChat}
              aria-label={t.value.newChat}
              onClick={() => void newChat(chat)}
            >
              <Icon name="plus" />
            </button>
          )}
          <button
            type="button"
            class="button quiet icon-only"
            title={t.value.settings}
            aria-label={t.value.settings}
            onClick={() => (isSettingsOpen.value = true)}
          >
            <Icon name="settings" />
          </button>
        </header>
        <main>
          <h1 class="unseen">{chat.current.value?.title ?? t.value.newChat}</h1>
          <Transcript chat={chat} />
          <Composer chat={chat} />
        </main>
      </div>
      <p class="unseen" role="status">
        {chat.announced.value}
      </p>
      {isSettingsOpen.value && <SettingsDialog chat={chat} />}
    </>
  );
}

export async function newChat(chat: Chat): Promise<void> {
  await chat.open("");
  messageField()?.focus();
}

function useShortcuts(chat: Chat, isListOpen: Signal<boolean>): void {
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      if (event.isComposing || document.querySelector("dialog[open]")) return;
      const isCommand = event.ctrlKey || event.metaKey;
      const isEscape = event.key === "Escape" && !event.defaultPrevented;
      if (isEscape && isNarrow.value && isListOpen.value) isListOpen.value = false;
      else if (isEscape && chat.running.value) chat.stop();
      else if (isCommand && event.shiftKey && event.code === "KeyO") void newChat(chat);
      else if (isCommand && !event.shiftKey && event.code === "Slash") messageField()?.focus();
      else if (isCommand && !event.shiftKey && event.code === "KeyK") isPickerOpen.value = true;
      else return;
      event.preventDefault();
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, [chat, isListOpen]);
}
