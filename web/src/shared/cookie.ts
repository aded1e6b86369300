// Choices that the server must know before the page is painted: it writes them into the document,
// so that no script has to run before the first paint.

const YEAR_S = 365 * 24 * 3600;

export function remember(name: string, value: string): void {
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `tokenferry_${name}=${value}; Path=/; Max-Age=${YEAR_S}; SameSite=Lax${secure}`;
}

export function forget(name: string): void {
  document.cookie = `tokenferry_${name}=; Path=/; Max-Age=0; SameSite=Lax`;
}
