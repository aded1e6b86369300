import type { VNode } from "preact";
import { Icon } from "../shared/icons.js";
import type { Chat } from "./chat.js";
import { t } from "./texts.js";
import type { Turn } from "./tree.js";

export interface TurnProps {
  readonly chat: Chat;
  readonly turn: Turn;
  /** All turns that stand in its place, itself among them. */
  readonly versions: readonly Turn[];
  readonly isOld: boolean;
  readonly isLast: boolean;
}

/** Which of several versions is shown, and the ways to the others. */
export function Versions({ chat, turn, versions }: Pick<TurnProps, "chat" | "turn" | "versions">): VNode | null {
  if (versions.length < 2) return null;
  const at = versions.findIndex((version) => version.id === turn.id);
  const [before, after] = [versions[at - 1], versions[at + 1]];
  return (
    <span class="versions" role="group" aria-label={t.value.branchSpoken(at + 1, versions.length)}>
      <button
        type="button"
        class="button quiet icon-only"
        disabled={before === undefined}
        aria-label={t.value.earlier}
        title={t.value.earlier}
        onClick={() => before && void chat.choose(before)}
      >
        <Icon name="left" size={16} />
      </button>
      <span class="figure">{t.value.branch(at + 1, versions.length)}</span>
      <button
        type="button"
        class="button quiet icon-only"
        disabled={after === undefined}
        aria-label={t.value.later}
        title={t.value.later}
        onClick={() => after && void chat.choose(after)}
      >
        <Icon name="right" size={16} />
      </button>
    </span>
  );
}
