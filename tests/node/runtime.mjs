// What a program does with the package, in whatever runtime this is; each step says `ok`, and nothing
// keeps the process afterwards. Run by tests/integration/test_typescript_package.py, in a folder where
// the package is installed:
//   node runtime.mjs '{"url": "http://…", "relay": "http://…", "key": "tf_…", "prompt": "…", "dead": "http://…"}'
// `relay` leads to the gateway and cuts the answer to `prompt`; at `dead` nobody listens.
import { createRequire } from 'node:module';
import process from 'node:process';

import { Tokenferry } from 'tokenferry';
import { Tokenferry as PageClient } from 'tokenferry/browser';

const { url, relay, key, prompt, dead } = JSON.parse(process.argv.at(-1));
const request = (content) => ({ model: 'demo', messages: [{ role: 'user', content }] });
const opened = [];

function open(options = {}, Client = Tokenferry) {
  // Whatever is not closed keeps the process for longer than the test waits.
  const client = new Client({ baseURL: url, apiKey: key, idleMs: 1e9, ...options });
  opened.push(client);
  return client;
}

/** Returns what a request fails with. */
const fails = (options, more = {}) =>
  open({ maxRetries: 0, ...options })
    .stream({ ...request('?'), ...more })
    .text()
    .then(
      () => 'it has not failed',
      ({ name, code }) => `${name} ${code}`,
    );

function same(found, expected) {
  if (found !== expected) throw new Error(`${found}, and not ${expected}`);
}

const steps = {
  require() {
    const required = createRequire(import.meta.url)('tokenferry');
    same(required.Tokenferry, Tokenferry);
  },
  async answer() {
    const stream = open().stream(request('안녕하세요!'));
    let text = '';
    for await (const chunk of stream) text += chunk.text;
    same(text, stream.answer.text);
    same(stream.finishReason, 'stop');
  },
  async http() {
    const [model] = await open().models.list();
    same(model.id, 'demo');
  },
  async cut() {
    const client = open({ baseURL: relay });
    const stream = client.stream(request(prompt));
    let lost = 0;
    stream.on('reconnecting', () => (lost += 1));
    const text = await stream.text();
    if (lost === 0) throw new Error('the connection was never lost');
    same(await open().follow(stream.id).text(), text);
  },
  async ticket() {
    const headers = { Authorization: `Bearer ${key}` };
    const answer = () => fetch(`${url}/v1/stream/tickets`, { method: 'POST', headers });
    const ticket = async () => (await (await answer()).json()).ticket;
    same((await open({ apiKey: undefined, ticket }).stream(request('?')).text()).length > 0, true);
  },
  async page() {
    if (globalThis.WebSocket === undefined) return; // no page, then
    same((await open({}, PageClient).stream(request('?')).text()).length > 0, true);
  },
  async errors() {
    same(await fails({}, { model: 'none' }), 'NotFoundError model_not_found');
    same(await fails({ baseURL: dead }), 'ConnectionRefusedError connection_refused');
    same(await fails({ baseURL: url.replace('http:', 'https:') }), 'WrongSchemeError connection_wrong_scheme');
    const ticket = async () => 'bad';
    same(await fails({ apiKey: undefined, ticket }), 'AuthenticationError invalid_ticket');
  },
};

for (const [name, step] of Object.entries(steps)) {
  await step();
  console.log('ok', name);
}
for (const client of opened) client.close();
