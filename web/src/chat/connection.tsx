// The connection in words. No screen reader counts it down aloud: what matters is said elsewhere.

import type { VNode } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { Chat } from "./chat.js";
import { isOnline } from "./page_state.js";
import { t } from "./texts.js";

type Look = "ok" | "wait" | "bad";

export function ConnectionWords({ chat }: { readonly chat: Chat }): VNode {
  const [look, words] = useWords(chat);
  return (
    <span class={`connection ${look}`} title={t.value.connection}>
      <span class="dot" aria-hidden="true" />
      <span class="words">{words}</span>
    </span>
  );
}

function useWords(chat: Chat): readonly [Look, string] {
  const state = chat.connection.value;
  const waitMs = state.status === "reconnecting" ? state.waitMs : 0;
  const [untilMs, setUntilMs] = useState(0);
  const [, tick] = useState(0);
  useEffect(() => {
    if (state.status !== "reconnecting") return undefined;
    setUntilMs(performance.now() + waitMs);
    const timer = setInterval(() => tick((count) => count + 1), 1000);
    return () => clearInterval(timer);
  }, [state, waitMs]);
  const access = chat.access.value;
  if (!isOnline.value) return ["bad", t.value.offline];
  if (state.status === "reconnecting") {
    const seconds = Math.ceil((untilMs - performance.now()) / 1000);
    return seconds > 0 ? ["bad", t.value.retryIn(seconds)] : ["wait", t.value.connecting];
  }
  if (access.state === "asking" || state.status === "connecting") return ["wait", t.value.connecting];
  // Nothing is wrong with the connection: nobody is logged in.
  if (access.state === "out" && access.failure.code === "login_required") return ["wait", t.value.notConnected];
  if (access.state === "out" || state.status === "closed") return ["bad", t.value.notConnected];
  return ["ok", state.status === "open" ? t.value.connected : t.value.ready];
}
