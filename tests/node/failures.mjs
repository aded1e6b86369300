// How failures look with the openai and ws packages. Run by tests/integration/test_error_guides.py:
//   node failures.mjs '[{"name": "401", "host": "127.0.0.1:8000", "key": "tf_…"}, …]'
// Prints a JSON object: for each case, what each client says.
import OpenAI from 'openai';
import WebSocket from 'ws';

const request = { model: 'demo', messages: [{ role: 'user', content: 'A long answer, please.' }] };

async function overHttp({ host, key }) {
  const client = new OpenAI({ baseURL: `http://${host}/v1`, apiKey: key, maxRetries: 0 });
  try {
    const stream = await client.chat.completions.create({ ...request, stream: true });
    for await (const chunk of stream) void chunk;
    return null;
  } catch (error) {
    return `${error.constructor.name}: ${error.message}`;
  }
}

function overWebSocket({ host, key }) {
  return new Promise((resolve) => {
    const headers = { Authorization: `Bearer ${key}` };
    const socket = new WebSocket(`ws://${host}/v1/stream`, { headers });
    let said = null;
    socket.on('open', () => socket.send(JSON.stringify(request)));
    socket.on('error', (error) => { said = `${error.constructor.name}: ${error.message}`; });
    socket.on('message', (data) => {
      const frame = JSON.parse(data);
      if (frame.error) said = frame.error.message;
      if (frame.done) socket.close();
    });
    socket.on('close', (code) => resolve(said ?? `close ${code}`));
  });
}

const cases = JSON.parse(process.argv[2]);
const answers = await Promise.all(cases.map(async (one) => {
  const [openai, ws] = await Promise.all([overHttp(one), overWebSocket(one)]);
  return [one.name, { openai, ws }];
}));
console.log(JSON.stringify(Object.fromEntries(answers)));
