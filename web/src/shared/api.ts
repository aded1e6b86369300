// The routes under /api, as this page's login may use them: JSON in, JSON or nothing out.

/** What the gateway refused, or why it could not be asked: `code` says what can be done. */
export class Problem extends Error {
  override readonly name = "Problem";

  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly param: string | null = null,
    readonly requestId: string | null = null,
    readonly retryAfterMs: number | null = null,
  ) {
    super(message);
  }
}

interface ErrorBody {
  readonly error?: { readonly message?: string; readonly code?: string | null; readonly param?: string | null };
}

/** Asks, and returns the JSON of the answer (undefined for an answer without one).
 *  Throws a Problem; code `unreachable` if there was no answer, or not the whole of it. */
export async function api<T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  let response: Response;
  let text: string;
  try {
    response = await fetch(path, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } }),
      ...(signal ? { signal } : {}),
      credentials: "same-origin",
      cache: "no-store",
    });
    text = await response.text();
  } catch (reason) {
    if (signal?.aborted) throw reason;
    throw new Problem(0, "unreachable", String(reason));
  }
  if (!response.ok) throw problemOf(response, text);
  try {
    return (text === "" ? undefined : JSON.parse(text)) as T;
  } catch {
    // Whoever stands between, a hotel's network say, has answered with a page of its own.
    throw new Problem(response.status, "unreachable", "The answer is not the gateway's.");
  }
}

function problemOf(response: Response, text: string): Problem {
  let error: NonNullable<ErrorBody["error"]> = {};
  try {
    error = (JSON.parse(text) as ErrorBody).error ?? {};
  } catch {
    error = { message: text.slice(0, 300) }; // a proxy's page, not the gateway's answer
  }
  const wait = Number(response.headers.get("retry-after-ms") ?? Number.NaN);
  return new Problem(
    response.status,
    error.code ?? `http_${response.status}`,
    error.message ?? response.statusText,
    error.param ?? null,
    response.headers.get("x-request-id"),
    Number.isFinite(wait) ? wait : null,
  );
}
