// What can go wrong, one class a kind:
//
//     TokenferryError
//     ├── ConfigurationError          an option that cannot be right
//     │   └── InvalidKeyError         the key does not have the form of one; nothing was sent
//     ├── AbortedError                the caller's signal
//     ├── ClientClosedError           close() came before the stream's end
//     ├── QueueFullError              too many requests wait in this client already
//     ├── ConnectionError             no connection, or none that holds; `kind` says which
//     │   ├── ConnectionRefusedError, DNSError, ConnectTimeoutError, CertificateError
//     │   ├── WrongSchemeError        TLS to a plain port, or the reverse
//     │   ├── UpgradeError            HTTP gets through and WebSocket does not
//     │   └── ConnectionLostError     it was there, and did not come back
//     └── APIError                    the gateway's answer, with `status` and `code`
//         ├── BadRequestError 400 ── PositionAheadError
//         ├── AuthenticationError 401, InsufficientCreditError 402, PermissionDeniedError 403
//         ├── NotFoundError 404, ConflictError 409, StreamExpiredError 410
//         ├── UnprocessableEntityError 422, RateLimitError 429
//         ├── UpstreamError           the provider's fault, or it was lost with the server
//         └── ServerError 5xx
//
// Source: docs/errors.md, whose table gives the status of each code; over WebSocket only the code
// comes. Weakness: a code that is newer than this client gets the status of its `type`.

import type { ErrorInfo, JsonObject } from "./events.js";

export class TokenferryError extends Error {
  /** For programs; the gateway's, or this client's own. */
  readonly code: string;

