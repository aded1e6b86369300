// What the built site must be: whole, without dead links, without requests elsewhere, and searchable
// in both languages. Run by `make docs` after the build.

import assert from "node:assert/strict";
import { readFileSync, readdirSync, statSync } from "node:fs";
import { join, posix } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import MiniSearch from "minisearch";

import { ROOT, anchorOf, siteLink, sitePath } from "../.vitepress/pages.js";
import { SEARCH, indexWords } from "../.vitepress/search.js";
import { sidebar } from "../.vitepress/sidebar.js";

const SITE = fileURLToPath(new URL("../../build/site", import.meta.url));
const files = readdirSync(SITE, { recursive: true })
  .filter((name) => statSync(join(SITE, name)).isFile());
const read = (name) => readFileSync(join(SITE, name), "utf-8");
const pages = new Map(files.filter((name) => name.endsWith(".html")).map((name) => [name, read(name)]));

test("the site has its pages, in both languages", () => {
  for (const name of ["index", "quick-start", "billing", "guides/cannot-connect", "errors"]) {
    assert.match(pages.get(`${name}.html`), /<html lang="en"/);
    assert.match(pages.get(`ko/${name}.html`), /<html lang="ko"/);
  }
  for (const name of ["reference/settings", "spec/PROTOCOL", "decisions/index", "ARCHITECTURE"]) {
    assert.ok(pages.has(`${name}.html`), name);
  }
});

test("every page for users is in the map of its language", () => {
  const map = (language) => sidebar(language).flatMap(({ items }) => items.map(({ link }) => link));
  for (const [language, links] of [["", map("en")], ["ko/", map("ko")]]) {
    for (const folder of ["docs", "docs/guides"]) {
      for (const name of readdirSync(join(ROOT, folder)).filter((one) => /^[a-z-]+\.md$/.test(one))) {
        // The first page is the title's link; the last one is read from the page on reliability.
        if (["index.md", "mutants.md"].includes(name)) continue;
        const place = sitePath(`${folder}/${name}`).replace(".md", "");
        const there = pages.get(`ko/${place}.html`) !== pages.get("404.html");
        assert.ok(links.includes(`/${there ? language : ""}${place}`), `${language}${place}`);
      }
    }
  }
});

test("code scrolls by itself, also on a phone: a block that is indented only has no frame that does", () => {
  for (const [name, html] of pages) assert.ok(!html.includes("<pre><code>"), name);
});

test("every link within the site leads to a page, a file or a heading that is there", () => {
  const dead = [];
  let links = 0;
  for (const [name, html] of pages) {
    for (const [, href] of html.matchAll(/<a [^>]*?href="([^"]*)"/g)) {
      if (/^(?:[a-z]+:|$)/.test(href)) continue;
      links += 1;
      const [target, hash] = decodeURIComponent(href.replaceAll("&amp;", "&")).split("#");
      let place = target ? posix.join(posix.dirname(`/${name}`), target) : `/${name}`;
      if (target.startsWith("/")) place = target;
      place = place.slice(1).replace(/(^|\/)$/, "$1index.html");
      const found = [place, `${place}.html`].find((one) => files.includes(one));
      if (!found || (hash && pages.has(found) && !pages.get(found).includes(`id="${hash}"`))) {
        dead.push(`${name}: ${href}`);
      }
    }
  }
  assert.ok(links > 1000);
  assert.deepEqual(dead, []);
});

test("nothing is asked for elsewhere", () => {
  const asked = [];
  for (const [name, html] of pages) {
    for (const [tag] of html.matchAll(/<(?:script|link|img|iframe|source|video|audio|form)\b[^>]*>/g)) {
      if (/(?:src|srcset|href|action)="(?:[a-z]+:)?\/\//.test(tag)) asked.push(`${name}: ${tag}`);
    }
  }
  for (const name of files.filter((one) => one.endsWith(".css"))) {
    for (const [use] of read(name).matchAll(/(?:@import[^;]*|url\([^)]*)(?:[a-z]+:)?\/\/[^)]*/g)) {
      if (!use.includes("data:")) asked.push(`${name}: ${use}`);
    }
  }
  for (const name of files.filter((one) => one.endsWith(".js"))) {
    for (const [use] of read(name).matchAll(/(?:fetch|import|WebSocket|EventSource)\(\s*["'`](?:https?|wss?):[^"'`]*/g)) {
      // What the pages show as code stands in their scripts too, as text.
      if (!name.includes(".md.")) asked.push(`${name}: ${use}`);
    }
  }
  assert.deepEqual(asked, []);
});

async function index(language) {
  const name = files.find((one) => one.includes(`@localSearchIndex${language}.`));
  const script = Buffer.from(read(name)).toString("base64");
  const { default: text } = await import(`data:text/javascript;base64,${script}`);
  const fields = ["title", "titles", "text"];
  const options = { fields, storeFields: ["title", "titles"], ...SEARCH.options, searchOptions: SEARCH.searchOptions };
  return MiniSearch.loadJSON(text, options);
}

test("a Korean word finds its page, also inside a longer one", async () => {
  const korean = await index("ko");
  const first = (words) => korean.search(words).map(({ id }) => id.split("#")[0]);
  assert.equal(first("브라우저 앱")[0], "/ko/guides/browser-apps.html");
  assert.ok(first("페이먼츠").includes("/ko/payments.html"), "토스페이먼츠 is found by its end");
  assert.ok(first("결제").includes("/ko/payments.html"));
  assert.ok(first("한도").includes("/ko/limits.html"));
  assert.ok(first("대기열").includes("/ko/queue.html"));
  assert.deepEqual(first("없는단어입니다만"), []);
});

test("an English word finds its page", async () => {
  const english = await index("root");
  const first = (words) => english.search(words).map(({ id }) => id.split("#")[0]);
  assert.equal(first("nginx")[0], "/guides/deploy-nginx.html");
  assert.ok(first("trusted_proxies").length);
});

test("words are cut as people look for them", () => {
  assert.deepEqual(indexWords("토스페이먼츠를"), ["토스페이먼츠를", "스페이먼츠를", "페이먼츠를", "이먼츠를", "먼츠를", "츠를"]);
  assert.deepEqual(indexWords("키"), ["키"]);
  assert.deepEqual(indexWords("retry-after: 1"), ["retry", "after", "1"]);
});

test("places and links", () => {
  assert.equal(sitePath("docs/guides/deploy-nginx.ko.md"), "ko/guides/deploy-nginx.md");
  assert.equal(sitePath("docs/decisions/README.md"), "decisions/index.md");
  assert.equal(anchorOf("2. Ask from a program"), "2-ask-from-a-program");
  assert.equal(anchorOf('kind = "openai"'), "kind--openai");
  const linked = new Set();
  const link = (href) => siteLink(href, "docs/guides/unauthorized.ko.md", linked);
  assert.equal(link("https://example.com/x.md"), null);
  assert.equal(link("#here"), null);
  assert.equal(link("../billing.ko.md#장부"), "/ko/billing#장부");
  assert.equal(link("../../deploy/caddy/Caddyfile"), "/files/deploy/caddy/Caddyfile");
  assert.equal(link("../decisions"), "/decisions/");
  assert.equal(link("../../clients/typescript/README.ko.md"), "/ko/clients/typescript/");
  assert.equal(link("../examples/"), "", "a folder without a page");
  assert.deepEqual([...linked], ["deploy/caddy/Caddyfile"]);
  assert.throws(() => link("../no-such.md"), /leads nowhere/);
  assert.throws(() => link("../../../outside.md"), /leads nowhere/);
});
