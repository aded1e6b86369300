import type { VNode } from "preact";
import { useEffect, useState } from "preact/hooks";
import { copyText } from "../shared/clipboard.js";
import { Icon } from "../shared/icons.js";
import { t } from "./texts.js";

const SHOWN_MS = 2_000;

/** Copies a text, and says so in its own words. */
export function CopyButton({ text, small }: { readonly text: () => string; readonly small?: boolean }): VNode {
  const [outcome, setOutcome] = useState<"copy" | "copied" | "notCopied">("copy");
  useEffect(() => {
    if (outcome === "copy") return undefined;
    const timer = setTimeout(() => setOutcome("copy"), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [outcome]);
  const words = t.value[outcome];
  return (
    <button
      type="button"
      class={small ? "button quiet small" : "button quiet icon-only"}
      title={words}
      onClick={async () => setOutcome((await copyText(text())) ? "copied" : "notCopied")}
    >
      <Icon name={outcome === "copied" ? "check" : "copy"} size={16} />
      <span class={small ? undefined : "unseen"} aria-live="polite">
        {words}
      </span>
    </button>
  );
}
