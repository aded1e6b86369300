// The TypeScript client on real sockets, at the end of a line of JSON: each line on stdin is a command with an
// `id`, each line on stdout what came of one. Run by tests/integration/test_typescript_client.py:
//   node tokenferry.mjs DIST_DIRECTORY
// The test decides whether it is right. Delays that are drawn are the shortest there are.
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import WebSocket from 'ws';

const load = (name) => import(new URL(`${name}.js`, pathToFileURL(`${process.argv[2]}/`)));
const entries = { node: await load('node'), browser: await load('browser') };
Math.random = () => 0;
// Time runs faster for the client: what takes it seconds to notice is noticed in a fraction of that.
const SPEED = 4;
const [now, later] = [performance.now.bind(performance), globalThis.setTimeout];
performance.now = () => now() * SPEED;
globalThis.setTimeout = (callback, delayMs, ...given) => later(callback, delayMs / SPEED, ...given);

let receivedBytes = 0;
const tickets = [];
const sent = []; // on connections with tickets
/** A WebSocket that keeps account of what goes through it. */
class Counted extends WebSocket {
  constructor(url, protocols, options) {
    super(url, protocols, options);
    this.ticket = protocols.find((name) => name.startsWith('ticket.'));
    if (this.ticket) tickets.push(this.ticket);
    this.on('message', (data) => (receivedBytes += data.length));
  }

  send(text) {
    if (this.ticket) sent.push(JSON.parse(text).type);
    super.send(text);
  }
}

/** Returns what a browser does for a page: each request has the page's origin. */
function page({ baseURL, apiKey, badTickets: bad }) {
  const origin = `http://${new URL(baseURL).host}`;
  const fetchAsPage = (url, options) =>
    fetch(url, { ...options, headers: { ...options.headers, Origin: origin } });
  class Socket extends Counted {
    constructor(url, protocols) {
      super(url, protocols, { origin });
    }
  }
  let left = bad;
  const ticket = async () => {
    if (left-- > 0) return 'bad';
    const headers = { Authorization: `Bearer ${apiKey}` };
    const answer = await fetchAsPage(`${origin}/v1/stream/tickets`, { method: 'POST', headers });
    return (await answer.json()).ticket;
  };
  return { WebSocket: Socket, fetch: fetchAsPage, ...(bad !== undefined && { ticket }) };
}

const clients = new Map();
const streams = new Map();
const signals = new Map();
const say = (id, type, values = {}) => console.log(JSON.stringify({ id, type, ...values }));

function sayError(id, error) {
  const { name, code, kind, status, message, requestId, retryAfterMs, limit } = error;
  say(id, 'error', { name, code, kind, status, message, requestId, retryAfterMs, limit });
}

/** Tells what happens to a stream, and reads it unless it is to be held back. */
function watch(id, client, stream, { held = false } = {}) {
  streams.set(id, stream);
  for (const name of ['started', 'queued', 'waiting', 'reconnecting', 'caughtUp']) {
    stream.on(name, (value) => say(id, name, { ...value, error: value.error?.name }));
  }
  if (!held) void read(id);
}

async function read(id) {
  const stream = streams.get(id);
  try {
    for await (const { text, seq, replaces } of stream) say(id, 'chunk', { text, seq, replaces });
    const { streamId, text, finishReason, usage, cost } = await stream.final();
    say(id, 'end', { streamId, text, finishReason, usage, cost });
  } catch (error) {
    sayError(id, error);
  }
}

const commands = {
  open({ id, options: { entry = 'node', ...options } }) {
    const { Tokenferry } = entries[entry];
    const more = entry === 'browser' ? page(options) : { WebSocket: Counted };
    const client = new Tokenferry({ ...options, ...more });
    client.on('connection', ({ status }) => say(id, status));
    clients.set(id, client);
  },
  stream({ id, client, model, prompt, options = {}, held }) {
    const stop = new AbortController();
    signals.set(id, stop);
    const request = { model, messages: [{ role: 'user', content: prompt }] };
    watch(id, client, clients.get(client).stream(request, { ...options, signal: stop.signal }), { held });
  },
  follow: ({ id, client, streamId }) => watch(id, client, clients.get(client).follow(streamId)),
  resume: ({ id, client, of }) => watch(id, client, clients.get(client).resume(JSON.parse(JSON.stringify(streams.get(of))))),
  read: ({ of }) => read(of),
  async cancel({ id, of }) {
    await streams.get(of).cancel();
    say(id, 'cancelled');
  },
  abort: ({ of }) => signals.get(of).abort(),
  detach: ({ of }) => streams.get(of).detach(),
  async models({ id, client }) {
    say(id, 'models', { ids: (await clients.get(client).models.list()).map((model) => model.id) });
  },
  held({ id, of }) {
    const { paused, bufferedBytes } = streams.get(of);
    say(id, 'held', { paused, bufferedBytes, receivedBytes, tickets, sent });
  },
  close: ({ client }) => clients.get(client).close(),
};

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  try {
    void Promise.resolve(commands[command.do](command)).catch((error) => sayError(command.id, error));
  } catch (error) {
    sayError(command.id, error);
  }
}
for (const client of clients.values()) client.close();
