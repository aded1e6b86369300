// Prints an answer as it comes: `node ask.js "Your question"`.

import { RateLimitError, Tokenferry, type Chunk, type Usage } from "tokenferry";

const client = new Tokenferry();
const stream = client.stream({
  model: process.env["TOKENFERRY_MODEL"] ?? "demo",
  messages: [{ role: "user", content: process.argv[2] ?? "안녕하세요" }],
});
stream.on("queued", ({ position }) => console.error(`${position} in front`));
stream.on("waiting", ({ waitMs }) => console.error(`the key is at a limit for ${waitMs} ms`));
stream.on("reconnecting", ({ waitMs, error }) =>
  console.error(`${error.message} Again in ${waitMs} ms.`),
);

const show = (chunk: Chunk) =>
  process.stdout.write(chunk.replaces ? `\n${chunk.text}` : chunk.text);
try {
  for await (const chunk of stream) show(chunk);
  const usage: Usage | null = stream.usage;
  console.log(`\n${stream.finishReason}: ${usage?.total_tokens} tokens, ${stream.cost ?? "?"} USD`);
} catch (error) {
  if (!(error instanceof RateLimitError)) throw error;
  console.error(`Try again in ${error.retryAfterMs} ms.`);
} finally {
  client.close();
}
