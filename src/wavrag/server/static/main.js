// The page: the conversation, and how its parts are put together.

import { ask } from "./api.js";
import { $, h, icon, plural, wantsStill } from "./dom.js";
import { Library } from "./library.js";
import { isPlaying, stopPlaying } from "./player.js";
import { prepareReader } from "./reader.js";
import { Speaker } from "./speaker.js";
import { Talk } from "./talk.js";
import { TurnView } from "./turn.js";
import { LiveWave } from "./waveform.js";

const HITS = 5; // passages shown while one speaks
const REMEMBERED = 16; // turns that a follow-up is sent with

let turns = []; // every TurnView, oldest first
let history = []; // {question, answer}, oldest first
let revision = 0; // of what the voice connection does not know of the conversation
let total = null; // documents in the library
let typing = null; // AbortController of the typed question that is being answered
const spoken = new Map(); // "session:turn" of the voice connection to its TurnView
const pressed = []; // TurnViews that were begun by hand and have no number yet

// What is shown

function tell(text) {
  $("status").textContent = text;
}

function fail(error) {
  const text = error.message ?? String(error);
  $("alert").hidden = false;
  $("alert").querySelector("p").textContent = text;
}

function unfail() {
  $("alert").hidden = true;
}

function addTurn(options) {
  unfail();
  const turn = new TurnView(options);
  turn.onError = fail;
  turns.push(turn);
  $("turns").append(turn.element);
  arrange();
  follow(turn);
  return turn;
}

function removeTurn(turn) {
  turns = turns.filter((one) => one !== turn);
  turn.element.remove();
  arrange();
}

/** Keeps the newest turn in sight, from its beginning on. */
function follow(turn) {
  if (turn !== turns.at(-1)) return;
  const { top, bottom } = turn.element.getBoundingClientRect();
  const room = $("composer").getBoundingClientRect().top - 20;
  const by = Math.min(bottom - room, top - document.querySelector(".top").offsetHeight - 20);
  if (by > 0) scrollBy({ top: by, behavior: wantsStill() ? "auto" : "smooth" });
}

function arrange() {
  $("fresh").hidden = !turns.length || $("ask").hidden;
  const welcome = $("welcome");
  welcome.hidden = Boolean(turns.length) || total === null;
  $("count").hidden = !total;
  $("count").textContent = total ?? "";
  if (welcome.hidden) return;
  const [title, lead, actions] = ["h1", ".lead", ".actions"].map((one) => welcome.querySelector(one));
  if (total) {
    title.textContent = "What would you like to know?";
    lead.textContent = `Hold the microphone and ask, or type. Answers come from the ${plural(total, "file")} in your library, with the second or the sentence they rest on.`;
    actions.replaceChildren();
  } else {
    title.textContent = "Your library is empty";
    lead.textContent = "Add recordings and documents, then ask about them with your voice. They stay on this server.";
    actions.replaceChildren(h("button", { type: "button", class: "primary", onclick: () => $("files").click() }, icon("plus"), "Add files"));
  }
}

function busy() {
  const writing = turns.some((turn) => turn.state === "answering" || turn.state === "searching");
  $("stop").hidden = !writing && !speaker.isSpeaking;
  $("stop").setAttribute("aria-label", speaker.isSpeaking ? "Stop reading aloud" : "Stop the answer");
}

// A turn's course, typed or spoken

function answered(turn, answer) {
  turn.finish(answer, total === 0);
  const question = answer.question ?? turn.words;
  if (question) history = [...history, { question, answer: answer.found ? answer.answer : "" }].slice(-REMEMBERED);
  const plain = turn.answer.textContent.replace(/\s*\d+(?=\s|$)/g, "");
  $("said").textContent = `${plain} ${answer.citations.length ? plural(new Set(answer.citations.map((one) => one.number)).size, "source") : ""}`;
  follow(turn);
  busy();
  if ($("aloud").getAttribute("aria-pressed") === "true" && answer.found) speaker.say(answer.answer).catch(fail);
}

