// The plain page: a key, a model, a question, and the answer as it is written. All text from the
// server goes into text nodes, never into HTML.

import { Connection, fetchModels, Problem } from "./stream.js";
import { TEXTS, textOf } from "./texts.js";

const element = (id) => document.getElementById(id);
const [key, model, message, transcript, turns] = ["key", "model", "message", "transcript", "turns"].map(element);

const MODELS_DELAY_MS = 400; // after the last change of the key
const REATTACH_PX = 32;
// Some systems let the Enter that ended a composition break the line as well.
const ECHO_MS = 80;
const ENTER_IS_NEWLINE = matchMedia("(hover: none) and (pointer: coarse)").matches;
const HANGUL = /[\u1100-\u11ff\u3130-\u318f\uac00-\ud7a3]/;
const HANGUL_AT_END = /[\u1100-\u11ff\u3130-\u318f\uac00-\ud7a3]$/;

const state = {
  language: navigator.language.toLowerCase().startsWith("ko") ? "ko" : "en",
  status: () => "",
  problem: null,
  messages: [],
  connection: null,
  busy: false,
  following: true,
};

// Storage: this tab only, and never fatal where a browser forbids it.

function recall(name) {
  try {
    return sessionStorage.getItem(`tokenferry.${name}`) ?? "";
  } catch {
    return "";
  }
}

function remember(name, value) {
  try {
    sessionStorage.setItem(`tokenferry.${name}`, value);
  } catch {
    return; // the value is still in the page
  }
}

// Words

const say = (name, values) => textOf(state.language, name, values);

function showLanguage() {
  const other = state.language === "ko" ? "en" : "ko";
  document.documentElement.lang = state.language;
  element("language").lang = other;
  element("language").textContent = { en: "English", ko: "한국어" }[other];
  for (const node of document.querySelectorAll("[data-text]")) {
    node.textContent = say(node.dataset.text);
  }
  message.placeholder = say(message.dataset.placeholder);
  transcript.setAttribute("aria-label", say(transcript.dataset.label));
  element("status").textContent = state.status();
  showProblem(state.problem);
}

/** Shows a status; the function is called again when the language changes. */
function showStatus(words) {
  state.status = words;
  element("status").textContent = words();
}

function showProblem(problem) {
  state.problem = problem;
  element("problem").hidden = !problem;
  element("problem-text").textContent = problem ? remedyOf(problem) : "";
  element("problem-detail").textContent = problem
    ? [problem.detail, problem.requestId && say("requestId", { id: problem.requestId })]
        .filter(Boolean)
        .join(" · ")
    : "";
}

function remedyOf(problem) {
  if (problem.code === "rate_limit_exceeded" && problem.retryAfterMs !== null) {
    return say("rate_limited_for", { s: Math.ceil(problem.retryAfterMs / 1000) });
  }
  const known = Object.hasOwn(TEXTS.en, problem.code) ? problem.code : "other";
  return say(known, { model: problem.model });
}

// Key and models

let modelsRequest = new AbortController();
let modelsTimer = 0;

async function loadModels() {
  clearTimeout(modelsTimer);
  modelsRequest.abort();
  modelsRequest = new AbortController();
  const { signal } = modelsRequest;
  const value = key.value.trim();
  remember("key", value);
  model.replaceChildren();
  model.disabled = true;
  showProblem(null);
  if (!value) {
    showStatus(() => say("needsKey"));
    return;
  }
  showStatus(() => say("loading"));
  try {
    const names = await fetchModels(value, signal);
    if (!signal.aborted) showModels(names);
  } catch (error) {
    if (signal.aborted) return;
    showStatus(() => "");
    showProblem(asProblem(error));
  }
}

function showModels(names) {
  model.replaceChildren(...names.map((name) => new Option(name, name)));
  model.disabled = names.length === 0;
  const preferred = [recall("model"), "demo"].find((name) => names.includes(name));
  if (preferred) model.value = preferred;
  showStatus(() => say("ready", { count: names.length }));
}

