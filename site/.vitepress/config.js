// The documentation as a site: `make docs`. docs/decisions/0018-documentation.md says why so.

import { copyFileSync, mkdirSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { defineConfig } from "vitepress";

import { ROOT, anchorOf, isPage, siteLink, sitePath } from "./pages.js";
import { SEARCH } from "./search.js";
import { KOREAN, KOREAN_SEARCH, sidebar } from "./sidebar.js";

const files = new Set();

/** Rewrites links between the repository's files to the site's addresses. */
function repositoryLinks(markdown) {
  markdown.core.ruler.push("repository_links", (state) => {
    const from = relative(ROOT, state.env.realPath ?? state.env.path).replaceAll("\\", "/");
    const tokens = state.tokens.flatMap((block) => [block, ...(block.children ?? [])]);
    for (const token of tokens.filter(({ type }) => /^html_/.test(type))) {
      // Vite takes a picture's address for a package unless it begins so.
      token.content = token.content.replace(/\b(src|srcset)="(?![a-z]+:|[./#])/g, '$1="./');
    }
    for (const [index, token] of tokens.entries()) {
      if (token.type !== "link_open") continue;
      const href = siteLink(token.attrGet("href"), from, files);
      if (href === null) continue;
      if (href === "") {
        const close = tokens.slice(index).find(({ type }) => type === "link_close");
        Object.assign(token, { type: "span_open", tag: "span", attrs: null });
        Object.assign(close, { type: "span_close", tag: "span" });
        continue;
      }
      token.attrSet("href", href);
      if (href.startsWith("/files/")) token.attrSet("target", "_blank");
    }
  });
}

// The pages are outside of this folder, where no package is found: they look from here.
const packagesOfThePages = {
  name: "packages-of-the-pages",
  enforce: "pre",
  resolveId(source, importer, options) {
    const fromPage = /\.md(?:\?.*)?$/.test(importer ?? "") && /^vue(?:\/|$)/.test(source);
    return fromPage ? this.resolve(source, join(ROOT, "site/page.js"), { ...options, skipSelf: true }) : null;
  },
};

export default defineConfig({
  srcDir: "..",
  srcExclude: [
    "**/.*/**",
    "**/{build,node_modules}/**",
    "{deploy,emulators,rush,site,src,tests,tools}/**",
    "README*.md",
  ],
  outDir: "../build/site",
  cacheDir: "../build/site-cache",
  base: process.env.DOCS_BASE ?? "/",
  cleanUrls: false,
  ignoreDeadLinks: false,
  rewrites: (path) => (isPage(path) ? sitePath(path) : path),
  title: "Tokenferry",
  description: "A gateway of your own between your programs and language models.",
  // The icon of a page that has none would be asked for at `/favicon.ico`.
  head: [["link", { rel: "icon", href: "data:," }]],
  markdown: {
    anchor: { slugify: anchorOf },
    languageAlias: { caddyfile: "txt" },
    tasklist: { disabled: false },
    config: (markdown) => markdown.use(repositoryLinks),
  },
  locales: {
    root: { label: "English", lang: "en", themeConfig: { sidebar: sidebar("en") } },
    ko: {
      label: "한국어",
      lang: "ko",
      description: "프로그램과 언어 모델 사이에 직접 설치해서 운영하는 게이트웨이",
      themeConfig: { ...KOREAN, sidebar: sidebar("ko") },
    },
  },
  themeConfig: {
    outline: { level: [2, 3] },
    search: {
      provider: "local",
      options: { miniSearch: SEARCH, locales: { ko: { translations: KOREAN_SEARCH } } },
    },
  },
  vite: { plugins: [packagesOfThePages] },
  buildEnd({ outDir, pages }) {
    // Where the switch of languages leads from a page that is in English alone.
    const places = new Set(pages.map((path) => sitePath(path)));
    for (const place of places) {
      if (place.startsWith("ko/") || places.has(`ko/${place}`)) continue;
      const target = join(outDir, "ko", place.replace(/\.md$/, ".html"));
      mkdirSync(dirname(target), { recursive: true });
      copyFileSync(join(outDir, "404.html"), target);
    }
    for (const path of files) {
      const target = join(outDir, "files", path);
      mkdirSync(dirname(target), { recursive: true });
      copyFileSync(join(ROOT, path), target);
    }
  },
});
