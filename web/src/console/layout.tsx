// The console's frame: navigation, which on a phone is behind a button, language, theme, log-out.

import type { ComponentChildren, VNode } from "preact";
import { useLocation } from "preact-iso";
import { useEffect, useState } from "preact/hooks";
import { Problem } from "../shared/api.js";
import { LANGUAGE_NAMES, language, setLanguage } from "../shared/language.js";
import type { Language } from "../shared/language.js";
import { account, keepLanguage, session } from "../shared/session.js";
import { setTheme, theme } from "../shared/theme.js";
import type { Theme } from "../shared/theme.js";
import type { ConsolePage } from "./console_page.js";
import { LogInAgain } from "./login/again.js";
import { LogOut } from "./parts.js";
import { t } from "./texts.js";

interface LayoutProps {
  readonly pages: readonly ConsolePage[];
  readonly children: ComponentChildren;
}

/** Navigation and content, for somebody who is logged in. */
export function Layout({ pages, children }: LayoutProps): VNode {
  const { path } = useLocation();
  const [open, setOpen] = useState(false);
  useEffect(() => setOpen(false), [path]);
  const who = account();
  return (
    <div class="frame">
      <a class="skip" href="#content">
        {t.value.skip}
      </a>
      <header class="top">
        <div class="bar">
          <Brand />
          <button
            type="button"
            class="button"
            aria-expanded={open}
            aria-controls="navigation"
            onClick={() => setOpen(!open)}
          >
            {t.value.menu}
          </button>
        </div>
        <div
          id="navigation"
          class={`side ${open ? "open" : ""}`}
          onKeyDown={(event) => {
            if (event.key === "Escape") setOpen(false);
          }}
        >
          <Brand />
          <nav aria-label={t.value.navigation}>
            <Links pages={pages.filter((page) => page.access === "session")} path={path} />
            {who?.role === "admin" && pages.some((page) => page.access === "admin") && (
              <>
                <h2 class="group" id="administration">
                  {t.value.administration}
                </h2>
                <Links
                  pages={pages.filter((page) => page.access === "admin")}
                  path={path}
                  labelledBy="administration"
                />
              </>
            )}
          </nav>
          <div class="side-foot">
            <a href="/">{t.value.chat}</a>
            <Choices />
            <p class="who">{who?.email ?? who?.id}</p>
            <LogOut />
          </div>
        </div>
      </header>
      <main id="content" tabIndex={-1}>
        {children}
      </main>
      {session.value.state === "lapsed" && <LogInAgain />}
    </div>
  );
}

function Brand(): VNode {
  return (
    <a class="brand" href="/console">
      <img src="/static/icon.svg" alt="" width="22" height="22" />
      {t.value.product}
    </a>
  );
}

interface LinksProps {
  readonly pages: readonly ConsolePage[];
  readonly path: string;
  readonly labelledBy?: string;
}

function Links({ pages, path, labelledBy }: LinksProps): VNode {
  return (
    <ul aria-labelledby={labelledBy}>
      {pages.map(
        (page) =>
          page.name !== undefined && (
            <li key={page.path}>
              <a href={page.path} aria-current={isAt(page, path, pages) ? "page" : undefined}>
                {page.name()}
              </a>
            </li>
          ),
      )}
    </ul>
  );
}

function isAt(page: ConsolePage, path: string, pages: readonly ConsolePage[]): boolean {
  if (page.path === path) return true;
  // Below a page, and not a page of its own in the navigation: a request's story below requests.
  return (
    page.path !== "/console" &&
    path.startsWith(`${page.path}/`) &&
    !pages.some((other) => other.path === path && other.name !== undefined)
  );
}

/** The page is in the new language in any case; that of mails can be set anew in the settings. */
async function keepMailLanguage(): Promise<void> {
  try {
    await keepLanguage();
  } catch (reason) {
    if (!(reason instanceof Problem)) throw reason;
    console.warn("the language of mails is as it was:", reason.message);
  }
}

/** Language and theme. */
export function Choices(): VNode {
  return (
    <div class="choices">
      <label>
        <span class="unseen">{t.value.language}</span>
        <select
          value={language.value}
          onChange={(event) => {
            setLanguage(event.currentTarget.value as Language);
            void keepMailLanguage();
          }}
        >
          {Object.entries(LANGUAGE_NAMES).map(([value, name]) => (
            <option key={value} value={value} lang={value}>
              {name}
            </option>
          ))}
        </select>
      </label>
      <label>
        <span class="unseen">{t.value.theme}</span>
        <select value={theme.value} onChange={(event) => setTheme(event.currentTarget.value as Theme)}>
          {(["system", "light", "dark"] as const).map((value) => (
            <option key={value} value={value}>
              {t.value[value]}
            </option>
          ))}
        </select>
      </label>
    </div>
  );
}

/** The frame of pages for anyone: logging in, signing up. */
export function Plain({ children }: { readonly children: ComponentChildren }): VNode {
  return (
    <div class="plain">
      <header>
        <Brand />
        <Choices />
      </header>
      <main id="content">{children}</main>
    </div>
  );
}
