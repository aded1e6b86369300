export { Client, Stream } from "./client.js";
export type { ClientOptions, Socket, SocketConstructor } from "./client.js";
export type {
  Chunk,
  Done,
  ErrorInfo,
  Failed,
  JsonObject,
  Rewind,
  Snapshot,
  Started,
  StreamEvent,
} from "./events.js";
export type { LinkOptions } from "./link.js";
