// What administrators see, in the order of the navigation.

import "./admin.css";
import type { ConsolePage } from "../console_page.js";
import { later } from "../console_page.js";
import { t } from "./texts.js";

export const ADMIN_PAGES: readonly ConsolePage[] = [
  {
    path: "/console/admin/accounts",
    component: later(() => import("./accounts/page.js"), "Accounts"),
    access: "admin",
    name: () => t.value.accounts,
  },
  {
    path: "/console/admin/accounts/:id",
    component: later(() => import("./accounts/account.js"), "OneAccount"),
    access: "admin",
  },
  {
    path: "/console/admin/providers",
    component: later(() => import("./providers/page.js"), "Providers"),
    access: "admin",
    name: () => t.value.providers,
  },
  {
    path: "/console/admin/models",
    component: later(() => import("./models/page.js"), "Models"),
    access: "admin",
    name: () => t.value.models,
  },
  {
    path: "/console/admin/live",
    component: later(() => import("./live/page.js"), "Live"),
    access: "admin",
    name: () => t.value.live,
  },
  {
    path: "/console/admin/vouchers",
    component: later(() => import("./vouchers/page.js"), "AnyVouchers"),
    access: "admin",
    name: () => t.value.vouchers,
  },
  {
    path: "/console/admin/ledger",
    component: later(() => import("./ledger/page.js"), "LedgerCheck"),
    access: "admin",
    name: () => t.value.ledger,
  },
  {
    path: "/console/admin/audit",
    component: later(() => import("./audit/page.js"), "AuditTrail"),
    access: "admin",
    name: () => t.value.audit,
  },
];
