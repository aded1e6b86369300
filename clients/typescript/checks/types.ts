// What the types promise: compiled against the installed package, never run. A line below a
// `@ts-expect-error` must not compile.

import DefaultClient, {
  APIError,
  type Chunk,
  type ClientOptions,
  ConnectionError,
  type ConnectionState,
  type Model,
  type Position,
  RateLimitError,
  type SavedStream,
  type Stream,
  type StreamResult,
  Tokenferry,
  TokenferryError,
  WrongSchemeError,
} from "tokenferry";
import { Tokenferry as PageClient } from "tokenferry/browser";

type Same<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(_: Same<A, B>) => {};

const options: ClientOptions = { baseURL: "http://localhost:8000", apiKey: "tf_", maxRetries: 0 };
const client: Tokenferry = new DefaultClient(options);
const page = new PageClient({ ticket: async () => "t", fetch: (url, given) => fetch(url, given) });
// @ts-expect-error -- an option that there is not
new Tokenferry({ key: "tf_" });
// @ts-expect-error -- a request without messages
client.stream({ model: "demo" });
// @ts-expect-error -- a role that there is not
client.stream({ model: "demo", messages: [{ role: "robot", content: "" }] });
// @ts-expect-error -- an event that there is not
client.on("connected", () => {});

const stream = client.stream(
  { model: "demo", messages: [{ role: "user", content: "?" }], some_providers_own: 1 },
  {
    signal: AbortSignal.timeout(1),
    idempotencyKey: "k",
    recovery: "continue",
    onDisconnect: "cancel",
  },
);
same<typeof stream, Stream>(true);
same<Awaited<ReturnType<typeof stream.final>>, StreamResult>(true);
same<Awaited<ReturnType<typeof stream.text>>, string>(true);
same<typeof stream.position, Position | null>(true);
same<typeof stream.id, string | null>(true);
same<Awaited<ReturnType<typeof client.models.list>>, Model[]>(true);
same<ReturnType<typeof page.follow>, Stream>(true);

stream.on("queued", ({ position, etaS }) =>
  same<typeof etaS, number | null>(position >= 0 || true),
);
const off: () => void = client.on("connection", (state: ConnectionState) => {
  if (state.status === "reconnecting") same<typeof state.waitMs, number>(true);
  // @ts-expect-error -- only while it comes back
  else state.waitMs;
});
off();

const read = async (): Promise<void> => {
  for await (const chunk of stream) {
    same<typeof chunk, Chunk>(true);
    same<typeof chunk.replaces, "reset" | "snapshot" | null>(true);
    // @ts-expect-error -- chunks are as they came
    chunk.text = "";
  }
};
void read().catch((error: unknown) => {
  if (error instanceof RateLimitError) same<typeof error.retryAfterMs, number | null>(true);
  else if (error instanceof APIError) same<typeof error.requestId, string | null>(true);
  else if (error instanceof WrongSchemeError)
    same<typeof error.kind, ConnectionError["kind"]>(true);
  else if (error instanceof TokenferryError) same<typeof error.code, string>(true);
});
const saved: SavedStream | null = stream.toJSON();
if (saved) client.resume(saved);
client.resume({ streamId: "st_1", epoch: 1, seq: 0 });