/** Stops what is written, said and played; whatever is asked next has the word. */
function hush() {
  typing?.abort();
  speaker.stop();
  stopPlaying();
  busy();
}

async function typed(question) {
  hush();
  if (talk.mode !== "hands-free") talk.interrupt();
  const turn = addTurn({ spoken: false, question });
  const control = (typing = new AbortController());
  const started = performance.now();
  const latency = { mode: "typed" };
  tell("");
  busy();
  try {
    const where = $("scope").value || undefined;
    for await (const [name, data] of ask({ text: question, where, history }, control.signal)) {
      if (name === "hits") {
        latency.hits = performance.now() - started;
        turn.setHits(data.hits, false);
      } else if (name === "delta") {
        latency.word ??= performance.now() - started;
        turn.append(data.text);
      } else {
        answered(turn, data);
        revision += 1;
        talk.renew();
      }
      turn.setLatency(latency);
      follow(turn);
    }
  } catch (error) {
    if (error.name === "AbortError") turn.stopped();
    else turn.fail(error.message);
  } finally {
    if (typing === control) typing = null;
    busy();
  }
}

function turnOf(event) {
  const key = `${event.session}:${event.turn}`;
  if (!spoken.has(key)) spoken.set(key, pressed.shift() ?? addTurn({ spoken: true }));
  return spoken.get(key);
}

/** An event of the voice connection; see `wavrag.live`. */
function heard(event) {
  if (event.event === "speech_started" && talk.mode === "hands-free") hush();
  const turn = turnOf(event);
  const since = () => performance.now() - turn.silentAt;
  switch (event.event) {
    case "partial_hits":
      turn.setQuestion(event.words, false);
      turn.setHits(event.hits.slice(0, HITS), true);
      break;
    case "turn_ended":
      // When the last sound was, by this clock; the way from the server is the only error.
      turn.silentAt = performance.now() - event.after_speech_ms;
      turn.times = event.reason === "requested" && talk.releasedAt
        ? { mode: "push-to-talk", waited: talk.releasedAt - turn.silentAt }
        : { mode: "hands-free", waited: event.after_speech_ms };
      turn.setQuestion(turn.words || "…", false);
      if (event.reason === "max duration") {
        talk.finish();
        tell("That was the longest that a turn may be.");
      }
      break;
    case "hits":
      turn.times.hits = since();
      turn.setQuestion(event.words ?? turn.words, true);
      turn.setHits(event.hits.slice(0, HITS), false);
      turn.setLatency(turn.times);
      break;
    case "answer_delta":
      turn.times.word ??= since();
      turn.setLatency(turn.times);
      turn.append(event.text);
      break;
    case "answer":
      answered(turn, event.answer);
      break;
    case "cancelled":
      if (event.stage === "answer") turn.stopped();
      else removeTurn(turn);
      if (event.reason === "nothing heard" || event.reason === "too short") {
        if (talk.mode !== "hands-free") tell("Nothing was heard. Hold the microphone while you speak, then let go.");
      }
      break;
    case "failed":
      turn.fail(event.message);
      break;
  }
  follow(turn);
  busy();
}

// Parts

