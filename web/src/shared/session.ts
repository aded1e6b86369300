// Who is logged in. The login itself is a cookie that scripts cannot read; what is known of it is
// what the server says. All pages of the browser hear of a login and of its end.

import { signal } from "@preact/signals";
import { api, Problem } from "./api.js";
import { language } from "./language.js";

export interface Account {
  readonly id: string;
  readonly email: string | null;
  readonly role: "member" | "admin";
  readonly state: string;
  readonly language: "en" | "ko";
  readonly created: number;
}

/** `out`: nobody. `lapsed`: the login has ended while this page was in use; what it shows is kept
 *  until somebody logs in again. `unreachable`: the server could not be asked. */
export type Session =
  | { readonly state: "asking" | "out" }
  | { readonly state: "unreachable"; readonly problem: Problem }
  | { readonly state: "in" | "lapsed"; readonly account: Account; readonly expires: number };

export const session = signal<Session>({ state: "asking" });

interface Login {
  readonly account: Account;
  readonly expires: number;
}

const channel = typeof BroadcastChannel === "undefined" ? null : new BroadcastChannel("tokenferry-login");
channel?.addEventListener("message", () => void loadSession());

/** Asks the server who is logged in. */
export async function loadSession(): Promise<void> {
  try {
    arrived(await api<Login>("GET", "/api/sessions/current"));
  } catch (reason) {
    if (!(reason instanceof Problem)) throw reason;
    const known = session.value;
    if (reason.status === 401 || reason.status === 403) ended();
    else if (known.state === "asking" || known.state === "out")
      session.value = { state: "unreachable", problem: reason };
  }
}

/** Logs in. Throws a Problem. */
export async function logIn(email: string, password: string): Promise<void> {
  arrived(await api<Login>("POST", "/api/sessions", { email, password }));
  channel?.postMessage("in");
}

/** Logs out; a login that had ended before is as good. */
export async function logOut(): Promise<void> {
  try {
    await api<void>("DELETE", "/api/sessions/current", {});
  } catch (reason) {
    if (!(reason instanceof Problem) || reason.status !== 401) throw reason;
  }
  session.value = { state: "out" };
  channel?.postMessage("out");
}

/** `api`, for pages of somebody who is logged in: notices when the login has ended. */
export async function call<T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  try {
    return await api<T>(method, path, body, signal);
  } catch (reason) {
    if (reason instanceof Problem && reason.code === "login_required") ended();
    throw reason;
  }
}

/** Whoever is logged in, or was until a moment ago. */
export function account(): Account | null {
  const known = session.value;
  return known.state === "in" || known.state === "lapsed" ? known.account : null;
}

function arrived(login: Login): void {
  const before = account();
  if (before !== null && before.id !== login.account.id) {
    location.reload(); // what this page shows is another account's
    return;
  }
  session.value = { state: "in", account: login.account, expires: login.expires };
}

function ended(): void {
  const known = session.value;
  if (known.state === "in") session.value = { ...known, state: "lapsed" };
  else if (known.state !== "lapsed") session.value = { state: "out" };
}

/** Tells the server the language that mails should have. */
export async function keepLanguage(): Promise<void> {
  const who = account();
  if (who === null || who.language === language.value) return;
  const changed = await call<Account>("PATCH", "/api/account", { language: language.value });
  const known = session.value;
  if (known.state === "in") session.value = { ...known, account: changed };
}
