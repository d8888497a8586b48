// Entry point: the conversation, and the wiring of the components.

import { hideErrors, showError } from "./alerts.js";
import { ask, json } from "./api.js";
import { setUpCollections } from "./collections.js";
import { $, dateOf, h, icon, plural, prefersReducedMotion } from "./dom.js";
import { Library } from "./library.js";
import { isPlaying, stopPlaying } from "./player.js";
import { openDocument, setUpReader } from "./reader.js";
import { Speaker } from "./speaker.js";
import { Talk } from "./talk.js";
import { TurnView } from "./turn.js";
import { LiveWave } from "./waveform.js";

const MAX_HITS = 5; // passages shown for a spoken question
const MAX_HISTORY = 16; // earlier turns sent with a question

let turns = []; // every TurnView, oldest first
let history = []; // {question, answer}, oldest first
let revision = 0; // of the history; the voice connection reconnects when it changes
let documentCount = null; // in the library; null until known
let typedRequest = null; // AbortController of the typed question being answered
const spokenTurns = new Map(); // "session:turn" of the voice connection to TurnView
const pendingTurns = []; // TurnViews of push-to-talk without a turn number yet

// Display

function setStatus(text) {
  $("status").textContent = text;
}

function addTurn(options) {
  hideErrors();
  const turn = new TurnView(options);
  turns.push(turn);
  $("turns").append(turn.element);
  updateWelcome();
  scrollToTurn(turn);
  return turn;
}

function removeTurn(turn) {
  turns = turns.filter((other) => other !== turn);
  turn.element.remove();
  updateWelcome();
}

/** Scrolls the newest turn into view, but not past its start. */
function scrollToTurn(turn) {
  if (turn !== turns.at(-1)) return;
  const { top, bottom } = turn.element.getBoundingClientRect();
  const visibleBottom = $("composer").getBoundingClientRect().top - 20;
  const distance = Math.min(bottom - visibleBottom, top - document.querySelector(".top").offsetHeight - 20);
  if (distance > 0) scrollBy({ top: distance, behavior: prefersReducedMotion() ? "auto" : "smooth" });
}

function updateWelcome() {
  $("new-conversation").hidden = !turns.length || $("ask").hidden;
  const welcome = $("welcome");
  welcome.hidden = Boolean(turns.length) || documentCount === null;
  $("conversation").hidden = !turns.length;
  $("count").hidden = !documentCount;
  $("count").textContent = documentCount ?? "";
  if (welcome.hidden) return;
  const [title, lead, actions] = ["h1", ".lead", ".actions"].map((selector) => welcome.querySelector(selector));
  if (documentCount) {
    title.textContent = "What would you like to know?";
    lead.textContent = `Hold the microphone button and ask, or type. Answers come from the ${plural(documentCount, "file")} in your library and cite their sources.`;
    actions.replaceChildren();
    showStart();
  } else {
    $("examples").hidden = $("recent").hidden = true;
    title.textContent = "Your library is empty";
    lead.textContent = "Add recordings and documents, then ask about them with your voice. Files stay on this server.";
    actions.replaceChildren(h("button", { type: "button", class: "primary", onclick: () => $("files").click() }, icon("plus"), "Add files"));
  }
}

let startCount = null; // number of documents of the examples shown

/** Shows example questions and the newest files, again if the library has changed. */
async function showStart() {
  if (startCount === documentCount) return;
  startCount = documentCount;
  try {
    const { documents } = await json("v1/documents?sort=newest&limit=4");
    $("recent").querySelector("ul").replaceChildren(...documents.map((document) => h("li", {},
      h("button", { type: "button", class: "recent-file", onclick: () => openDocument(document) },
        icon(document.modality === "audio" ? "wave" : "page"), h("span", { class: "title" }, document.title), h("span", { class: "location" }, dateOf(document.modified))))));
    $("recent").hidden = !documents.length;
    const { questions } = await json("v1/suggestions");
    $("examples").querySelector("ul").replaceChildren(...questions.map((question) => h("li", {},
      h("button", { type: "button", class: "example", onclick: () => askTyped(question) }, question))));
    $("examples").hidden = !questions.length;
  } catch {
    startCount = null; // the page is usable without
  }
}

function updateStopButton() {
  const isAnswering = turns.some((turn) => turn.state === "answering" || turn.state === "searching");
  $("stop").hidden = !isAnswering && !speaker.isSpeaking;
  $("stop").setAttribute("aria-label", speaker.isSpeaking ? "Stop reading aloud" : "Stop the answer");
}

// Turns, typed or spoken

function showAnswer(turn, answer) {
  turn.finish(answer, documentCount === 0);
  const question = answer.question ?? turn.questionText;
  if (question) history = [...history, { question, answer: answer.found ? answer.answer : "" }].slice(-MAX_HISTORY);
  const plainText = answer.found ? answer.answer.replace(/\s*\[\d+\]/g, "") : turn.answer.textContent;
  $("announcement").textContent = `${plainText} ${answer.citations.length ? plural(new Set(answer.citations.map(({ number }) => number)).size, "source") : ""}`;
  scrollToTurn(turn);
  updateStopButton();
  if ($("read-aloud").getAttribute("aria-pressed") === "true" && answer.found) speaker.speak(answer.spoken).catch(showError);
}

