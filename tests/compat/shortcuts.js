// The shortcuts that people write with the `ws` package, one a function; see shortcuts.py.
// Usage: node shortcuts.js URL KEY MODEL SHORTCUT PROMPT… (each prompt on the same connection)
'use strict';
const WebSocket = require('ws');
const [url, key, model, shortcut, ...prompts] = process.argv.slice(2);

// Each takes a parsed frame and the text so far, and returns [text, whether the answer is over].
const SHORTCUTS = {
  // No check of anything: a null or absent content would show up as text.
  done: (frame, text) => [text + frame.choices[0].delta.content, frame.done],
  finishReason: (frame, text) => [
    text + frame.choices[0].delta.content,
    frame.choices[0].finish_reason !== null,
  ],
  destructured: ({ choices: [{ delta: { content }, finish_reason }], done }, text) => [
    text.concat(content),
    done || finish_reason,
  ],
  usage: (frame, text) => {
    const over = Boolean(frame.choices[0].finish_reason);
    if (over && !(frame.usage.total_tokens > 0)) throw new Error('no usage in the last frame');
    return [`${text}${frame.choices[0].delta.content}`, over];
  },
};

const step = SHORTCUTS[shortcut];
const socket = new WebSocket(url, { headers: { Authorization: `Bearer ${key}` } });
let text = '';
let asked = 0;

function ask() {
  text = '';
  const messages = [{ role: 'user', content: prompts[asked] }];
  asked += 1;
  socket.send(JSON.stringify({ model, messages, stream: true }));
}

socket.on('open', ask);
socket.on('message', (data) => {
  let over;
  [text, over] = step(JSON.parse(data), text);
  if (!over) return;
  console.log(text);
  if (asked < prompts.length) {
    ask();
  } else {
    console.log(`answers=${asked}`);
    socket.close();
  }
});
socket.on('error', (error) => {
  console.error(error.message);
  process.exit(1);
});
