// A failure as it is shown: what has happened, what can be done, and the id that an operator finds it by.

import type { ComponentChildren, VNode } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import { Icon } from "../shared/icons.js";
import { language } from "../shared/language.js";
import type { Chat } from "./chat.js";
import { isPickerOpen, isSettingsOpen } from "./page_state.js";
import { newChat } from "./app.js";
import { type Remedy, explained, tellsMore } from "./remedies.js";
import { t } from "./texts.js";
import type { Failure } from "./tree.js";

interface FailureProps {
  readonly failure: Failure;
  readonly model: string;
  /** Whether something of the answer has come. */
  readonly hasText: boolean;
}

/** The words alone. They are said once: what counts down stands outside of them. */
export function FailureText({ failure, model, hasText }: FailureProps): VNode {
  const text = useMemo(
    () => explained(failure, model, hasText, Date.now()).words,
    [failure, model, hasText, language.value],
  );
  return (
    <div class="failure-text" role="alert">
      <p class="failure-words">
        <Icon name="alert" size={16} />
        <span>{text}</span>
      </p>
      {tellsMore(failure.code) && failure.message !== "" && (
        <p class="hint" lang="en">
          {failure.message}
        </p>
      )}
      {failure.requestId !== null && (
        <p class="hint">
          {t.value.requestId} <code>{failure.requestId}</code>
        </p>
      )}
    </div>
  );
}

interface FailureViewProps extends FailureProps {
  readonly chat: Chat;
  readonly onRetry: (() => void) | null;
}

/** The words, and buttons for what can be done. */
export function FailureView({ chat, onRetry, ...of }: FailureViewProps): VNode {
  const { remedies } = explained(of.failure, of.model, of.hasText, Date.now());
  const seconds = useSeconds(of.failure.retryAtMs);
  return (
    <div class="failure">
      <FailureText {...of} />
      <div class="actions">{remedies.map((remedy) => button(remedy, chat, onRetry, seconds))}</div>
    </div>
  );
}

function button(remedy: Remedy, chat: Chat, onRetry: (() => void) | null, seconds: number): ComponentChildren {
  switch (remedy) {
    case "retry":
      return (
        onRetry && (
          <button key={remedy} type="button" class="button" disabled={seconds > 0} onClick={onRetry}>
            <Icon name="again" size={16} />
            {seconds > 0 ? t.value.tryAgainIn(seconds) : t.value.tryAgain}
          </button>
        )
      );
    case "model":
      return (
        <button key={remedy} type="button" class="button" onClick={() => (isPickerOpen.value = true)}>
          {t.value.otherModel}
        </button>
      );
    case "key":
      return (
        <button key={remedy} type="button" class="button" onClick={() => (isSettingsOpen.value = true)}>
          {t.value.changeKey}
        </button>
      );
    case "new-chat":
      return (
        <button key={remedy} type="button" class="button" onClick={() => void newChat(chat)}>
          {t.value.newChat}
        </button>
      );
    case "top-up":
      return (
        <a key={remedy} class="button" href="/console/credit">
          {t.value.topUp}
        </a>
      );
    case "log-in":
      return (
        <a key={remedy} class="button" href="/console">
          {t.value.logIn}
        </a>
      );
  }
}

function useSeconds(untilMs: number | null): number {
  const left = () => (untilMs === null ? 0 : Math.max(0, Math.ceil((untilMs - Date.now()) / 1000)));
  const [seconds, setSeconds] = useState(left);
  useEffect(() => {
    setSeconds(left());
    if (left() === 0) return undefined;
    const timer = setInterval(() => {
      setSeconds(left());
      if (left() === 0) clearInterval(timer);
    }, 1000);
    return () => clearInterval(timer);
  }, [untilMs]);
  return seconds;
}