/** Stops answering, speaking and playing, before the next question. */
function stopOutput() {
  typedRequest?.abort();
  speaker.stop();
  stopPlaying();
  updateStopButton();
}

async function askTyped(question, spelling = true) {
  stopOutput();
  if (talk.mode !== "hands-free") talk.interrupt();
  const turn = addTurn({ spoken: false, question });
  const request = (typedRequest = new AbortController());
  const startTime = performance.now();
  const latency = { mode: "typed" };
  setStatus("");
  updateStopButton();
  try {
    const where = $("scope").value || undefined;
    for await (const [name, data] of ask({ text: question, where, history, spelling }, request.signal)) {
      if (name === "hits") {
        latency.hits = performance.now() - startTime;
        turn.setHits(data.hits, false);
        if (data.suggestion) turn.setSuggestion(data.suggestion, () => askTyped(question, false));
      } else if (name === "delta") {
        latency.word ??= performance.now() - startTime;
        turn.append(data.text);
      } else {
        showAnswer(turn, data);
        revision += 1;
        talk.renew();
      }
      turn.setLatency(latency);
      scrollToTurn(turn);
    }
  } catch (error) {
    if (error.name === "AbortError") turn.stop();
    else turn.fail(error.message, () => {
      removeTurn(turn);
      askTyped(question, spelling);
    });
    scrollToTurn(turn);
  } finally {
    if (typedRequest === request) typedRequest = null;
    updateStopButton();
  }
}

/** Tells which words were searched in place of heard ones, with a button for the heard ones. */
function suggestSpoken(turn, { words, corrections = [] }) {
  if (!words || !corrections.length) return;
  const heard = corrections.reduce((text, { word, alternatives: [best] }) => text.replaceAll(new RegExp(best.text.replace(/[^\p{L}\d]/gu, "."), "gi"), word), words);
  if (heard !== words) turn.setSuggestion(words, () => askTyped(heard, false));
}

function turnOf(event) {
  const key = `${event.session}:${event.turn}`;
  if (!spokenTurns.has(key)) spokenTurns.set(key, pendingTurns.shift() ?? addTurn({ spoken: true }));
  return spokenTurns.get(key);
}

/** Handles an event of the voice connection; see `wavrag.live`. */
function handleEvent(event) {
  if (event.event === "speech_started" && talk.mode === "hands-free") stopOutput();
  const turn = turnOf(event);
  const latency = () => performance.now() - turn.speechEnd;
  switch (event.event) {
    case "partial_hits":
      turn.setQuestion(event.words, false);
      turn.setHits(event.hits.slice(0, MAX_HITS), true);
      break;
    case "turn_ended":
      // End of speech on the browser's clock; off by the delay of this message only.
      turn.speechEnd = performance.now() - event.after_speech_ms;
      turn.times = event.reason === "requested" && talk.releasedAt
        ? { mode: "push-to-talk", waited: talk.releasedAt - turn.speechEnd }
        : { mode: "hands-free", waited: event.after_speech_ms };
      turn.setQuestion(turn.questionText || "…", false);
      if (event.reason === "max duration") {
        talk.finish();
        setStatus("The question reached the maximum length.");
      }
      break;
    case "hits":
      turn.times.hits = latency();
      turn.setQuestion(event.words ?? turn.questionText, true);
      turn.setHits(event.hits.slice(0, MAX_HITS), false);
      turn.setLatency(turn.times);
      suggestSpoken(turn, event);
      break;
    case "answer_delta":
      turn.times.word ??= latency();
      turn.setLatency(turn.times);
      turn.append(event.text);
      break;
    case "answer":
      showAnswer(turn, event.answer);
      break;
    case "cancelled":
      if (event.stage === "answer") turn.stop();
      else removeTurn(turn);
      if (event.reason === "nothing heard" || event.reason === "too short") {
        if (talk.mode !== "hands-free") setStatus("No speech was detected. Hold the microphone button while you speak, then release it.");
      }
      break;
    case "failed":
      turn.fail(event.message, turn.questionText && (() => {
        removeTurn(turn);
        askTyped(turn.questionText);
      }));
      break;
  }
  scrollToTurn(turn);
  updateStopButton();
}

// Components

