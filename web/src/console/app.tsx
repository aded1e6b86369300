// Which page is shown, and in which frame: by the path, and by who is logged in.

import { Component } from "preact";
import type { ComponentChildren, VNode } from "preact";
import { LocationProvider, Route, Router, useLocation } from "preact-iso";
import { account, loadSession, session } from "../shared/session.js";
import type { ConsolePage } from "./console_page.js";
import { Layout, Plain } from "./layout.js";
import { LogIn } from "./login/page.js";
import { Failure, Page } from "./parts.js";
import { PAGES } from "./routes.js";
import { t } from "./texts.js";

export function App(): VNode {
  return (
    <LocationProvider scope={/^\/(console|account)(\/|$|\?)/}>
      <Body />
    </LocationProvider>
  );
}

function Body(): VNode {
  const { path } = useLocation();
  const state = session.value;
  const open = PAGES.filter((page) => page.access === "anyone");
  if (state.state === "asking") {
    return (
      <Plain>
        <p class="loading" role="status">
          {t.value.loading}
        </p>
      </Plain>
    );
  }
  if (state.state === "unreachable") {
    return (
      <Plain>
        <Failure problem={state.problem} onRetry={() => void loadSession()} />
      </Plain>
    );
  }
  if (state.state === "out" || open.some((page) => page.path === path)) {
    return (
      <Plain>
        <Guard key={path}>
          <Router>
            {open.map((page) => (
              <Route key={page.path} path={page.path} component={page.component} />
            ))}
            <Route default component={LogIn} />
          </Router>
        </Guard>
      </Plain>
    );
  }
  return (
    <Layout pages={PAGES}>
      <Guard key={path}>
        <Router>
          {PAGES.filter((page) => page.access !== "anyone").map((page) => (
            <Route key={page.path} path={page.path} component={permitted(page)} />
          ))}
          <Route default component={NotFound} />
        </Router>
      </Guard>
    </Layout>
  );
}

function permitted(page: ConsolePage): ConsolePage["component"] {
  return page.access === "admin" && account()?.role !== "admin" ? AdminOnly : page.component;
}

function NotFound(): VNode {
  return (
    <Page title={t.value.notFound} intro={t.value.notFoundText}>
      <p>
        <a href="/console">{t.value.home}</a>
      </p>
    </Page>
  );
}

function AdminOnly(): VNode {
  return (
    <Page title={t.value.adminOnly} intro={t.value.adminOnlyText}>
      <p>
        <a href="/console">{t.value.home}</a>
      </p>
    </Page>
  );
}

/** Catches what a page throws while it is drawn: the frame stays, and another page can be gone to. */
class Guard extends Component<{ children: ComponentChildren }, { failed: boolean }> {
  override state = { failed: false };

  override componentDidCatch(reason: unknown): void {
    console.error(reason);
    this.setState({ failed: true });
  }

  override render(): ComponentChildren {
    if (!this.state.failed) return this.props.children;
    return (
      <Page title={t.value.failed} intro={t.value.failedText}>
        <p>
          <button type="button" class="button" onClick={() => location.reload()}>
            {t.value.reload}
          </button>
        </p>
      </Page>
    );
  }
}
