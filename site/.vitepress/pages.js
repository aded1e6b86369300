// Where a file of the repository stands in the site, and how a link between two files is written
// there. The files themselves stay as GitHub shows them: relative links, `x.ko.md` beside `x.md`.

import { existsSync, statSync } from "node:fs";
import { posix, resolve } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../..", import.meta.url));

// What is a page, as patterns for the build; everything else that a page links to is a file to
// look at, below `/files/`.
export const PAGES = [
  /^docs\/(?!\.)(?:[\w-]+\/)*[\w.-]+\.md$/,
  /^spec\/(?:[\w-]+\/)*[\w-]+\.md$/,
  /^clients\/(?:python|typescript)\/README(?:\.ko)?\.md$/,
  /^(?:bench|chaos|web)\/[\w-]+\.md$/,
  /^(?:ARCHITECTURE|CHANGELOG|CONTRIBUTING)\.md$/,
];

export const isPage = (path) => PAGES.some((pattern) => pattern.test(path));

/** Return where a page's file stands in the site: `docs/x.ko.md` is `ko/x.md`. */
export function sitePath(path) {
  let place = path.replace(/^docs\//, "").replace(/(^|\/)README(\.ko)?\.md$/, "$1index$2.md");
  if (place.endsWith(".ko.md")) place = `ko/${place.slice(0, -".ko.md".length)}.md`;
  return place;
}

/** Return a GitHub-style anchor of a heading, so that one link serves both. */
export const anchorOf = (title) =>
  title
    .trim()
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\p{M}_\- ]/gu, "")
    .replaceAll(" ", "-");

/**
 * Return the site's address for a link, null for one that is not ours to change, or "" where the
 * site has nothing that the link could lead to.
 * `files` collects what has to be copied beside the pages.
 */
export function siteLink(href, from, files) {
  if (/^[a-z][a-z0-9+.-]*:|^#|^\/\//i.test(href)) return null;
  const [target, hash = ""] = decodeURI(href).split("#");
  const absolute = target.startsWith("/");
  let path = absolute ? target.slice(1) : posix.join(posix.dirname(from), target);
  path = path.replace(/\/$/, "");
  const place = resolve(ROOT, path);
  if (path.startsWith("..") || !existsSync(place)) {
    throw new Error(`${from}: the link ${href} leads nowhere`);
  }
  if (statSync(place).isDirectory()) {
    path = `${path}/README.md`;
    // GitHub lists a folder; a site has nothing to show.
    if (!existsSync(resolve(ROOT, path))) return "";
  }
  const anchor = hash && `#${hash}`;
  // The READMEs of the repository are GitHub's front page; the site has one of its own.
  if (path === "README.md") return "/";
  if (path === "README.ko.md") return "/ko/";
  if (isPage(path)) {
    return `/${sitePath(path)}`.replace(/(?:index)?\.md$/, "") + anchor;
  }
  files.add(path);
  return `/files/${path}${anchor}`;
}
