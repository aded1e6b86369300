// The plain page: a key, a model, a question, and the answer as it is written. All text from the
// server goes into text nodes, never into HTML.

import { Answer, Connection, fetchModels, Problem } from "./stream.js";
import { TEXTS, textOf } from "./texts.js";

const element = (id) => document.getElementById(id);
const [key, model, message, transcript, turns] = ["key", "model", "message", "transcript", "turns"].map(element);

const MODELS_DELAY_MS = 400; // after the last change of the key
const REATTACH_PX = 32;
// A reload asks the server for the rest anyway: what is kept may be this much behind.
const KEEP_MS = 250;
const LINK = /^#follow=(st_\w{1,64})$/;
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
  answer: null,
  followed: "",
  connection: null,
  link: null,
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

let keepTimer = 0;

/** Keeps the conversation and the answer under way, for the case that the page is loaded anew. */
function keep() {
  clearTimeout(keepTimer);
  keepTimer = 0;
  const { messages, answer, followed } = state;
  remember("conversation", JSON.stringify({ messages, answer, followed }));
}

function keepSoon() {
  keepTimer ||= setTimeout(keep, KEEP_MS);
}

function kept() {
  try {
    return JSON.parse(recall("conversation")) ?? {};
  } catch {
    return {};
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
  showLink();
  showProblem(state.problem);
}

/** Shows a status; the function is called again when the language changes. */
function showStatus(words) {
  state.status = words;
  element("status").textContent = words();
}

/** Shows a text without values, unless it is there already: it is not announced again. */
function showStatusOnce(name) {
  if (element("status").textContent !== say(name)) showStatus(() => say(name));
}

const LINKS = { connected: "connected", connecting: "connecting", lost: "retryIn", gone: "gone" };
let countdown = 0;

/** Shows the connection: words beside the status, which no screen reader counts down aloud. */
function setLink(kind, waitMs = 0) {
  clearInterval(countdown);
  state.link = kind && { kind, until: performance.now() + waitMs };
  if (kind === "lost") {
    countdown = setInterval(showLink, 1000);
    showStatus(() => say("reconnecting"));
  }
  showLink();
}

function showLink() {
  const { link } = state;
  const left_s = link ? Math.max(0, Math.ceil((link.until - performance.now()) / 1000)) : 0;
  const name = LINKS[link?.kind];
  const lost = link && link.kind !== "connected";
  const offline = lost && navigator.onLine === false;
  element("connection").dataset.state = offline ? "offline" : (link?.kind ?? "");
  element("connection").textContent = link ? say(offline ? "offline" : name, { s: left_s }) : "";
  const streamId = state.answer?.streamId;
  element("link").hidden = !streamId;
  if (streamId) element("link").href = `#follow=${streamId}`;
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
const loading = () => say("loading");

async function loadModels() {
  clearTimeout(modelsTimer);
  modelsRequest.abort();
  modelsRequest = new AbortController();
  const { signal } = modelsRequest;
  const value = key.value.trim();
  remember("key", value);
  model.replaceChildren();
  model.disabled = true;
  if (!state.busy) showProblem(null);
  if (!value) {
    showStatus(() => say("needsKey"));
    return;
  }
  if (!state.busy) showStatus(loading);
  try {
    const names = await fetchModels(value, signal);
    if (signal.aborted) return;
    showModels(names);
    openLink();
  } catch (error) {
    if (signal.aborted || state.busy) return; // the answer under way has words of its own
    if (state.status === loading) showStatus(() => "");
    showProblem(asProblem(error));
  }
}

function showModels(names) {
  model.replaceChildren(...names.map((name) => new Option(name, name)));
  model.disabled = names.length === 0;
  const preferred = [recall("model"), "demo"].find((name) => names.includes(name));
  if (preferred) model.value = preferred;
  // An answer that went on meanwhile, and has ended perhaps, has said something more important.
  if (state.status === loading) showStatus(() => say("ready", { count: names.length }));
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
  element("restart").disabled = busy || turns.childElementCount === 0;
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
  forgetLink();
  if (state.answer?.text) {
    // The page had given up on it; what there is of it is part of the conversation.
    state.messages.push({ role: "assistant", content: state.answer.text });
  }
  state.messages.push({ role: "user", content });
  state.answer = new Answer({ model: model.value, begunMs: Date.now() });
  await converse(showQuestion(content));
}

function showQuestion(content) {
  const question = addTurn("question");
  append(question.body, content);
  return question;
}

/** Receives the answer and makes it part of the conversation, or takes the question back. */
async function converse(question) {
  keep(); // before anything is asked, so that a reload asks for the same answer
  const { answer, resumable } = await receive();
  if (answer.text) {
    if (!resumable) state.messages.push({ role: "assistant", content: answer.text });
  } else if (question && !resumable) {
    // Nothing came: the question goes back to where it can be sent again.
    state.messages.pop();
    question.turn.remove();
    message.value ||= question.body.textContent;
  }
  if (!resumable) state.answer = null;
  keep();
  showBusy(false);
}

/** Receives and shows the answer under way; says whether it can still be gone on with. */
async function receive() {
  const { answer } = state;
  const view = showAnswer(answer);
  const request = { model: answer.model, messages: state.messages, stream: true };
  const settled = { answer, resumable: false };
  view.turn.setAttribute("aria-busy", "true");
  showBusy(true);
  showProblem(null);
  showStatus(() => say(answer.streamId ? "resuming" : "connecting"));
  follow();
  try {
    const result = await connectionFor(key.value.trim()).receive(answer, request, {
      waiting: (ahead) =>
        showStatus(() => (ahead === null ? say("waiting") : say("queued", { ahead }))),
      chunk: (text, reasoning) => takeChunk(view, answer, text, reasoning),
      rewound: () => view.show(answer),
      changed: () => {
        keep();
        showLink();
      },
      link: setLink,
      caughtUp: () => showStatus(() => say(answer.text ? "caughtUp" : "waiting")),
    });
    const total_ms = answer.begunMs === null ? null : Date.now() - answer.begunMs;
    showStatus(() => summary(result, answer.firstMs, total_ms));
  } catch (error) {
    const problem = Object.assign(asProblem(error), { model: answer.model });
    settled.resumable = problem.code === "connection_lost";
    showStatus(() => say("failed"));
    showProblem(problem);
  }
  setLink(settled.resumable ? "gone" : null);
  view.turn.setAttribute("aria-busy", "false");
  if (!answer.text && !answer.reasoning) view.turn.remove();
  return settled;
}

function takeChunk(view, answer, text, reasoning) {
  if (text || reasoning) {
    if (answer.firstMs === null && answer.begunMs !== null) {
      answer.firstMs = Date.now() - answer.begunMs;
    }
    if (!answer.stopped) showStatusOnce("answering");
  }
  view.add(text, reasoning);
  view.name(answer.model);
  keepSoon();
}

/** Shows a turn with what there is of an answer; `show` does so again, `add` what comes. */
function showAnswer(answer) {
  const { turn, body } = addTurn("answer", answer.model || "…");
  let thoughts = null;
  const add = (text, reasoning) => {
    if (reasoning) append((thoughts ??= addReasoning(turn, body)), reasoning);
    if (text) append(body, text);
  };
  const show = ({ text, reasoning }) => {
    body.replaceChildren();
    thoughts?.replaceChildren();
    add(text, reasoning);
  };
  const name = (value) => {
    const who = turn.querySelector(".who");
    if (value && who.textContent !== value) who.textContent = value;
  };
  show(answer);
  return { turn, add, show, name };
}

// Coming back: what the tab kept, or a stream that a link names.

function restore() {
  const { messages = [], answer = null, followed = "" } = kept();
  const linked = LINK.exec(location.hash)?.[1] ?? "";
  if (linked && linked !== followed && linked !== answer?.streamId) {
    openLink();
    return;
  }
  Object.assign(state, { messages, followed });
  let question = null;
  for (const { role, content } of messages) {
    if (role === "user") question = showQuestion(content);
    else showAnswer(new Answer({ model: recall("model"), text: content }));
  }
  if (answer) {
    state.answer = new Answer(answer);
    if (key.value.trim()) converse(question);
    else showAnswer(state.answer);
  }
  showBusy(state.busy);
}

/** Follows the stream that the address names, from its beginning; waits for a key first. */
function openLink() {
  const streamId = LINK.exec(location.hash)?.[1];
  if (!streamId || state.busy || streamId === state.followed || !key.value.trim()) return;
  turns.replaceChildren();
  Object.assign(state, { messages: [], followed: streamId, answer: new Answer({ streamId }) });
  converse(null);
}

function forgetLink() {
  state.followed = "";
  if (location.hash) history.replaceState(null, "", location.pathname + location.search);
}

const ENDINGS = { cancelled: "stopped", length: "cut", content_filter: "filtered" };

function summary({ finishReason, usage }, firstMs, totalMs) {
  const parts = [say(ENDINGS[finishReason] ?? "done")];
  if (usage) {
    const name = usage.estimated ? "tokensEstimated" : "tokens";
    parts.push(say(name, { count: usage.completion_tokens }));
  }
  if (firstMs !== null) parts.push(say("firstToken", { ms: Math.round(firstMs) }));
  if (totalMs !== null) parts.push(say("total", { s: totalMs / 1000 }));
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
  forgetLink();
  Object.assign(state, { messages: [], answer: null });
  setLink(null);
  keep();
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

addEventListener("pagehide", keep);
addEventListener("hashchange", openLink);
addEventListener("offline", showLink);
for (const [target, name] of [[window, "online"], [document, "visibilitychange"]]) {
  target.addEventListener(name, () => {
    showLink();
    if (!document.hidden) state.connection?.hurry();
  });
}

if (Object.hasOwn(TEXTS, recall("language"))) state.language = recall("language");
key.value ||= recall("key");
showLanguage();
restore();
loadModels();
