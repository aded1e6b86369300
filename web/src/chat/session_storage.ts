// What belongs to this tab alone, and is forgotten with it: the key, and what is open. Never fatal
// where a browser forbids it.

export function recall(name: string): string {
  try {
    return sessionStorage.getItem(`tokenferry.${name}`) ?? "";
  } catch {
    return "";
  }
}

export function remember(name: string, value: string): void {
  try {
    if (value === "") sessionStorage.removeItem(`tokenferry.${name}`);
    else sessionStorage.setItem(`tokenferry.${name}`, value);
  } catch {
    return; // the value is still in the page
  }
}

/** What was remembered as JSON; once. */
export function take<T>(name: string): T | null {
  const text = recall(name);
  remember(name, "");
  return text === "" ? null : (JSON.parse(text) as T);
}
