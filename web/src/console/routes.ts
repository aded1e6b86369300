// The console's pages: at which path, by which name in the navigation, and for whom.

import { ADMIN_PAGES } from "./admin/pages.js";
import type { ConsolePage } from "./console_page.js";
import { Credit } from "./credit/page.js";
import { Keys } from "./keys/page.js";
import { LogIn, SignUp } from "./login/page.js";
import { Forgotten } from "./login/forgotten.js";
import { MailLink } from "./login/mail_link.js";
import { Overview } from "./overview/page.js";
import { Requests } from "./requests/page.js";
import { Story } from "./requests/story.js";
import { Settings } from "./settings/page.js";
import { t } from "./texts.js";
import { Usage } from "./usage/page.js";
import { Vouchers } from "./vouchers/page.js";

export const PAGES: readonly ConsolePage[] = [
  { path: "/console", component: Overview, access: "session", name: () => t.value.overview },
  { path: "/console/keys", component: Keys, access: "session", name: () => t.value.keys },
  { path: "/console/credit", component: Credit, access: "session", name: () => t.value.credit },
  { path: "/console/usage", component: Usage, access: "session", name: () => t.value.usage },
  { path: "/console/requests", component: Requests, access: "session", name: () => t.value.requests },
  { path: "/console/requests/:id", component: Story, access: "session" },
  { path: "/console/vouchers", component: Vouchers, access: "session", name: () => t.value.vouchers },
  { path: "/console/settings", component: Settings, access: "session", name: () => t.value.settings },
  { path: "/console/log-in", component: LogIn, access: "anyone" },
  { path: "/console/sign-up", component: SignUp, access: "anyone" },
  { path: "/console/forgotten", component: Forgotten, access: "anyone" },
  // What mails lead to.
  { path: "/account", component: MailLink, access: "anyone" },
  ...ADMIN_PAGES,
];
