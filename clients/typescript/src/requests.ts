// What is asked for, typed as far as every provider has it. Other keys of OpenAI's pass unchanged.

/** A part of a message. */
export type ContentPart =
  | { type: "text"; text: string }
  | { type: "image_url"; image_url: { url: string; detail?: "auto" | "low" | "high" } };

export type Message =
  | { role: "system" | "developer"; content: string | ContentPart[]; name?: string }
  | { role: "user"; content: string | ContentPart[]; name?: string }
  | { role: "assistant"; content?: string | null; tool_calls?: MessageToolCall[]; name?: string }
  | { role: "tool"; content: string | ContentPart[]; tool_call_id: string };

export type MessageToolCall =
  | { id: string; type: "function"; function: { name: string; arguments: string } }
  | { id: string; type: "custom"; custom: { name: string; input: string } };

export type Tool =
  | {
      type: "function";
      function: {
        name: string;
        description?: string;
        parameters?: Record<string, unknown>;
        strict?: boolean;
      };
    }
  | {
      type: "custom";
      custom: { name: string; description?: string; format?: Record<string, unknown> };
    };

export interface ChatRequest {
  model: string;
  messages: Message[];
  tools?: Tool[];
  tool_choice?: "none" | "auto" | "required" | { type: "function"; function: { name: string } };
  temperature?: number | null;
  top_p?: number | null;
  max_tokens?: number | null;
  max_completion_tokens?: number | null;
  n?: number | null;
  stop?: string | string[] | null;
  seed?: number | null;
  reasoning_effort?: string | null;
  service_tier?: string | null;
  response_format?: Record<string, unknown>;
  [key: string]: unknown;
}

export interface StreamOptions {
  /** Ends the stream at the server; reading it then throws an `AbortedError`. */
  signal?: AbortSignal;
  /** Names the request, so that repeating it starts nothing twice; made up unless given. */
  idempotencyKey?: string;
  /** Whether the stream goes on when its last reader's connection is lost; it does. */
  onDisconnect?: "continue" | "cancel";
  /** How long it goes on without a reader, at most. */
  orphanTimeoutS?: number;
  /** What becomes of it when the server's process dies: it fails, or goes on where it is. */
  recovery?: "fail" | "continue";
  /** 0: a request that is refused for a while is not repeated. */
  maxRetries?: number;
}

export interface FollowOptions {
  /** Stops following; the stream goes on. Reading it then throws an `AbortedError`. */
  signal?: AbortSignal;
}

/** OpenAI's counts. */
export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  /** A count of the gateway's own, made when the provider gave none. */
  estimated?: boolean;
  [key: string]: unknown;
}

export interface Model {
  id: string;
  object: "model";
  created: number;
  owned_by: string;
  pricing?: Record<string, unknown> | null;
  context_length?: number | null;
  max_output_tokens?: number | null;
  shutdown_date?: string | null;
  successor?: string | null;
  [key: string]: unknown;
}

/** A stream as the gateway has it. */
export interface StreamSummary {
  id: string;
  model: string;
  state: "generating" | "done" | "error" | "cancelled";
  epoch: number;
  head: number;
  finish_reason: string | null;
  usage: Usage | null;
  cost: string | null;
  error: Record<string, unknown> | null;
  created: number;
  ended: number | null;
  /** OpenAI's form; not in lists. */
  completion?: {
    choices?: { message?: Record<string, unknown>; finish_reason?: string | null }[];
  } | null;
}
