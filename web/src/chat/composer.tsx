// The field for a question, with its images; while an answer comes, the button stops it.

import { useSignal } from "@preact/signals";
import type { VNode } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { Icon } from "../shared/icons.js";
import type { Chat } from "./chat.js";
import { FailureView } from "./failure.js";
import { IMAGES_MAX, imageOf, NoImage } from "./images.js";
import { hasScreenKeyboard, messageField } from "./page_state.js";
import { t } from "./texts.js";
import { TextField } from "./text_field.js";

export function Composer({ chat }: { readonly chat: Chat }): VNode {
  const fault = useSignal("");
  const isOver = useSignal(false);
  const picker = useRef<HTMLInputElement>(null);
  const running = chat.running.value;
  const isStopping = running !== null && chat.live.value.get(running.id)?.phase.value.kind === "stopping";
  const hasSomething = chat.draft.value.trim() !== "" || chat.images.value.length > 0;
  useFocus(running !== null);

  const add = async (files: readonly File[]) => {
    fault.value = "";
    for (const file of files) {
      if (chat.images.value.length >= IMAGES_MAX) {
        fault.value = t.value.tooManyImages(IMAGES_MAX);
        return;
      }
      try {
        const image = await imageOf(file);
        chat.images.value = [...chat.images.value, image];
      } catch (reason) {
        if (!(reason instanceof NoImage)) throw reason;
        fault.value = t.value.noImage;
      }
    }
  };
  const imagesOf = (data: DataTransfer | null) =>
    [...(data?.files ?? [])].filter((file) => file.type.startsWith("image/"));
  const send = () => {
    fault.value = "";
    void chat.send();
  };
  return (
    <div class="composer-area">
      {chat.lapsed.value && (
        <div class="notice warn" role="alert">
          <span>{t.value.lapsed}</span>
          <a class="button small" href="/console">
            {t.value.logIn}
          </a>
        </div>
      )}
      {chat.obstacle.value && (
        <FailureView
          chat={chat}
          failure={chat.obstacle.value}
          model={chat.model.value}
          hasText={false}
          onRetry={() => void chat.enter()}
        />
      )}
      <form
        id="composer"
        class={isOver.value ? "composer over" : "composer"}
        onSubmit={(event) => {
          event.preventDefault();
          send();
        }}
        onDragOver={(event) => {
          if (!event.dataTransfer?.types.includes("Files")) return;
          event.preventDefault();
          isOver.value = true;
        }}
        onDragLeave={() => (isOver.value = false)}
        onDrop={(event) => {
          event.preventDefault();
          isOver.value = false;
          void add(imagesOf(event.dataTransfer));
        }}
      >
        {chat.images.value.length > 0 && (
          <ul class="images">
            {chat.images.value.map((image, index) => (
              <li key={index}>
                <img src={image} alt={t.value.imageOf(index + 1)} />
                <button
                  type="button"
                  class="button icon-only"
                  aria-label={`${t.value.removeImage}: ${t.value.imageOf(index + 1)}`}
                  title={t.value.removeImage}
                  onClick={() => {
                    chat.images.value = chat.images.value.filter((_, other) => other !== index);
                    messageField()?.focus();
                  }}
                >
                  <Icon name="close" size={14} />
                </button>
              </li>
            ))}
          </ul>
        )}
        <TextField
          id="message"
          label={t.value.message}
          placeholder={isOver.value ? t.value.dropImage : t.value.placeholder}
          text={chat.draft.value}
          onText={(text) => chat.setDraft(text)}
          onSend={(text) => {
            chat.setDraft(text);
            send();
          }}
          onPaste={(event) => {
            const found = imagesOf(event.clipboardData);
            if (found.length === 0) return;
            event.preventDefault();
            void add(found);
          }}
        />
        <div class="composer-tools">
          <input
            ref={picker}
            id="images"
            type="file"
            accept="image/*"
            multiple
            hidden
            onChange={(event) => {
              const field = event.currentTarget;
              void add([...(field.files ?? [])]).then(() => (field.value = ""));
            }}
          />
          <button
            type="button"
            class="button quiet icon-only"
            title={t.value.attach}
            aria-label={t.value.attach}
            onClick={() => picker.current?.click()}
          >
            <Icon name="image" />
          </button>
          {fault.value !== "" && (
            <span class="fault" role="alert">
              {fault.value}
            </span>
          )}
          <span class="space" />
          {running ? (
            <button
              id="stop"
              type="button"
              class="button primary"
              aria-disabled={isStopping}
              onClick={() => chat.stop()}
            >
              <Icon name="stop" size={16} />
              {isStopping ? t.value.stopping : t.value.stop}
            </button>
          ) : (
            <button id="send" type="submit" class="button primary" aria-disabled={!hasSomething}>
              <Icon name="send" size={16} />
              {t.value.send}
            </button>
          )}
        </div>
      </form>
    </div>
  );
}

/** Takes the focus back to the field when the button that had it is another one now. */
function useFocus(isRunning: boolean): void {
  useLayoutEffect(() => {
    if (hasScreenKeyboard) return;
    const { activeElement } = document;
    const isLost =
      activeElement === null ||
      activeElement === document.body ||
      activeElement.id === "stop" ||
      activeElement.id === "send";
    if (isLost) messageField()?.focus({ preventScroll: true });
  }, [isRunning]);
}
