// An answer: its reasoning, its text, and under it what it took.

import type { VNode } from "preact";
import { Icon } from "../shared/icons.js";
import type { Chat } from "./chat.js";
import { CopyButton } from "./copy_button.js";
import { FailureView } from "./failure.js";
import { cost, duration } from "./figures.js";
import type { Live, Phase } from "./live.js";
import { AnswerText } from "./markdown/answer_text.js";
import { t } from "./texts.js";
import type { Turn } from "./tree.js";
import { type TurnProps, Versions } from "./versions.js";

export function AnswerView({ chat, turn, versions, isOld }: TurnProps): VNode {
  const live = chat.live.value.get(turn.id) ?? null;
  return (
    <li class={isOld ? "turn answer old" : "turn answer"} aria-busy={live !== null}>
      <h2 class="unseen">{t.value.answer}</h2>
      <Body live={live} turn={turn} />
      {live && <PhaseLine chat={chat} live={live} />}
      {turn.failure && !live && (
        <FailureView
          chat={chat}
          failure={turn.failure}
          model={turn.model}
          hasText={turn.text !== ""}
          onRetry={turn.parent === null && turn.state !== "running" ? null : () => void chat.retry(turn)}
        />
      )}
      {!live && <Foot chat={chat} turn={turn} versions={versions} />}
    </li>
  );
}

/** One component for an answer that comes and one that has come: at its end nothing is drawn anew. */
function Body({ live, turn }: { readonly live: Live | null; readonly turn: Turn }): VNode {
  const text = live ? live.text.value : turn.text;
  const isWhole = live === null && turn.state !== "running";
  return (
    <>
      <Reasoning text={live ? live.reasoning.value : turn.reasoning} isOver={live === null || text !== ""} />
      <div class="text" hidden={text === ""}>
        <AnswerText text={text} isWhole={isWhole} />
      </div>
    </>
  );
}

function PhaseLine({ chat, live }: { readonly chat: Chat; readonly live: Live }): VNode {
  const phase = chat.phaseOf(live);
  return (
    <p class={`phase ${phase.kind}`}>
      <span class="pulse" aria-hidden="true" />
      {phaseWords(phase)}
    </p>
  );
}

function Reasoning({ text, isOver }: { readonly text: string; readonly isOver: boolean }): VNode | null {
  if (text === "") return null;
  return (
    <details class="reasoning">
      <summary>{isOver ? t.value.reasoning : t.value.reasoningNow}</summary>
      <div class="text" lang="">
        {text}
      </div>
    </details>
  );
}

function phaseWords(phase: Phase): string {
  if (phase.kind !== "queued") return t.value[phase.kind];
  return phase.etaS === null ? t.value.queued(phase.ahead) : t.value.queuedFor(phase.ahead, Math.ceil(phase.etaS));
}

function Foot({ chat, turn, versions }: Pick<TurnProps, "chat" | "turn" | "versions">): VNode {
  const { identity } = chat.access.value.state === "in" ? chat.access.value : { identity: null };
  // A guest's answers are for this browser alone.
  const link = turn.saved && identity && identity.kind !== "guest" ? `#follow=${turn.saved.streamId}` : null;
  const hasFigures = turn.state === "done" || turn.state === "stopped" || turn.tokens !== null;
  return (
    <div class="foot">
      {turn.state === "stopped" && <p class="note">{t.value.stopped}</p>}
      {turn.finish === "length" && <p class="note">{t.value.cutAtLimit}</p>}
      {turn.finish === "content_filter" && <p class="note">{t.value.filtered}</p>}
      {hasFigures && <p class="figures">{figures(turn).join(" · ")}</p>}
      <div class="tools">
        <Versions chat={chat} turn={turn} versions={versions} />
        {turn.text !== "" && <CopyButton text={() => turn.text} />}
        {turn.parent !== null && (
          <button
            type="button"
            class="button quiet icon-only"
            title={t.value.regenerate}
            aria-label={t.value.regenerate}
            disabled={chat.running.value !== null}
            onClick={() => void chat.regenerate(turn)}
          >
            <Icon name="again" size={16} />
          </button>
        )}
        {link && (
          <a
            class="button quiet icon-only"
            href={link}
            target="_blank"
            rel="noopener"
            title={t.value.link}
            aria-label={t.value.link}
          >
            <Icon name="link" size={16} />
          </a>
        )}
      </div>
    </div>
  );
}

/** Tokens · cost · first token · total · model. */
function figures(turn: Turn): string[] {
  const tokens =
    turn.tokens === null
      ? t.value.tokensUnknown
      : turn.isEstimate
        ? t.value.tokensEstimated(turn.tokens)
        : t.value.tokens(turn.tokens);
  const shown = [tokens, cost(turn.cost) === "–" ? t.value.costUnknown : cost(turn.cost)];
  shown.push(t.value.firstToken(duration(turn.firstMs)), t.value.total(duration(turn.totalMs)));
  if (turn.model !== "") shown.push(turn.model);
  return shown;
}