function asProblem(error) {
  return error instanceof Problem ? error : new Problem("other", { detail: String(error) });
}

// Conversation

function addTurn(kind, who) {
  const turn = document.createElement("li");
  turn.className = `turn ${kind}`;
  const name = document.createElement("p");
  name.className = "who";
  if (who) name.textContent = who;
  else {
    name.dataset.text = "you";
    name.textContent = say("you");
  }
  const body = document.createElement("div");
  body.className = "text";
  body.lang = ""; // not known to be the page's own language
  turn.append(name, body);
  turns.append(turn);
  return { turn, body };
}

function append(body, text) {
  if (body.lastChild) body.lastChild.appendData(text);
  else body.append(text);
  if (body.lang !== "ko" && HANGUL.test(text)) body.lang = "ko";
}

function addReasoning(turn, body) {
  const details = document.createElement("details");
  const summary = document.createElement("summary");
  summary.dataset.text = "reasoning";
  summary.textContent = say("reasoning");
  const text = document.createElement("div");
  text.className = "text";
  text.lang = "";
  details.append(summary, text);
  turn.insertBefore(details, body);
  return text;
}

function showBusy(busy) {
  state.busy = busy;
  const hadFocus = document.activeElement === element("send");
  element("send").hidden = busy;
  element("stop").hidden = !busy;
  element("stop").disabled = false;
  element("restart").disabled = busy || state.messages.length === 0;
  element("empty").hidden = turns.childElementCount > 0;
  if (hadFocus && !ENTER_IS_NEWLINE) message.focus();
}

function connectionFor(value) {
  if (state.connection?.key !== value) {
    state.connection?.close();
    state.connection = new Connection(value);
  }
  return state.connection;
}

async function send() {
  const content = message.value.trim();
  if (state.busy || !content) return;
  const value = key.value.trim();
  if (!value) {
    showProblem(new Problem("missing_api_key"));
    key.focus();
    return;
  }
  if (!model.value) {
    await loadModels();
    if (!model.value || state.busy) return;
  }
  message.value = "";
  state.messages.push({ role: "user", content });
  const question = addTurn("question");
  append(question.body, content);
  const received = await receive(connectionFor(value), model.value);
  if (received) {
    state.messages.push({ role: "assistant", content: received });
  } else {
    // Nothing came: the question goes back to where it can be sent again.
    state.messages.pop();
    question.turn.remove();
    message.value ||= content;
  }
  showBusy(false);
}

/** Asks and shows what comes; returns the answer's text, also of one that did not end well. */
async function receive(connection, name) {
  const { turn, body } = addTurn("answer", name);
  const started = performance.now();
  let first = null;
  let thoughts = null;
  const take = (target, text) => {
    if (first === null) {
      first = performance.now();
      showStatus(() => say("answering"));
    }
    append(target, text);
  };
  turn.setAttribute("aria-busy", "true");
  showBusy(true);
  showProblem(null);
  showStatus(() => say("connecting"));
  follow();
  try {
    const request = { model: name, messages: state.messages, stream: true };
    const result = await connection.ask(request, {
      waiting: (ahead) =>
        showStatus(() => (ahead === null ? say("waiting") : say("queued", { ahead }))),
      text: (text) => take(body, text),
      reasoning: (text) => take((thoughts ??= addReasoning(turn, body)), text),
    });
    const ended = performance.now();
    showStatus(() => summary(result, first && first - started, ended - started));
  } catch (error) {
    showStatus(() => say("failed"));
    showProblem(Object.assign(asProblem(error), { model: name }));
  }
  turn.setAttribute("aria-busy", "false");
  if (!body.textContent && !thoughts) turn.remove();
  return body.textContent;
}

const ENDINGS = { cancelled: "stopped", length: "cut", content_filter: "filtered" };

