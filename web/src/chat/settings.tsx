// Language, theme, the key, and the keyboard.

import { useSignal } from "@preact/signals";
import type { VNode } from "preact";
import { Dialog } from "../shared/dialog.js";
import { Icon } from "../shared/icons.js";
import { LANGUAGE_NAMES, type Language, language, setLanguage } from "../shared/language.js";
import { type Theme, setTheme, theme } from "../shared/theme.js";
import type { Chat } from "./chat.js";
import { FailureText } from "./failure.js";
import { hasScreenKeyboard, isSettingsOpen } from "./page_state.js";
import { t } from "./texts.js";

export function SettingsDialog({ chat }: { readonly chat: Chat }): VNode {
  const asksRemoval = useSignal(false);
  const close = () => (isSettingsOpen.value = false);
  const corner = (
    <button
      type="button"
      class="button quiet icon-only"
      aria-label={t.value.close}
      title={t.value.close}
      onClick={close}
    >
      <Icon name="close" />
    </button>
  );
  return (
    <Dialog title={t.value.settingsTitle} onClose={close} class="settings" corner={corner}>
      <div class="fields">
        <label class="field">
          {t.value.language}
          <select
            id="language"
            value={language.value}
            onChange={(event) => setLanguage(event.currentTarget.value as Language)}
          >
            {Object.entries(LANGUAGE_NAMES).map(([value, name]) => (
              <option key={value} value={value} lang={value}>
                {name}
              </option>
            ))}
          </select>
        </label>
        <label class="field">
          {t.value.theme}
          <select id="theme" value={theme.value} onChange={(event) => setTheme(event.currentTarget.value as Theme)}>
            {(["system", "light", "dark"] as const).map((value) => (
              <option key={value} value={value}>
                {t.value[value]}
              </option>
            ))}
          </select>
        </label>
      </div>
      <KeyField chat={chat} />
      {!hasScreenKeyboard && <Shortcuts />}
      {chat.conversations.value.length > 0 && (
        <section class="actions">
          {asksRemoval.value ? (
            <>
              <span>{t.value.removeAllQuestion}</span>
              <button
                type="button"
                class="button danger"
                onClick={async () => {
                  await chat.removeAll();
                  asksRemoval.value = false;
                }}
              >
                {t.value.remove}
              </button>
              <button type="button" class="button" onClick={() => (asksRemoval.value = false)}>
                {t.value.cancel}
              </button>
            </>
          ) : (
            <button type="button" class="button danger" onClick={() => (asksRemoval.value = true)}>
              {t.value.removeAll}
            </button>
          )}
        </section>
      )}
    </Dialog>
  );
}

const COMMAND = /Mac|iPhone|iPad/.test(navigator.platform) ? "⌘" : "Ctrl";

/** The field for a key, and what is wrong with the one that was entered. */
export function KeyField({ chat }: { readonly chat: Chat }): VNode {
  const access = chat.access.value;
  const { value } = chat.key;
  return (
    <form
      class="field"
      autocomplete="off"
      onSubmit={(event) => {
        event.preventDefault();
        void chat.enter();
      }}
    >
      <label for="key">{t.value.key}</label>
      <input
        id="key"
        type="password"
        placeholder="tf_…"
        spellcheck={false}
        autocapitalize="none"
        autocomplete="off"
        enterkeyhint="done"
        aria-describedby="key-hint"
        value={value}
        onInput={(event) => chat.setKey(event.currentTarget.value.trim())}
      />
      {access.state === "out" && value !== "" && <FailureText failure={access.failure} model="" hasText={false} />}
      <p class="hint" id="key-hint">
        {t.value.keyHint} {t.value.keyCommand} <code>tokenferry keys create NAME</code>
      </p>
      {value !== "" && (
        <p>
          <button type="button" class="button small" onClick={() => chat.setKey("")}>
            {t.value.forgetKey}
          </button>
        </p>
      )}
    </form>
  );
}

function Shortcuts(): VNode {
  return (
    <section>
      <h3>{t.value.shortcuts}</h3>
      <dl class="shortcuts">
        <Shortcut keys={["Enter"]} does={t.value.shortcutSend} />
        <Shortcut keys={["Shift", "Enter"]} does={t.value.shortcutLine} />
        <Shortcut keys={["Esc"]} does={t.value.shortcutStop} />
        <Shortcut keys={[COMMAND, "Shift", "O"]} does={t.value.shortcutNew} />
        <Shortcut keys={[COMMAND, "K"]} does={t.value.shortcutModel} />
        <Shortcut keys={[COMMAND, "/"]} does={t.value.shortcutFocus} />
      </dl>
    </section>
  );
}

function Shortcut({ keys, does }: { readonly keys: readonly string[]; readonly does: string }): VNode {
  return (
    <div>
      <dt>
        {keys.map((key, index) => (
          <span key={key}>
            {index > 0 && " + "}
            <kbd>{key}</kbd>
          </span>
        ))}
      </dt>
      <dd>{does}</dd>
    </div>
  );
}