  constructor(message: string, code: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

export class ConfigurationError extends TokenferryError {
  constructor(message: string, code = "configuration") {
    super(message, code);
  }
}

export class InvalidKeyError extends ConfigurationError {
  constructor(message: string) {
    super(message, "invalid_api_key_format");
  }
}

export class AbortedError extends TokenferryError {
  constructor(reason?: unknown) {
    super("The request was aborted.", "aborted", { cause: reason });
  }
}

export class ClientClosedError extends TokenferryError {
  constructor() {
    super("The client was closed before the stream's end.", "client_closed");
  }
}

export class QueueFullError extends TokenferryError {
  constructor(most: number) {
    super(`${most} requests wait in this client already (\`queueMax\`).`, "client_queue_full");
  }
}

export type ConnectionKind =
  | "refused"
  | "dns"
  | "timeout"
  | "certificate"
  | "wrong_scheme"
  | "upgrade"
  | "lost"
  | "ticket"
  | "unknown";

export class ConnectionError extends TokenferryError {
  readonly kind: ConnectionKind;

  constructor(message: string, kind: ConnectionKind = "unknown", options?: ErrorOptions) {
    super(message, `connection_${kind}`, options);
    this.kind = kind;
  }
}

export class ConnectionRefusedError extends ConnectionError {}
export class DNSError extends ConnectionError {}
export class ConnectTimeoutError extends ConnectionError {}
export class CertificateError extends ConnectionError {}
export class WrongSchemeError extends ConnectionError {}
export class UpgradeError extends ConnectionError {}
export class ConnectionLostError extends ConnectionError {}

/** What the gateway said of an error, from a frame or an HTTP answer. */
export interface APIErrorDetails {
  readonly requestId?: string | null;
  readonly streamId?: string | null;
  readonly limit?: JsonObject | null;
  readonly usage?: JsonObject | null;
  readonly cost?: string | null;
  readonly state?: string | null;
  readonly status?: number;
}

export class APIError extends TokenferryError {
  /** That of HTTP; over WebSocket, what HTTP would have had. */
  declare readonly status: number;
  declare readonly type: string;
  /** The field at fault, as a path. */
  declare readonly param: string | null;
  /** Whether the same request may succeed later. */
  declare readonly retryable: boolean;
  /** What the operator finds it by: `x-request-id`, or the id of the connection. */
  declare readonly requestId: string | null;
  declare readonly streamId: string | null;
  declare readonly retryAfterMs: number | null;
  /** Of a stream that had begun: what it used, and what that cost. */
  declare readonly usage: JsonObject | null;
  declare readonly cost: string | null;
  /** Which limit it was: `scope`, `name` and `value`. */
  declare readonly limit: JsonObject | null;
  /** Of an expired stream: how it ended. */
  declare readonly state: string | null;

  constructor(info: ErrorInfo, details: APIErrorDetails = {}) {
    const { code, message, ...more } = info;
    super(message || code, code);
    const { status = statusOf(code, info.type) } = details;
    Object.assign(this, more, { status });
    for (const detail of DETAILS) Object.assign(this, { [detail]: details[detail] ?? null });
  }
}

const DETAILS = ["requestId", "streamId", "usage", "cost", "limit", "state"] as const;

export class BadRequestError extends APIError {}
export class PositionAheadError extends BadRequestError {}
export class AuthenticationError extends APIError {}
export class InsufficientCreditError extends APIError {}
export class PermissionDeniedError extends APIError {}
export class NotFoundError extends APIError {}
export class ConflictError extends APIError {}
export class StreamExpiredError extends APIError {}
export class UnprocessableEntityError extends APIError {}
export class RateLimitError extends APIError {}
export class UpstreamError extends APIError {}
export class ServerError extends APIError {}

type APIErrorClass = new (info: ErrorInfo, details?: APIErrorDetails) => APIError;

const OF_STATUS: Readonly<Record<number, APIErrorClass>> = {
  401: AuthenticationError,
  402: InsufficientCreditError,
  403: PermissionDeniedError,
  404: NotFoundError,
  409: ConflictError,
  410: StreamExpiredError,
  422: UnprocessableEntityError,
  429: RateLimitError,
};

/** Returns an error of the class that fits. */
export function apiError(info: ErrorInfo, details: APIErrorDetails = {}): APIError {
  const status = details.status ?? statusOf(info.code, info.type);
  if (info.code === "position_ahead") return new PositionAheadError(info, details);
  const ofProvider = TYPES[info.type || SERVER] === undefined || info.code === "upstream_lost";
  const Known = OF_STATUS[status];
  // A provider's own error keeps its status: its 429 is a rate limit all the same.
  if (ofProvider && status !== 429) return new UpstreamError(info, details);
  if (Known) return new Known(info, details);
  return status >= 500 ? new ServerError(info, details) : new BadRequestError(info, details);
}

// Those that their type does not tell; docs/errors.md. What only /api answers has its own status.
const STATUSES: Readonly<Record<string, number>> = {
  already_followed: 400,
  model_retired: 404,
  method_not_allowed: 405,
  expired: 410,
  payload_too_large: 413,
  idempotency_key_reused: 422,
  upgrade_required: 426,
  origin_not_allowed: 403,
  internal_error: 500,
  upstream_lost: 502,
  provider_timeout: 504,
};
const SERVER = "server_error";
// A type that is none of these, as `provider_error`, is a provider's.
const TYPES: Readonly<Record<string, number>> = {
  invalid_request_error: 400,
  authentication_error: 401,
  payment_error: 402,
  permission_error: 403,
  rate_limit_error: 429,
  [SERVER]: 503,
};

/** Returns the HTTP status of an error that came without one. */
export function statusOf(code: string, type: string): number {
  return STATUSES[code] ?? (code.endsWith("not_found") ? 404 : (TYPES[type] ?? (type ? 502 : 500)));
}

// Their names without "Error", which all end with. Said here and not taken from the class, whose
// name a bundler may change.
const NAMED = {
  Tokenferry: TokenferryError,
  Configuration: ConfigurationError,
  InvalidKey: InvalidKeyError,
  Abort: AbortedError, // what callers look for, as they do with fetch
  ClientClosed: ClientClosedError,
  QueueFull: QueueFullError,
  Connection: ConnectionError,
  ConnectionRefused: ConnectionRefusedError,
  DNS: DNSError,
  ConnectTimeout: ConnectTimeoutError,
  Certificate: CertificateError,
  WrongScheme: WrongSchemeError,
  Upgrade: UpgradeError,
  ConnectionLost: ConnectionLostError,
  API: APIError,
  BadRequest: BadRequestError,
  PositionAhead: PositionAheadError,
  Authentication: AuthenticationError,
  InsufficientCredit: InsufficientCreditError,
  PermissionDenied: PermissionDeniedError,
  NotFound: NotFoundError,
  Conflict: ConflictError,
  StreamExpired: StreamExpiredError,
  UnprocessableEntity: UnprocessableEntityError,
  RateLimit: RateLimitError,
  Upstream: UpstreamError,
  Server: ServerError,
};
for (const [name, { prototype }] of Object.entries(NAMED)) prototype.name = `${name}Error`;
