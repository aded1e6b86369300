import type { VNode } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { Icon } from "../shared/icons.js";
import { CopyButton } from "./copy_button.js";
import { TextField } from "./text_field.js";
import { t } from "./texts.js";
import { type TurnProps, Versions } from "./versions.js";

/** A question, and the field in which it is edited. */
export function QuestionView({ chat, turn, versions, isOld }: TurnProps): VNode {
  const [isEdited, setEdited] = useState(false);
  const button = useRef<HTMLButtonElement>(null);
  const wasEdited = useRef(false);
  useLayoutEffect(() => {
    if (wasEdited.current && !isEdited) button.current?.focus();
    wasEdited.current = isEdited;
  }, [isEdited]);
  return (
    <li class={isOld ? "turn question old" : "turn question"}>
      <h2 class="unseen">{t.value.you}</h2>
      {turn.images.length > 0 && (
        <p class="images">
          {turn.images.map((image, index) => (
            <img key={index} src={image} alt={t.value.imageOf(index + 1)} />
          ))}
        </p>
      )}
      {isEdited ? (
        <Editor
          text={turn.text}
          onSend={(text) => {
            setEdited(false);
            void chat.edit(turn, text);
          }}
          onClose={() => setEdited(false)}
        />
      ) : (
        <>
          {turn.text !== "" && (
            <div class="text" lang="">
              {turn.text}
            </div>
          )}
          <div class="tools">
            <Versions chat={chat} turn={turn} versions={versions} />
            <CopyButton text={() => turn.text} />
            <button
              ref={button}
              type="button"
              class="button quiet icon-only"
              title={t.value.edit}
              aria-label={t.value.edit}
              disabled={chat.running.value !== null}
              onClick={() => setEdited(true)}
            >
              <Icon name="edit" size={16} />
            </button>
          </div>
        </>
      )}
    </li>
  );
}

interface EditorProps {
  readonly text: string;
  readonly onSend: (text: string) => void;
  readonly onClose: () => void;
}

function Editor({ text, onSend, onClose }: EditorProps): VNode {
  const [draft, setDraft] = useState(text);
  const box = useRef<HTMLFormElement>(null);
  useLayoutEffect(() => {
    const field = box.current?.querySelector("textarea");
    field?.focus();
    field?.setSelectionRange(text.length, text.length);
  }, []);
  return (
    <form
      ref={box}
      class="editor"
      onSubmit={(event) => {
        event.preventDefault();
        if (draft.trim() !== "") onSend(draft);
      }}
      onKeyDown={(event) => {
        if (event.key !== "Escape" || event.isComposing) return;
        event.preventDefault();
        onClose();
      }}
    >
      <TextField
        label={t.value.edit}
        text={draft}
        onText={setDraft}
        onSend={(last) => last.trim() !== "" && onSend(last)}
      />
      <p class="actions">
        <button type="submit" class="button primary">
          {t.value.send}
        </button>
        <button type="button" class="button" onClick={onClose}>
          {t.value.cancel}
        </button>
      </p>
    </form>
  );
}
