// The gateway as a browser reaches it: HTTP with the key in a header for what is short, and one
// WebSocket, opened with a single-use ticket, for the answers. The key is never part of an address.

const OPEN_TIMEOUT_MS = 10_000;
const SUBPROTOCOL = "tokenferry.v1";
// Close codes after which the page must not come back by itself, beside 4000-4099: RFC 6455, 7.4.1.
const OWN_FAULT = new Set([1002, 1003, 1007, 1008, 1009, 1010]);
// Those that say more than that the connection ended.
const CLOSE_CODES = {
  4001: "invalid_api_key",
  4003: "origin_not_allowed",
  4008: "invalid_ticket",
  4029: "too_many_connections",
};
const HEARTBEAT_LOST = 4108;
const ABNORMAL = 1006;
// Full jitter, spec/PROTOCOL.md, section 6: a delay from the whole range up to a doubling ceiling.
const DELAY_MS_MIN = 250;
const DELAY_MS_MAX = 30_000;
const FIRST_CEILING_MS = 500;
const BACK_OFF_DOUBLINGS = 2;
const OUTAGE_MS_MAX = 300_000;
// A connection that lived this long was a good one, whatever ended it.
const STABLE_MS = 10_000;
const HEARTBEAT_MS = 15_000; // until `ready` says otherwise
const GRACE_MS = 5_000;
// Gaps in a row that one connection may show; more say that it will not get better.
const GAPS_MAX = 3;

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
  // A proxy in front of a server that is away answers for it, in words of its own.
  const away = !body && response.status >= 500;
  throw new Problem(body?.error?.code ?? (away ? "server_unreachable" : "other"), {
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

/**
 * What the page has of one answer: a position, and the text that led to it. JSON keeps it.
 *
 * `steps` has one [last seq, length of text, length of reasoning] for each chunk that was applied,
 * so that a rewind is exact.
 */
export class Answer {
  constructor(kept = {}) {
    this.model = kept.model ?? "";
    this.idempotencyKey = kept.idempotencyKey ?? randomId();
    this.streamId = kept.streamId ?? null;
    this.epoch = kept.epoch ?? 1;
    this.steps = kept.steps ?? [];
    this.text = kept.text ?? "";
    this.reasoning = kept.reasoning ?? "";
    this.begunMs = kept.begunMs ?? null;
    this.firstMs = kept.firstMs ?? null;
    this.stopped = kept.stopped ?? false;
  }

  get after() {
    return this.steps.at(-1)?.[0] ?? 0;
  }

  /** Says whether the records from..seq are the "next", "known" or after a "gap". */
  fit(frame) {
    if (frame.epoch !== this.epoch) return frame.epoch < this.epoch ? "known" : "gap";
    if (frame.seq <= this.after) return "known";
    return (frame.from ?? frame.seq) === this.after + 1 ? "next" : "gap";
  }

  apply(seq, text, reasoning) {
    this.text += text;
    this.reasoning += reasoning;
    this.steps.push([seq, this.text.length, this.reasoning.length]);
  }

  /** Drops what is beyond a position; of a merged chunk that reaches beyond, nothing stays. */
  rewind(epoch, keepThrough) {
    while (this.after > keepThrough) this.steps.pop();
    const [, textLength, reasoningLength] = this.steps.at(-1) ?? [0, 0, 0];
    this.text = this.text.slice(0, textLength);
    this.reasoning = this.reasoning.slice(0, reasoningLength);
    this.epoch = epoch;
  }
}

// `crypto.randomUUID` is not there on plain HTTP.
function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Returns how long to wait before the next attempt, by the close code and the failures so far. */
function delayMs(code, attempt) {
  if (code >= 4200 && code < 4300 && attempt === 0) return 0;
  const backsOff = code >= 4100 && code < 4200 && code !== HEARTBEAT_LOST;
  const doublings = attempt + (backsOff ? BACK_OFF_DOUBLINGS : 0);
  const ceiling_ms = Math.min(DELAY_MS_MAX, FIRST_CEILING_MS * 2 ** doublings);
  const least_ms = backsOff ? ceiling_ms / 2 : DELAY_MS_MIN;
  return least_ms + Math.random() * (ceiling_ms - least_ms);
}

/** The way to `/v1/stream`, opened when it is first needed; one answer at a time. */
export class Connection {
  #key;
  #socket = null;
  #task = null; // the answer under way, and what is known of it on this connection only
  #count = 0;
  #attempts = 0;
  #outageMs = null;
  #openedMs = 0;
  #heardMs = 0;
  #heartbeatMs = HEARTBEAT_MS;
  #watchdog = 0;
  #leaving = false;
  #notBeforeMs = 0;
  #retry = null;
  #refusal = null;

  constructor(key) {
    this.#key = key;
  }

  get key() {
    return this.#key;
  }

  /**
   * Asks for an answer, or goes on with one that has a stream, and resolves to {finishReason, usage}
   * when it is complete, over any number of connections.
   *
   * `listener` has waiting(ahead), with null while the request is in no queue; chunk(text,
   * reasoning); rewound(); changed(), when the position is to be kept at once; link(state, retryMs);
   * and caughtUp(). Rejects with a Problem; what was received before stands.
   */
  async receive(answer, request, listener) {
    const task = { answer, request, listener, ref: String(++this.#count), offered: false };
    task.result = new Promise((resolve, reject) => Object.assign(task, { resolve, reject }));
    task.result.catch(() => {}); // it may be rejected before anybody waits for it
    this.#task = task;
    this.#attempts = 0;
    this.#outageMs = null;
    try {
      if (this.#socket?.readyState === WebSocket.OPEN) this.#ask();
      else this.#dial();
      return await task.result;
    } finally {
      this.#task = null;
      clearTimeout(this.#retry);
      if (this.#leaving) this.close();
    }
  }

  /** Asks the server to end the answer; `receive` resolves when it has. */
  stop() {
    const task = this.#task;
    if (!task) return;
    task.answer.stopped = true;
    if (task.answer.streamId) this.#cancel();
    else if (!task.offered) task.resolve({ finishReason: "cancelled", usage: null });
  }

  /** Tries again at once, because the network may be back; nothing if no attempt is waited for. */
  hurry() {
    if (!this.#task || this.#retry === null) return;
    clearTimeout(this.#retry);
    this.#dial();
  }

  close() {
    this.#drop();
  }

  #send(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #cancel() {
    this.#send({ type: "cancel", stream_id: this.#task.answer.streamId });
  }

  // The socket

  async #dial() {
    const task = this.#task;
    this.#retry = null;
    task.listener.link("connecting");
    try {
      const signal = AbortSignal.timeout(OPEN_TIMEOUT_MS);
      const { ticket } = await call("/v1/stream/tickets", this.#key, { method: "POST", signal });
      if (this.#task === task) this.#open(ticket);
    } catch (error) {
      if (this.#task !== task) return;
      const away = !(error instanceof Problem) || AWAY.has(error.code);
      if (away && this.#wasAsked) this.#later(ABNORMAL, error.retryAfterMs ?? 0);
      else task.reject(error instanceof Problem ? error : new Problem("server_unreachable"));
    }
  }

  #open(ticket) {
    const url = new URL("/v1/stream", location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    url.hash = "";
    const socket = new WebSocket(url, [SUBPROTOCOL, `ticket.${ticket}`]);
    this.#socket = socket;
    this.#leaving = false;
    this.#refusal = null;
    this.#openedMs = this.#heardMs = performance.now();
    this.#heartbeatMs = HEARTBEAT_MS;
    const giveUp = setTimeout(() => this.#lose(socket, ABNORMAL), OPEN_TIMEOUT_MS);
    socket.onopen = () => clearTimeout(giveUp);
    socket.onmessage = (event) => {
      if (this.#socket !== socket) return;
      this.#heardMs = performance.now();
      this.#take(JSON.parse(event.data));
    };
    socket.onclose = (event) => {
      clearTimeout(giveUp);
      this.#lose(socket, event.code, event.reason);
    };
    this.#watchdog = setInterval(() => {
      const silent_ms = performance.now() - this.#heardMs;
      if (silent_ms > 2 * this.#heartbeatMs + GRACE_MS) this.#lose(socket, HEARTBEAT_LOST);
    }, GRACE_MS);
  }

  /** Lets go of the socket; nothing of it is listened to any more. */
  #drop() {
    clearInterval(this.#watchdog);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
  }

  #lose(socket, code, reason = "") {
    if (this.#socket !== socket) return;
    this.#drop();
    const task = this.#task;
    if (!task) return;
    if (performance.now() - this.#openedMs >= STABLE_MS) this.#forgive();
    task.live = false;
    const final = OWN_FAULT.has(code) || (code >= 4000 && code < 4100);
    if (!final && this.#wasAsked) {
      this.#later(code);
      return;
    }
    const detail = reason || (code === ABNORMAL ? "" : `WebSocket ${code}`);
    const otherwise = final ? "other" : "server_unreachable";
    task.reject(this.#refusal ?? new Problem(CLOSE_CODES[code] ?? otherwise, { detail }));
  }

  /** Whether the server may have begun, so that it is worth coming back. */
  get #wasAsked() {
    return this.#task.offered || this.#task.answer.streamId !== null;
  }

  /** Comes back after a while; gives up when things have gone wrong for too long. */
  #later(code, leastMs = 0) {
    const now = performance.now();
    this.#outageMs ??= now;
    if (now - this.#outageMs > OUTAGE_MS_MAX) {
      this.#task.reject(new Problem("connection_lost"));
      return;
    }
    const wait_ms = Math.max(delayMs(code, this.#attempts), leastMs, this.#notBeforeMs - now);
    this.#attempts += 1;
    this.#retry = setTimeout(() => this.#dial(), wait_ms);
    this.#task.listener.link("lost", wait_ms);
  }

  #forgive() {
    this.#attempts = 0;
    this.#outageMs = null;
  }

  // Frames

  #take(frame) {
    const task = this.#task;
    if (frame.type === "ready") {
      if (frame.heartbeat_s) this.#heartbeatMs = frame.heartbeat_s * 1000;
      this.#send({ type: "hello", version: 1, caps: ["coalesce", "hb"] });
      if (task) this.#ask();
    } else if (frame.type === "going_away") {
      this.#leaving = true;
      this.#notBeforeMs = performance.now() + (frame.reconnect_after_ms ?? 0);
      if (!task) this.close();
    } else if (frame.type === "error" && !frame.done) {
      this.#refuse(frame);
    } else if (task && frame.type === "started") {
      if (String(frame.ref) === task.ref) this.#started(frame, task);
    } else if (task?.answer.streamId && frame.stream_id === task.answer.streamId) {
      this.#takeRecord(frame, task);
    }
  }

  /** Asks for the answer on a connection that does not have it yet. */
  #ask() {
    const { answer, request, ref } = this.#task;
    this.#task.gaps = 0;
    this.#task.listener.link("connected");
    if (answer.streamId) {
      if (answer.stopped) this.#cancel();
      this.#resume();
    } else {
      this.#task.offered = true;
      this.#task.listener.waiting(null);
      this.#send({ type: "create", ref, idempotency_key: answer.idempotencyKey, request });
    }
  }

  #resume() {
    const { answer, ref } = this.#task;
    const { streamId, epoch, after } = answer;
    this.#task.live = false;
    this.#send({ type: "resume", ref, stream_id: streamId, epoch, after });
  }

  /** Asks again at what the page has; the connection must let go of the stream before. */
  #askAnew() {
    this.#send({ type: "detach", stream_id: this.#task.answer.streamId });
    this.#resume();
  }

  #started(frame, { answer, listener }) {
    answer.streamId = frame.stream_id;
    answer.epoch = frame.epoch;
    this.#task.live = true;
    listener.changed();
    if (answer.stopped) this.#cancel();
  }

  /** Takes an error that ends no stream: of this request, or of the connection. */
  #refuse(frame) {
    const task = this.#task;
    const problem = problemOf(frame);
    if (!task || String(frame.ref) !== task.ref) {
      if (frame.ref === undefined && !frame.stream_id) this.#refusal = problem;
      return;
    }
    const passes = frame.error?.retryable && task.answer.streamId;
    if (frame.error?.code !== "server_draining" && !passes) {
      task.reject(problem);
      return;
    }
    this.#drop();
    this.#later(ABNORMAL, frame.retry_after_ms ?? 0);
  }

  #takeRecord(frame, task) {
    const { answer, listener } = task;
    if (frame.type === "queued") listener.waiting(frame.position);
    else if (frame.type === "resumed") task.live = frame.epoch === answer.epoch;
    else if (frame.type === "reset") this.#reset(frame, task);
    else if (frame.type === "snapshot") this.#snapshot(frame, task);
    else if (frame.type === "caught_up") {
      if (task.live) listener.caughtUp();
    } else if (["chunk", "done", "error"].includes(frame.type) && task.live) {
      const fit = answer.fit(frame);
      if (fit === "gap") this.#mend(task);
      else if (fit === "next") this.#apply(frame, task);
    }
  }

  #mend(task) {
    task.gaps += 1;
    if (task.gaps <= GAPS_MAX) this.#askAnew();
    else this.#lose(this.#socket, ABNORMAL);
  }

  #reset(frame, task) {
    const { answer, listener } = task;
    if (frame.epoch <= answer.epoch) return;
    answer.rewind(frame.epoch, frame.keep_through);
    task.live = true;
    listener.rewound();
    listener.changed();
    // Of a merged chunk that was cut through nothing is left: less than the server counts on.
    if (answer.after < frame.keep_through) this.#askAnew();
  }

  #snapshot(frame, { answer, listener, resolve, reject }) {
    const message = frame.message ?? {};
    answer.epoch = frame.epoch;
    answer.text = `${message.content ?? ""}${message.refusal ?? ""}`;
    answer.reasoning = message.reasoning_content ?? message.reasoning ?? "";
    answer.steps = [[frame.through, answer.text.length, answer.reasoning.length]];
    listener.rewound();
    if (frame.error) reject(problemOf(frame));
    else resolve({ finishReason: frame.finish_reason, usage: frame.usage });
  }

  #apply(frame, task) {
    this.#forgive();
    task.gaps = 0;
    if (frame.type === "error") {
      task.reject(problemOf(frame));
      return;
    }
    if (frame.type === "done") {
      task.resolve({ finishReason: frame.finish_reason, usage: frame.usage });
      return;
    }
    const delta = frame.choices?.[0]?.delta ?? {};
    const reasoning = delta.reasoning_content ?? delta.reasoning ?? "";
    const text = `${delta.content ?? ""}${delta.refusal ?? ""}`;
    task.answer.model ||= frame.model ?? "";
    task.answer.apply(frame.seq, text, reasoning);
    task.listener.chunk(text, reasoning);
  }
}

// Why no ticket came, though one may come later.
const AWAY = new Set([
  "server_unreachable",
  "server_draining",
  "server_overloaded",
  "rate_limit_exceeded",
  "internal_error",
]);

function problemOf(frame) {
  return new Problem(frame.error?.code ?? "other", {
    detail: frame.error?.message ?? "",
    requestId: frame.stream_id ?? "",
    retryAfterMs: frame.retry_after_ms ?? null,
  });
}
