// Icons of 20 by 20, drawn in the colour of the text. They are never alone: a word stands beside each,
// or is the name of its button.

import type { VNode } from "preact";

const PATHS = {
  plus: "M10 4v12M4 10h12",
  send: "M10 16V4.5M5 9.5l5-5 5 5",
  stop: "M6 6h8v8H6z",
  copy: "M7.5 7.5h9v9h-9zM12.5 7.5v-4h-9v9h4",
  check: "M4 10.5l4 4 8-9",
  edit: "M4 16l.8-3.4L13.3 4l2.7 2.7-8.6 8.5zM11.6 5.8l2.6 2.6",
  again: "M15.5 6.5A6.5 6.5 0 1 0 16.5 11M16 3v4h-4",
  left: "M12 5l-5 5 5 5",
  right: "M8 5l5 5-5 5",
  down: "M5 8l5 5 5-5",
  end: "M10 4v11.5M5 10.5l5 5 5-5",
  list: "M3.5 5.5h13M3.5 10h13M3.5 14.5h13",
  close: "M5 5l10 10M15 5L5 15",
  image: "M3.5 4.5h13v11h-13zM3.5 13.5l4-4 3 3 2.5-2.5 3.5 3.5M12.5 7.8h.1",
  settings: "M3.5 6h6M13.5 6h3M3.5 14h3M10.5 14h6M11.5 4v4M8.5 12v4",
  more: "M4.5 10h.1M10 10h.1M15.5 10h.1",
  link: "M8.5 11.5l3-3M9 6.5l2-2a3.2 3.2 0 0 1 4.5 4.5l-2 2M11 13.5l-2 2A3.2 3.2 0 0 1 4.5 11l2-2",
  alert: "M10 3l7.5 13.5h-15zM10 8v4M10 14.3h.1",
  trash: "M4 6h12M8 6V4h4v2M5.5 6l.7 10.5h7.6L14.5 6",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name, size = 18 }: { readonly name: IconName; readonly size?: number }): VNode {
  return (
    <svg
      class="icon"
      width={size}
      height={size}
      viewBox="0 0 20 20"
      fill={name === "stop" ? "currentColor" : "none"}
      stroke="currentColor"
      stroke-width="1.6"
      stroke-linecap="round"
      stroke-linejoin="round"
      aria-hidden="true"
      focusable="false"
    >
      <path d={PATHS[name]} />
    </svg>
  );
}
