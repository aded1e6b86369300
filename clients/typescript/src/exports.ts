// What both entries have.

export { Answer, Choice } from "./answer.js";
export type { Position, SavedStream, Step, ToolCall, ToolCallDelta } from "./answer.js";
export { keyFault } from "./api-key.js";
export type { Chunk, StreamEvents, StreamResult } from "./chunks.js";
export type { ClientEvents, ClientOptions, ConnectionState } from "./client-options.js";
export * from "./errors.js";
export type { ErrorInfo, JsonObject, RateLimit } from "./events.js";
export type * from "./requests.js";
export type { Socket, SocketConstructor } from "./socket.js";
export { Stream } from "./stream.js";
