// Who uses the page, whose conversations are shown, and whose they were at the last visit.

import type { Identity, Model } from "./gateway.js";
import type { Failure } from "./tree.js";

export type Access =
  | { readonly state: "asking" }
  | { readonly state: "in"; readonly identity: Identity; readonly models: readonly Model[] }
  | { readonly state: "out"; readonly failure: Failure };

export function ownerOf(identity: Identity): string {
  if (identity.kind === "key") return `key:${identity.key.split("_")[1] ?? ""}`;
  return identity.kind === "account" ? `account:${identity.email}` : "guest";
}

export function recallOwner(): string {
  try {
    return localStorage.getItem("tokenferry.owner") ?? "";
  } catch {
    return "";
  }
}

export function rememberOwner(owner: string): void {
  try {
    localStorage.setItem("tokenferry.owner", owner);
  } catch {
    // Only the hint that a login has ended is lost.
  }
}
