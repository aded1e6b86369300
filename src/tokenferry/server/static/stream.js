// The gateway as a browser reaches it: HTTP with the key in a header for what is short, and one
// WebSocket, opened with a single-use ticket, for the answers. The key is never part of an address.

const OPEN_TIMEOUT_MS = 10_000;
const SUBPROTOCOL = "tokenferry.v1";
// Close codes that say more than that the connection ended.
const CLOSE_CODES = {
  1012: "server_draining",
  1013: "server_overloaded",
  4001: "invalid_api_key",
  4003: "origin_not_allowed",
  4008: "invalid_ticket",
  4029: "too_many_connections",
  4100: "server_overloaded",
};

/** What went wrong: a code for the reader's words, and the server's own words. */
export class Problem extends Error {
  constructor(code, { detail = "", requestId = "", retryAfterMs = null } = {}) {
    super(detail || code);
    this.code = code;
    this.detail = detail;
    this.requestId = requestId;
    this.retryAfterMs = retryAfterMs;
  }
}

async function call(path, key, options = {}) {
  // Anything else would be refused by fetch itself, with a message nobody understands.
  if (!/^[\x21-\x7e]+$/.test(key)) throw new Problem("invalid_api_key_format");
  let response;
  try {
    response = await fetch(path, {
      cache: "no-store",
      credentials: "omit",
      headers: { Authorization: `Bearer ${key}` },
      ...options,
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("server_unreachable");
  }
  const body = await response.json().catch(() => null);
  if (response.ok && body) return body;
  const wait_s = Number.parseFloat(response.headers.get("retry-after") ?? "");
  throw new Problem(body?.error?.code ?? "other", {
    detail: body?.error?.message ?? `HTTP ${response.status}`,
    requestId: response.headers.get("x-request-id") ?? "",
    retryAfterMs: Number.isFinite(wait_s) ? wait_s * 1000 : null,
  });
}

/** Returns the names of the models that a key may use. */
export async function fetchModels(key, signal) {
  const list = await call("/v1/models", key, { signal });
  return list.data.map((model) => model.id);
}

/** One connection to `/v1/stream`, opened when it is first needed; one answer at a time. */
export class Connection {
  #key;
  #socket = null;
  #answer = null;
  #count = 0;
  #leaving = false;

  constructor(key) {
    this.#key = key;
  }

  get key() {
    return this.#key;
  }

  /**
   * Asks, and resolves to {finishReason, usage} when the answer is complete.
   *
   * `listener` has waiting(ahead), text(text) and reasoning(text); `ahead` is null while the
   * request is not in a queue. Rejects with a Problem; what was received before stands.
   */
  async ask(request, listener) {
    const answer = { ref: String(++this.#count), listener, streamId: null, seq: 0, stopped: false };
    answer.result = new Promise((resolve, reject) => Object.assign(answer, { resolve, reject }));
    answer.result.catch(() => {}); // it may be rejected before anybody waits for it
    this.#answer = answer;
    try {
      await this.#open();
      if (answer.stopped) return { finishReason: "cancelled", usage: null };
      // The page cannot take an answer up again, so nobody should pay for the rest of it.
      const options = { on_disconnect: "cancel" };
      this.#send({ type: "create", ref: answer.ref, request, options });
      listener.waiting(null);
      return await answer.result;
    } finally {
      this.#answer = null;
      if (this.#leaving) this.close();
    }
  }

  /** Asks the server to end the answer; `ask` resolves when it has. */
  stop() {
    if (!this.#answer) return;
    this.#answer.stopped = true;
    if (this.#answer.streamId) this.#cancel();
  }

  close() {
    this.#socket?.close();
    this.#socket = null;
  }

  #send(message) {
    this.#socket.send(JSON.stringify(message));
  }

  #cancel() {
    this.#send({ type: "cancel", stream_id: this.#answer.streamId });
  }

  async #open() {
    if (this.#socket?.readyState === WebSocket.OPEN) return;
    const { ticket } = await call("/v1/stream/tickets", this.#key, { method: "POST" });
    const url = new URL("/v1/stream", location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(url, [SUBPROTOCOL, `ticket.${ticket}`]);
    this.#socket = socket;
    this.#leaving = false;
    await new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        socket.close();
        reject(new Problem("server_unreachable"));
      }, OPEN_TIMEOUT_MS);
      const settle = (action, value) => {
        clearTimeout(timer);
        action(value);
      };
      socket.onmessage = (event) => {
        const frame = JSON.parse(event.data);
        if (frame.type === "ready") settle(resolve);
        else if (frame.type === "error") {
          settle(reject, problemOf(frame));
          socket.close();
        }
      };
      socket.onclose = (event) => {
        const problem = closed(event);
        settle(reject, problem);
        if (this.#socket !== socket) return;
        this.#socket = null;
        this.#answer?.reject(problem);
      };
    });
    socket.onmessage = (event) => this.#take(JSON.parse(event.data));
  }

  #take(frame) {
    const answer = this.#answer;
    if (frame.type === "going_away") {
      this.#leaving = true;
      if (!answer) this.close();
      return;
    }
    if (!answer || !this.#concerns(frame, answer)) return;
    if (frame.type === "started") {
      answer.streamId = frame.stream_id;
      if (answer.stopped) this.#cancel();
    } else if (frame.type === "queued") {
      answer.listener.waiting(frame.position);
    } else if (frame.type === "chunk") {
      this.#takeChunk(frame, answer);
    } else if (frame.type === "done") {
      answer.resolve({ finishReason: frame.finish_reason, usage: frame.usage });
    } else if (frame.type === "error") {
      answer.reject(problemOf(frame));
    }
  }

  /** Says whether a frame is about the answer: by its stream once that is known, else its ref. */
  #concerns(frame, answer) {
    if (frame.stream_id && answer.streamId) return frame.stream_id === answer.streamId;
    return frame.ref === undefined || String(frame.ref) === answer.ref;
  }

  #takeChunk(frame, answer) {
    if (frame.seq <= answer.seq) return;
    if ((frame.from ?? frame.seq) !== answer.seq + 1) {
      answer.reject(new Problem("connection_lost", { detail: `seq ${answer.seq} → ${frame.seq}` }));
      this.close(); // ends the stream, too: what is missing would never come
      return;
    }
    answer.seq = frame.seq;
    const delta = frame.choices?.[0]?.delta ?? {};
    const reasoning = delta.reasoning_content ?? delta.reasoning;
    if (reasoning) answer.listener.reasoning(reasoning);
    const text = `${delta.content ?? ""}${delta.refusal ?? ""}`;
    if (text) answer.listener.text(text);
  }
}

function problemOf(frame) {
  return new Problem(frame.error?.code ?? "other", {
    detail: frame.error?.message ?? "",
    requestId: frame.stream_id ?? "",
    retryAfterMs: frame.retry_after_ms ?? null,
  });
}

function closed(event) {
  const detail = event.reason || (event.code === 1006 ? "" : `WebSocket ${event.code}`);
  return new Problem(CLOSE_CODES[event.code] ?? "connection_lost", { detail });
}