function summary({ finishReason, usage }, firstMs, totalMs) {
  const parts = [say(ENDINGS[finishReason] ?? "done")];
  if (usage) {
    const name = usage.estimated ? "tokensEstimated" : "tokens";
    parts.push(say(name, { count: usage.completion_tokens }));
  }
  if (firstMs !== null) parts.push(say("firstToken", { ms: Math.round(firstMs) }));
  parts.push(say("total", { s: totalMs / 1000 }));
  return parts.join(" · ");
}

// Scrolling: any way up detaches; the way down to the end, or the button, attaches again.

function follow() {
  state.following = true;
  transcript.scrollTop = transcript.scrollHeight;
  element("latest").hidden = true;
}

let lastTop = 0;

transcript.addEventListener("scroll", () => {
  const top = transcript.scrollTop;
  const left_px = transcript.scrollHeight - transcript.clientHeight - top;
  if (top < lastTop && left_px > 1) state.following = false;
  else if (top > lastTop && left_px <= REATTACH_PX) state.following = true;
  lastTop = top;
  element("latest").hidden = state.following;
});

const sizes = new ResizeObserver(() => {
  if (state.following) follow();
});
sizes.observe(turns);
sizes.observe(transcript);

// Enter, also of a Korean input method: the Enter that ends a Hangul composition sends, once, and
// after the last syllable is in the field. For other scripts it only ends the composition.

let composed = "";
let sendOnEnd = false;
let deafUntil = 0;

message.addEventListener("compositionstart", () => {
  composed = "";
  sendOnEnd = false;
});

message.addEventListener("compositionupdate", (event) => {
  composed = event.data;
});

message.addEventListener("compositionend", (event) => {
  composed = event.data;
  if (sendOnEnd) sendSoon();
  sendOnEnd = false;
});

message.addEventListener("keydown", (event) => {
  const isEnter = [event.key, event.code].some((name) => name === "Enter" || name === "NumpadEnter");
  if (!isEnter || event.shiftKey || event.ctrlKey || event.altKey || event.metaKey || ENTER_IS_NEWLINE) {
    sendOnEnd = false;
    return;
  }
  if (event.isComposing) {
    sendOnEnd = HANGUL_AT_END.test(composed);
    return;
  }
  event.preventDefault();
  if (event.keyCode !== 229) send();
  // Safari reports the end of the composition before the key that caused it.
  else if (HANGUL_AT_END.test(composed)) sendSoon();
});

message.addEventListener("beforeinput", (event) => {
  const breaks = event.inputType === "insertLineBreak" || event.inputType === "insertParagraph";
  if (breaks && event.timeStamp < deafUntil) event.preventDefault();
});

/** Sends when the field holds the whole composition, and keeps its Enter from breaking the line. */
function sendSoon() {
  composed = "";
  deafUntil = performance.now() + ECHO_MS;
  setTimeout(send, 0);
}

// Wiring

element("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});

element("stop").addEventListener("click", () => {
  if (!ENTER_IS_NEWLINE) message.focus(); // before the button can have the focus no more
  element("stop").disabled = true;
  showStatus(() => say("stopping"));
  state.connection?.stop();
});

element("restart").addEventListener("click", () => {
  state.messages = [];
  turns.replaceChildren();
  showProblem(null);
  showStatus(() => "");
  showBusy(false);
  message.focus();
});

element("latest").addEventListener("click", follow);

element("language").addEventListener("click", () => {
  state.language = state.language === "ko" ? "en" : "ko";
  remember("language", state.language);
  showLanguage();
});

element("access").addEventListener("submit", (event) => {
  event.preventDefault();
  loadModels();
});

key.addEventListener("input", () => {
  clearTimeout(modelsTimer);
  modelsTimer = setTimeout(loadModels, MODELS_DELAY_MS);
});

model.addEventListener("change", () => remember("model", model.value));

if (Object.hasOwn(TEXTS, recall("language"))) state.language = recall("language");
key.value ||= recall("key");
showLanguage();
loadModels();
