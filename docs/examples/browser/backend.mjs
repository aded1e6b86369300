// Serves the page, and gets tickets for it: the only place that holds the API key.
//   TOKENFERRY_API_KEY=tf_… node backend.mjs
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";

const { TOKENFERRY_API_KEY: key, PORT = 3000, GATEWAY = "http://127.0.0.1:8000" } = process.env;
const origin = process.env.ORIGIN ?? `http://127.0.0.1:${PORT}`;

async function ticket() {
  const headers = { Authorization: `Bearer ${key}`, Origin: origin };
  const answer = await fetch(`${GATEWAY}/v1/stream/tickets`, { method: "POST", headers });
  if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
  const url = GATEWAY.replace("http", "ws") + "/v1/stream";
  return JSON.stringify({ url, ...(await answer.json()) });
}

createServer(async (request, response) => {
  try {
    // Here belongs your own check of who asks: a login, and how often.
    if (request.method === "POST" && request.url === "/ticket") {
      response.setHeader("Content-Type", "application/json").end(await ticket());
    } else if (request.url === "/") {
      const page = await readFile(new URL("page.html", import.meta.url));
      response.setHeader("Content-Type", "text/html; charset=utf-8").end(page);
    } else response.writeHead(404).end();
  } catch (error) {
    console.error(error.message);
    response.writeHead(502).end();
  }
}).listen(PORT, "127.0.0.1", () => console.log(`Open ${origin}/`));
