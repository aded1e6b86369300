// The conversation. It is no live region: what matters is said by the status, and the rest is read
// by whoever wants to.

import type { VNode } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Icon } from "../shared/icons.js";
import { AnswerView } from "./answer_view.js";
import type { Chat } from "./chat.js";
import { FailureView } from "./failure.js";
import { Following } from "./following.js";
import { messageField } from "./page_state.js";
import { QuestionView } from "./question_view.js";
import { KeyField } from "./settings.js";
import { t } from "./texts.js";
import { branches } from "./tree.js";

// The latest are always laid out, so that scrolling back a little jumps nowhere.
const LAID_OUT = 20;
const UPWARD_KEYS: ReadonlySet<string> = new Set(["ArrowUp", "PageUp", "Home"]);

export function Transcript({ chat }: { readonly chat: Chat }): VNode {
  const scroller = useRef<HTMLDivElement>(null);
  const content = useRef<HTMLDivElement>(null);
  const [isOn, attach] = useFollowing(chat, scroller, content);
  const shown = chat.shown.value;
  return (
    <div class="transcript">
      <div ref={scroller} id="transcript" class="scroller" tabIndex={0} role="region" aria-label={t.value.transcript}>
        <div ref={content} class="column">
          {shown.length === 0 ? (
            <Empty chat={chat} />
          ) : (
            <ol class="turns">
              {shown.map((turn, index) => {
                const versions = branches(chat.turns.value, turn.parent);
                const View = turn.role === "user" ? QuestionView : AnswerView;
                return (
                  <View
                    key={turn.id}
                    chat={chat}
                    turn={turn}
                    versions={versions}
                    isOld={index < shown.length - LAID_OUT}
                    isLast={index === shown.length - 1}
                  />
                );
              })}
            </ol>
          )}
        </div>
      </div>
      {!isOn && (
        <button type="button" id="latest" class="button small latest" onClick={attach}>
          <Icon name="end" size={16} />
          {t.value.latest}
        </button>
      )}
    </div>
  );
}

type Ref<T> = { readonly current: T | null };

function useFollowing(
  chat: Chat,
  scroller: Ref<HTMLDivElement>,
  content: Ref<HTMLDivElement>,
): readonly [boolean, () => void] {
  const following = useRef(new Following()).current;
  const [isOn, setOn] = useState(true);
  const attach = () => {
    const box = scroller.current!;
    box.scrollTop = box.scrollHeight;
    following.attach(box.scrollTop);
    setOn(true);
  };
  useEffect(() => {
    const box = scroller.current!;
    const canMoveUp = () => box.scrollTop > 0;
    const up = () => setOn(following.meantUp(canMoveUp()));
    let touchY = 0;
    const listeners = {
      scroll: () =>
        setOn(following.scrolled({ top: box.scrollTop, height: box.scrollHeight, visible: box.clientHeight })),
      wheel: (event: WheelEvent) => {
        if (event.deltaY < 0) up();
      },
      touchstart: (event: TouchEvent) => {
        touchY = event.touches[0]?.clientY ?? 0;
      },
      touchmove: (event: TouchEvent) => {
        if ((event.touches[0]?.clientY ?? 0) > touchY) up();
      },
      keydown: (event: KeyboardEvent) => {
        if (UPWARD_KEYS.has(event.key) || (event.key === " " && event.shiftKey)) up();
      },
    };
    for (const [name, listener] of Object.entries(listeners)) {
      box.addEventListener(name, listener as EventListener, { passive: true });
    }
    const sizes = new ResizeObserver(() => {
      if (following.isOn) attach();
    });
    sizes.observe(box);
    sizes.observe(content.current!);
    return () => {
      sizes.disconnect();
      for (const [name, listener] of Object.entries(listeners))
        box.removeEventListener(name, listener as EventListener);
    };
  }, []);
  // Another conversation, and an own question, are shown at their end.
  const questions = chat.shown.value.filter((turn) => turn.role === "user").length;
  useEffect(attach, [chat.current.value?.id, questions]);
  return [isOn, attach];
}

const SUGGESTIONS = ["suggestion1", "suggestion2", "suggestion3"] as const;

function Empty({ chat }: { readonly chat: Chat }): VNode | null {
  const access = chat.access.value;
  if (access.state === "asking") return null;
  if (access.state === "out") {
    return (
      <section class="empty">
        <h2>{t.value.outTitle}</h2>
        <p class="hint">{t.value.outText}</p>
        {access.failure.code !== "login_required" && chat.key.value === "" && (
          <FailureView
            chat={chat}
            failure={access.failure}
            model=""
            hasText={false}
            onRetry={() => void chat.enter()}
          />
        )}
        <p class="actions">
          <a class="button primary" href="/console">
            {t.value.logIn}
          </a>
        </p>
        <KeyField chat={chat} />
      </section>
    );
  }
  return (
    <section class="empty">
      <h2>{t.value.emptyTitle}</h2>
      <p class="hint">{t.value.emptyText}</p>
      {access.identity.kind === "guest" && <p class="hint">{t.value.guestText}</p>}
      <p class="suggestions">
        {SUGGESTIONS.map((name) => (
          <button
            key={name}
            type="button"
            class="button"
            onClick={() => {
              chat.setDraft(t.value[name]);
              messageField()?.focus();
            }}
          >
            {t.value[name]}
          </button>
        ))}
      </p>
    </section>
  );
}
