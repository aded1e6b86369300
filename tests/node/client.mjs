// The TypeScript client on a real socket. Run by tests/integration/test_typescript_client.py:
//   node client.mjs DIST_DIRECTORY URL KEY MODEL PROMPT
// Prints each event as one line of JSON; the test decides whether it is right. A line on stdin
// cancels the stream.
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import WebSocket from 'ws';

const [dist, url, key, model, prompt] = process.argv.slice(2);
const { Client } = await import(new URL('index.js', pathToFileURL(`${dist}/`)));

const client = new Client({ url, key, WebSocket });
const stream = client.stream({ model, messages: [{ role: 'user', content: prompt }] });
const input = createInterface({ input: process.stdin });
input.once('line', () => stream.cancel());
for await (const event of stream) console.log(JSON.stringify(event));
console.log(JSON.stringify({ type: 'end', text: stream.text, streamId: stream.streamId }));
client.close();
input.close();
