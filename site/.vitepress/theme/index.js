// VitePress's own theme without its fonts: text is set in the reader's, and nothing is fetched.

import Theme from "vitepress/theme-without-fonts";
import { h } from "vue";

import EnglishOnly from "./EnglishOnly.vue";
import "./style.css";
import { keepTicks } from "./ticks.js";

export default {
  extends: Theme,
  Layout: () => h(Theme.Layout, null, { "not-found": () => h(EnglishOnly) }),
  enhanceApp({ router }) {
    if (!import.meta.env.SSR) keepTicks(router);
  },
};
