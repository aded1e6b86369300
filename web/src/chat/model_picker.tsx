// The model, and what a million tokens of it cost.
//
// Source: WAI-ARIA Authoring Practices, combobox with a listbox, November 2026.

import type { VNode } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { Icon } from "../shared/icons.js";
import type { Chat } from "./chat.js";
import { rate } from "./figures.js";
import type { Model } from "./gateway.js";
import { isPickerOpen } from "./page_state.js";
import { t } from "./texts.js";

// With fewer, looking is faster than typing.
const SEARCHED_FROM = 8;
const SHOWN_MAX = 200;

export function ModelPicker({ chat }: { readonly chat: Chat }): VNode | null {
  const button = useRef<HTMLButtonElement>(null);
  const access = chat.access.value;
  const models = access.state === "in" ? access.models : [];
  const chosen = models.find((model) => model.id === chat.model.value);
  const isOpen = isPickerOpen.value && models.length > 0;
  const close = (refocus: boolean) => {
    isPickerOpen.value = false;
    if (refocus) button.current?.focus();
  };
  return (
    <div class="picker">
      <button
        ref={button}
        id="model"
        type="button"
        class="button quiet"
        aria-haspopup="listbox"
        aria-expanded={isOpen}
        disabled={models.length === 0}
        onClick={() => (isPickerOpen.value = !isPickerOpen.value)}
      >
        <span class="unseen">{t.value.model}: </span>
        <span class="model-name">{chosen?.id ?? (access.state === "asking" ? t.value.asking : "–")}</span>
        {chosen && <span class="model-price">{priced(chosen)}</span>}
        <Icon name="down" size={16} />
      </button>
      {isOpen && (
        <Choice
          models={models}
          chosen={chat.model.value}
          onChoose={(id) => {
            chat.chooseModel(id);
            close(true);
          }}
          onClose={close}
        />
      )}
    </div>
  );
}

interface ChoiceProps {
  readonly models: readonly Model[];
  readonly chosen: string;
  readonly onChoose: (id: string) => void;
  readonly onClose: (refocus: boolean) => void;
}

function Choice({ models, chosen, onChoose, onClose }: ChoiceProps): VNode {
  const [wanted, setWanted] = useState("");
  const found = models.filter((model) => matches(model, wanted)).slice(0, SHOWN_MAX);
  const [at, setAt] = useState(() =>
    Math.max(
      0,
      models.findIndex((model) => model.id === chosen),
    ),
  );
  const box = useRef<HTMLDivElement>(null);
  const list = useRef<HTMLUListElement>(null);
  const isSearched = models.length >= SEARCHED_FROM;
  const active = found[Math.min(at, found.length - 1)];

  useLayoutEffect(() => {
    const focused = isSearched ? box.current?.querySelector("input") : list.current;
    focused?.focus();
    const pressed = (event: Event) => {
      const target = event.target as Element;
      if (!box.current?.contains(target) && !target.closest("#model")) onClose(false);
    };
    addEventListener("pointerdown", pressed);
    return () => removeEventListener("pointerdown", pressed);
  }, []);
  useEffect(() => {
    list.current?.querySelector(".active")?.scrollIntoView({ block: "nearest" });
  }, [at, wanted]);

  const move = (to: number) => setAt(Math.max(0, Math.min(found.length - 1, to)));
  const pressed = (event: KeyboardEvent) => {
    if (event.isComposing) return;
    const now = Math.min(at, found.length - 1);
    if (event.key === "ArrowDown") move(now + 1);
    else if (event.key === "ArrowUp") move(now - 1);
    else if (event.key === "Home" && !isSearched) move(0);
    else if (event.key === "End" && !isSearched) move(found.length - 1);
    else if (event.key === "Escape") onClose(true);
    else if (event.key === "Tab") return onClose(false);
    else if ((event.key === "Enter" || (event.key === " " && !isSearched)) && active) onChoose(active.id);
    else return;
    event.preventDefault();
  };
  const activeId = active ? `model-${found.indexOf(active)}` : undefined;
  return (
    <div ref={box} class="popover" onKeyDown={pressed}>
      {isSearched && (
        <input
          type="search"
          list={undefined}
          role="combobox"
          aria-expanded="true"
          aria-controls="models"
          aria-autocomplete="list"
          aria-activedescendant={activeId}
          aria-label={t.value.searchModels}
          placeholder={t.value.searchModels}
          autocomplete="off"
          spellcheck={false}
          value={wanted}
          onInput={(event) => {
            setWanted(event.currentTarget.value);
            setAt(0);
          }}
        />
      )}
      <p class="hint" id="models-hint">
        {t.value.perMillion}
      </p>
      <ul
        ref={list}
        id="models"
        role="listbox"
        aria-label={t.value.chooseModel}
        aria-describedby="models-hint"
        tabIndex={isSearched ? -1 : 0}
        aria-activedescendant={isSearched ? undefined : activeId}
      >
        {found.map((model, index) => (
          <li
            key={model.id}
            id={`model-${index}`}
            role="option"
            aria-selected={model.id === chosen}
            class={model === active ? "active" : undefined}
            onClick={() => onChoose(model.id)}
            onPointerMove={() => setAt(index)}
          >
            <span class="check">{model.id === chosen && <Icon name="check" size={16} />}</span>
            <span class="model-name">{model.id}</span>
            <span class="model-price">{priced(model)}</span>
          </li>
        ))}
      </ul>
      {found.length === 0 && (
        <p class="hint" role="status">
          {t.value.noModels}
        </p>
      )}
    </div>
  );
}

function matches(model: Model, wanted: string): boolean {
  const words = wanted.toLowerCase().split(/\s+/).filter(Boolean);
  const name = `${model.id} ${model.owned_by}`.toLowerCase();
  return words.every((word) => name.includes(word));
}

function priced(model: Model): string {
  const [input, output] = [rate(model.pricing, "input"), rate(model.pricing, "output")];
  return input === null || output === null ? t.value.noPrice : t.value.price(input, output);
}
