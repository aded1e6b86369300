// The official openai SDK for Node with baseURL alone. Run by tests/integration/test_sdk_node.py:
//   node sdk.mjs BASE_URL KEY SCENARIO [MODEL PROMPT]
// Prints one JSON object; the test decides whether it is right.
import OpenAI from 'openai';

const [baseURL, apiKey, scenario, model = 'demo', prompt = '안녕하세요'] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey });
const messages = [{ role: 'user', content: prompt }];
const tools = [{
  type: 'function',
  function: {
    name: 'weather',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  },
}];

async function failure(promise) {
  try {
    await promise;
    return { name: null };
  } catch (error) {
    const { status, code, param, requestID } = error;
    return { name: error.constructor.name, status, code, param, requestID };
  }
}

const scenarios = {
  async stream() {
    const stream = await client.chat.completions.create({
      model, messages, stream: true, stream_options: { include_usage: true },
    });
    let text = '';
    let finish = null;
    let usage = null;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta?.content ?? '';
      finish = chunk.choices[0]?.finish_reason ?? finish;
      usage = chunk.usage ?? usage;
    }
    return { text, finish, usage };
  },
  async whole() {
    const { data, response } = await client.chat.completions
      .create({ model, messages }).withResponse();
    const requestId = response.headers.get('x-request-id');
    return { text: data.choices[0].message.content, usage: data.usage, requestId };
  },
  async tools() {
    const runner = client.chat.completions.stream({ model, messages, tools });
    const message = await runner.finalMessage();
    return { calls: message.tool_calls.map((call) => call.function) };
  },
  async parse() {
    const completion = await client.chat.completions.parse({
      model,
      messages,
      response_format: {
        type: 'json_schema',
        json_schema: {
          name: 'city',
          strict: true,
          schema: {
            type: 'object',
            properties: { city: { type: 'string' } },
            required: ['city'],
            additionalProperties: false,
          },
        },
      },
    });
    return { parsed: completion.choices[0].message.parsed };
  },
  async cut() {
    const stream = await client.chat.completions.create({ model, messages, stream: true });
    let text = '';
    const error = await failure((async () => {
      for await (const chunk of stream) text += chunk.choices[0]?.delta?.content ?? '';
    })());
    return { text, error };
  },
  async errors() {
    const wrong = new OpenAI({ baseURL, apiKey: 'sk-wrong' });
    return {
      bad: await failure(client.chat.completions.create({ model, messages: [] })),
      missing: await failure(client.chat.completions.create({ model: 'nope', messages })),
      refused: await failure(wrong.chat.completions.create({ model, messages })),
    };
  },
  async limited() {
    // More at once than the limit lets through; each try is told of as it is seen from outside.
    const count = Number(prompt);
    const tries = Array.from({ length: count }, () => []);
    const watched = new OpenAI({
      baseURL,
      apiKey,
      maxRetries: 5,
      async fetch(url, init) {
        const seen = { sent_ms: performance.now() };
        tries[Number(new Headers(init.headers).get('x-number'))].push(seen);
        const response = await fetch(url, init);
        seen.answered_ms = performance.now();
        seen.status = response.status;
        seen.wait_ms = Number(response.headers.get('retry-after-ms'));
        return response;
      },
    });
    const answers = await Promise.all(tries.map((_, number) => watched.chat.completions.create(
      { model, messages, max_tokens: 1 },
      { headers: { 'x-number': String(number) } },
    )));
    return { answers: answers.length, tries };
  },
  async failing() {
    return failure(client.chat.completions.create({ model, messages }));
  },
};

console.log(JSON.stringify(await scenarios[scenario]()));
