// What an answer may link to. The text of an answer is a stranger's.

const SCHEMES: ReadonlySet<string> = new Set(["http:", "https:", "mailto:"]);

/** The address as it may be linked to, or null: relative ones would lead into this gateway. */
export function safeAddress(address: string): string | null {
  let url: URL;
  try {
    url = new URL(address);
  } catch {
    return null;
  }
  if (!SCHEMES.has(url.protocol)) return null;
  // A name in front of the host is there to deceive.
  if (url.username !== "" || url.password !== "") return null;
  return url.href;
}

/** Where an address leads: a host, or who gets the mail. */
export function hostOf(address: string): string {
  const url = new URL(address);
  return url.protocol === "mailto:" ? url.pathname : url.host;
}