const wave = new LiveWave($("live"));
const speaker = new Speaker(() => updateStopButton());
const talk = new Talk({
  conversation: () => ({
    key: `${revision} ${$("scope").value}`,
    options: { where: $("scope").value || undefined, k: MAX_HITS, history },
  }),
  onEvent: handleEvent,
  onPeak: (peak) => wave.push(peak),
  onPress: () => {
    stopOutput();
    pendingTurns.push(addTurn({ spoken: true }));
  },
  onState: (mode) => {
    const isPushToTalk = mode === "push-to-talk";
    $("listening").hidden = mode === "off";
    wave.clear();
    $("talk").setAttribute("aria-pressed", String(isPushToTalk));
    $("talk").disabled = mode === "hands-free";
    $("hands-free").setAttribute("aria-pressed", String(mode === "hands-free"));
    document.body.dataset.mode = mode;
    setStatus({ "off": "", "push-to-talk": talk.isLatched ? "Listening. Press again to stop." : "Listening. Release to stop.", "hands-free": "Listening. Just speak." }[mode]);
  },
  onError: (error) => {
    while (pendingTurns.length) removeTurn(pendingTurns.shift());
    for (const turn of turns) if (turn.spoken && turn.state !== "done") turn.stop();
    showError(error);
    updateStopButton();
  },
});
const library = new Library({
  onCount: (count) => {
    documentCount = count;
    updateWelcome();
  },
  onScope: limitToDocument,
});

/** Limits questions to one document. */
function limitToDocument(document) {
  const value = `id = '${document.id.replaceAll("'", "''")}'`;
  let option = [...$("scope").options].find((candidate) => candidate.value === value);
  if (!option) $("scope").append((option = h("option", { value }, document.title)));
  $("scope").value = value;
  talk.renew();
  location.hash = "ask";
  $("question").focus();
}

function stop() {
  stopOutput();
  talk.interrupt();
  for (const turn of pendingTurns.splice(0)) removeTurn(turn);
}

function showView() {
  const inLibrary = location.hash === "#library";
  $("library").hidden = !inLibrary;
  $("ask").hidden = $("composer").hidden = inLibrary;
  for (const [id, isCurrent] of [["to-ask", !inLibrary], ["to-library", inLibrary]]) {
    if (isCurrent) $(id).setAttribute("aria-current", "page");
    else $(id).removeAttribute("aria-current");
  }
  updateWelcome();
  if (inLibrary) {
    talk.handsFree(false);
    library.list();
  }
  scrollTo(0, inLibrary ? 0 : document.body.scrollHeight);
}

// User input

$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const question = $("question").value.trim();
  if (!question) {
    setStatus("Type a question first, or hold the microphone button.");
    return;
  }
  $("question").value = "";
  askTyped(question);
});
$("stop").onclick = stop;
$("scope").onchange = () => talk.renew();
$("hands-free").onclick = () => {
  hideErrors();
  talk.handsFree(talk.mode !== "hands-free");
};
$("read-aloud").onclick = () => {
  const isOn = $("read-aloud").getAttribute("aria-pressed") !== "true";
  $("read-aloud").setAttribute("aria-pressed", String(isOn));
  if (!isOn) speaker.stop();
};
$("new-conversation").onclick = () => {
  stop();
  for (const turn of turns) turn.element.remove();
  turns = [];
  history = [];
  revision += 1;
  spokenTurns.clear();
  talk.renew();
  updateWelcome();
  $("question").focus();
};
setUpReader(limitToDocument);

const button = $("talk");
button.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  button.setPointerCapture(event.pointerId);
  talk.press();
});
for (const name of ["pointerup", "pointercancel"]) button.addEventListener(name, () => talk.release());
button.addEventListener("contextmenu", (event) => event.preventDefault());
button.addEventListener("click", (event) => {
  if (event.detail) return; // from a pointer, handled above
  talk.press(); // from a screen reader, which cannot hold a button
  talk.release();
});

/** True if a key press means talk: Space is not taken by a field, button or link. */
function isTalkKey(event) {
  if (event.target === button) return event.key === " " || event.key === "Enter";
  if (event.key !== " " || document.querySelector("dialog[open]") || $("ask").hidden) return false;
  return !event.target.closest("input, textarea, select, button, a, summary, canvas, [role=document]");
}

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (isTalkKey(event)) {
    event.preventDefault();
    if (!event.repeat) talk.press();
  } else if (event.key === "Escape" && !document.querySelector("dialog[open]")) {
    if (isPlaying() && !speaker.isSpeaking && $("stop").hidden && talk.mode === "off") stopPlaying();
    else stop();
  } else if (event.key === "/" && !event.target.closest("input, textarea, select") && !document.querySelector("dialog[open]")) {
    event.preventDefault();
    if ($("ask").hidden) $("filter").focus();
    else $("question").focus();
  }
});
addEventListener("keyup", (event) => {
  if (event.key === " " || (event.key === "Enter" && event.target === button)) {
    if (talk.mode === "push-to-talk") {
      event.preventDefault();
      talk.release();
    }
  }
});
addEventListener("blur", () => !talk.isLatched && talk.finish()); // the window misses the key-up
addEventListener("hashchange", showView);

async function load() {
  try {
    await library.count();
    $("read-aloud").hidden = !(await speaker.detect());
  } catch (error) {
    showError(error, load);
  }
}

async function start() {
  let isChosen = false;
  try {
    isChosen = await setUpCollections();
  } catch (error) {
    showError(error, start);
  }
  showView();
  if (isChosen) load();
}

start();
