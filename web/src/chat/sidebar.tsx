// The conversations that this browser keeps, and who is using it.

import { useSignal } from "@preact/signals";
import type { VNode } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { Dialog } from "../shared/dialog.js";
import { Icon } from "../shared/icons.js";
import { newChat } from "./app.js";
import type { Chat } from "./chat.js";
import { isSettingsOpen, messageField, hasScreenKeyboard } from "./page_state.js";
import { t } from "./texts.js";
import type { Conversation } from "./tree.js";

interface SidebarProps {
  readonly chat: Chat;
  readonly isOpen: boolean;
  /** Whether it lies above the page, as on a phone. */
  readonly isDrawer: boolean;
  readonly onClose: () => void;
}

export function Sidebar({ chat, isOpen, isDrawer, onClose }: SidebarProps): VNode {
  const element = useRef<HTMLElement>(null);
  useLayoutEffect(() => {
    if (isDrawer && isOpen) element.current?.querySelector<HTMLElement>("button")?.focus();
  }, [isDrawer, isOpen]);
  const go = async (id: string) => {
    await chat.open(id);
    onClose();
    if (!hasScreenKeyboard) messageField()?.focus();
  };
  return (
    <>
      {isDrawer && isOpen && <div class="veil" onClick={onClose} />}
      <aside
        ref={element}
        id="list"
        class={`sidebar ${isDrawer ? "drawer" : ""} ${isOpen ? "open" : ""}`}
        inert={!isOpen}
        aria-label={t.value.conversations}
      >
        <div class="brand">
          <img src="/static/icon.svg" alt="" width="22" height="22" />
          <span>{t.value.product}</span>
          {isDrawer && (
            <button
              type="button"
              class="button quiet icon-only"
              aria-label={t.value.closeList}
              title={t.value.closeList}
              onClick={onClose}
            >
              <Icon name="close" />
            </button>
          )}
        </div>
        <button
          type="button"
          class="button new-chat"
          onClick={async () => {
            await newChat(chat);
            onClose();
          }}
        >
          <Icon name="plus" size={16} />
          {t.value.newChat}
        </button>
        <nav aria-label={t.value.conversations}>
          {chat.conversations.value.length === 0 ? (
            <p class="hint">{t.value.noConversations}</p>
          ) : (
            <ul>
              {chat.conversations.value.map((conversation) => (
                <Entry key={conversation.id} chat={chat} conversation={conversation} onOpen={go} />
              ))}
            </ul>
          )}
        </nav>
        <Visitor chat={chat} />
      </aside>
    </>
  );
}

interface EntryProps {
  readonly chat: Chat;
  readonly conversation: Conversation;
  readonly onOpen: (id: string) => Promise<void>;
}

function Entry({ chat, conversation, onOpen }: EntryProps): VNode {
  const asks = useSignal<"" | "rename" | "remove">("");
  const isCurrent = chat.current.value?.id === conversation.id;
  return (
    <li class={isCurrent ? "entry current" : "entry"}>
      <button
        type="button"
        class="name"
        lang=""
        aria-current={isCurrent ? "page" : undefined}
        title={conversation.title}
        onClick={() => void onOpen(conversation.id)}
      >
        {conversation.title}
      </button>
      <button
        type="button"
        class="button quiet icon-only small"
        aria-label={`${t.value.rename}: ${conversation.title}`}
        title={t.value.rename}
        onClick={() => (asks.value = "rename")}
      >
        <Icon name="edit" size={15} />
      </button>
      <button
        type="button"
        class="button quiet icon-only small"
        aria-label={`${t.value.remove}: ${conversation.title}`}
        title={t.value.remove}
        onClick={() => (asks.value = "remove")}
      >
        <Icon name="trash" size={15} />
      </button>
      {asks.value === "rename" && (
        <Rename
          title={conversation.title}
          onSave={(title) => void chat.rename(conversation.id, title)}
          onClose={() => (asks.value = "")}
        />
      )}
      {asks.value === "remove" && (
        <Dialog title={t.value.removeQuestion} onClose={() => (asks.value = "")}>
          <p lang="">{conversation.title}</p>
          <p class="hint">{t.value.removeText}</p>
          <p class="actions">
            <button type="button" class="button danger" onClick={() => void chat.remove(conversation.id)}>
              {t.value.remove}
            </button>
            <button type="button" class="button" onClick={() => (asks.value = "")}>
              {t.value.cancel}
            </button>
          </p>
        </Dialog>
      )}
    </li>
  );
}

interface RenameProps {
  readonly title: string;
  readonly onSave: (title: string) => void;
  readonly onClose: () => void;
}

function Rename({ title, onSave, onClose }: RenameProps): VNode {
  const [text, setText] = useState(title);
  return (
    <Dialog title={t.value.rename} onClose={onClose}>
      <form
        class="form"
        onSubmit={(event) => {
          event.preventDefault();
          onSave(text);
          onClose();
        }}
      >
        <label class="field">
          {t.value.title}
          <input value={text} maxLength={60} onInput={(event) => setText(event.currentTarget.value)} />
        </label>
        <p class="actions">
          <button type="submit" class="button primary">
            {t.value.save}
          </button>
          <button type="button" class="button" onClick={onClose}>
            {t.value.cancel}
          </button>
        </p>
      </form>
    </Dialog>
  );
}

/** Who is using the page, and the way to be somebody else. */
function Visitor({ chat }: { readonly chat: Chat }): VNode {
  const access = chat.access.value;
  const identity = access.state === "in" ? access.identity : null;
  return (
    <div class="visitor">
      {identity?.kind === "account" && <span class="who">{identity.email}</span>}
      {identity?.kind === "key" && <span class="who">{t.value.keyOf(identity.key.split("_")[1] ?? "")}</span>}
      {identity?.kind === "guest" && <span class="who">{t.value.guest}</span>}
      <div class="actions">
        <a class="button small" href="/console">
          {identity?.kind === "account" ? t.value.console : t.value.logIn}
        </a>
        {identity?.kind !== "account" && (
          <button type="button" class="button small" onClick={() => (isSettingsOpen.value = true)}>
            {t.value.key}
          </button>
        )}
      </div>
    </div>
  );
}