const wave = new LiveWave($("live"));
const speaker = new Speaker(() => busy());
const talk = new Talk({
  conversation: () => ({
    key: `${revision} ${$("scope").value}`,
    options: { where: $("scope").value || undefined, k: HITS, history },
  }),
  onEvent: heard,
  onPeak: (peak) => wave.push(peak),
  onPress: () => {
    hush();
    pressed.push(addTurn({ spoken: true }));
  },
  onState: (mode) => {
    const byHand = mode === "push-to-talk";
    $("listening").hidden = mode === "off";
    wave.clear();
    $("talk").setAttribute("aria-pressed", String(byHand));
    $("talk").disabled = mode === "hands-free";
    $("hands-free").setAttribute("aria-pressed", String(mode === "hands-free"));
    document.body.dataset.mode = mode;
    tell({ "off": "", "push-to-talk": talk.latched ? "Listening. Press again to end." : "Listening. Let go to end.", "hands-free": "Listening. Just speak." }[mode]);
  },
  onError: (error) => {
    while (pressed.length) removeTurn(pressed.shift());
    for (const turn of turns) if (turn.spoken && turn.state !== "done") turn.stopped();
    fail(error);
    busy();
  },
});
const library = new Library({
  onCount: (count) => {
    total = count;
    arrange();
  },
  onError: fail,
  onScope: askIn,
});

/** Limits what is asked to one document. */
function askIn(document) {
  const value = `id = '${document.id.replaceAll("'", "''")}'`;
  let option = [...$("scope").options].find((one) => one.value === value);
  if (!option) $("scope").append((option = h("option", { value }, document.title)));
  $("scope").value = value;
  talk.renew();
  location.hash = "ask";
  $("question").focus();
}

function stop() {
  hush();
  talk.interrupt();
  for (const turn of pressed.splice(0)) removeTurn(turn);
}

function view() {
  const inLibrary = location.hash === "#library";
  $("library").hidden = !inLibrary;
  $("ask").hidden = $("composer").hidden = inLibrary;
  for (const [id, on] of [["to-ask", !inLibrary], ["to-library", inLibrary]]) {
    if (on) $(id).setAttribute("aria-current", "page");
    else $(id).removeAttribute("aria-current");
  }
  arrange();
  if (inLibrary) {
    talk.handsFree(false);
    library.list();
  }
  scrollTo(0, inLibrary ? 0 : document.body.scrollHeight);
}

// What people do

$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const question = $("question").value.trim();
  if (!question) {
    tell("Type a question first, or hold the microphone.");
    return;
  }
  $("question").value = "";
  typed(question);
});
$("stop").onclick = stop;
$("scope").onchange = () => talk.renew();
$("hands-free").onclick = () => {
  unfail();
  talk.handsFree(talk.mode !== "hands-free");
};
$("aloud").onclick = () => {
  const on = $("aloud").getAttribute("aria-pressed") !== "true";
  $("aloud").setAttribute("aria-pressed", String(on));
  if (!on) speaker.stop();
};
$("fresh").onclick = () => {
  stop();
  for (const turn of turns) turn.element.remove();
  turns = [];
  history = [];
  revision += 1;
  spoken.clear();
  talk.renew();
  arrange();
  $("question").focus();
};
$("alert").querySelector("button").onclick = unfail;
prepareReader(fail, askIn);

const button = $("talk");
const pointer = (event) => event.button === 0;
button.addEventListener("pointerdown", (event) => {
  if (!pointer(event)) return;
  button.setPointerCapture(event.pointerId);
  talk.press();
});
for (const name of ["pointerup", "pointercancel"]) button.addEventListener(name, () => talk.release());
button.addEventListener("contextmenu", (event) => event.preventDefault());
button.addEventListener("click", (event) => {
  if (event.detail) return; // a pointer, dealt with above
  talk.press(); // a screen reader, which knows no holding
  talk.release();
});

/** Whether Space is free to talk with: no field, button or link has it. */
function talksWith(event) {
  if (event.target === button) return event.key === " " || event.key === "Enter";
  if (event.key !== " " || document.querySelector("dialog[open]") || $("ask").hidden) return false;
  return !event.target.closest("input, textarea, select, button, a, summary, canvas, [role=document]");
}

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (talksWith(event)) {
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
addEventListener("blur", () => !talk.latched && talk.finish()); // the key goes up elsewhere
addEventListener("hashchange", view);

async function begin() {
  try {
    await library.count();
    $("aloud").hidden = !(await speaker.find());
  } catch (error) {
    fail(error);
  }
}

view();
begin();
