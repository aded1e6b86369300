// A field that narrows a list down, and the button that does it. What is looked for is in the page's
// address, so that the list can be come back to and sent to others.

import type { ComponentChildren, VNode } from "preact";
import { useId, useLayoutEffect, useState } from "preact/hooks";
import { t as admin } from "./texts.js";

interface SearchFormProps {
  readonly label: string;
  readonly hint?: string;
  readonly value: string;
  readonly onSearch: (text: string) => void;
  readonly maxLength?: number;
  /** Further fields. */
  readonly children?: ComponentChildren;
}

export function SearchForm({ label, hint, value, onSearch, maxLength, children }: SearchFormProps): VNode {
  const id = useId();
  const [text, setText] = useState(value);
  useLayoutEffect(() => setText(value), [value]);
  return (
    <form
      class="search"
      role="search"
      onSubmit={(event) => {
        event.preventDefault();
        onSearch(text.trim());
      }}
    >
      <div class="filters">
        <div class="field wide">
          <label for={id}>{label}</label>
          <input
            id={id}
            type="search"
            value={text}
            maxLength={maxLength ?? 300}
            autocomplete="off"
            spellcheck={false}
            aria-describedby={hint === undefined ? undefined : `${id}-hint`}
            onInput={(event) => setText(event.currentTarget.value)}
          />
        </div>
        {children}
        <button type="submit" class="button">
          {admin.value.search}
        </button>
      </div>
      {hint !== undefined && (
        <p class="hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
    </form>
  );
}
