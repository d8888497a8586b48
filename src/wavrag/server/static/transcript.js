// The transcript of a recording in the reader: it follows playback, seeks by click, and is searched.

import { showError } from "./alerts.js";
import { documentPath, json } from "./api.js";
import { $, clock, h, icon, isNamed, prefersReducedMotion } from "./dom.js";
import { Player } from "./player.js";
import { markSpoken, wordElements } from "./words.js";

let recording = null; // the recording shown
let player = null;
let playingLine = null;

export function setUpTranscript() {
  $("reader-find").oninput = find;
  $("reader-find").onkeydown = (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    $("reader-text").querySelector(".sentence:not([hidden]) .line, .line:not([hidden])")?.click();
  };
}

/** Stops playback and empties the reader. */
export function stopTranscript() {
  player?.close();
  player = playingLine = recording = null;
  $("reader-text").replaceChildren();
  $("reader-search").hidden = true;
  $("reader-find").value = "";
  $("reader-found").textContent = "";
}

/** Shows the player of a recording; `passage` is the cited one, if the recording was cited. */
export function openRecording(document, passage) {
  recording = document;
  const first = document.contents.find((content) => content.start !== undefined);
  const content = passage ?? { track: first.track, channel: first.channel };
  player = new Player({ ...content, document_id: document.id, title: document.title }, { total: durationOf(document), onTime: follow });
  $("reader-player").replaceChildren(player.element);
}

const durationOf = (document) => document.seconds || Math.max(...document.contents.map((content) => content.end ?? 0));

/** Shows the passages of a recording, and its sentences once their times are known. */
export async function showTranscript(document) {
  const passages = withVoices(document.contents.filter((passage) => passage.start !== undefined));
  $("reader-text").replaceChildren(...passages.map((passage) => transcriptLine(passage)));
  playingLine = null;
  if (document.modality !== "audio") return; // subtitles: their passages are the lines
  let transcript;
  try {
    transcript = await json(`${documentPath(document.id)}/transcript`);
  } catch (error) {
    showError(error, () => showTranscript(document)); // the passages remain
    return;
  }
  const isSelected = $("tab-transcript").getAttribute("aria-selected") === "true";
  if (recording !== document || !isSelected) return; // closed in the meantime
  const focused = $("reader-text").contains(globalThis.document.activeElement) && globalThis.document.activeElement.content;
  showSentences(transcript);
  if (focused) lineAt(focused.start)?.focus({ preventScroll: true });
  else $("reader-text").querySelector(".cited")?.scrollIntoView({ block: "center" });
}

/** Shows the sentences of a transcript, and the sounds between them. */
function showSentences(transcript) {
  const sounds = recording.contents.filter((passage) => passage.start !== undefined && !passage.text);
  const contents = withVoices([...transcript.segments, ...sounds].sort((a, b) => a.start - b.start));
  $("reader-text").replaceChildren(...contents.map((content) => (content.words?.length ? sentence(content) : transcriptLine(content))));
  playingLine = null;
  find();
}

/** Adds the voice to lines where it changes, if there are several or one with a name. */
function withVoices(contents) {
  const voices = contents.map((content) => content.speaker ?? (content.channel && `Channel ${content.channel}`));
  const names = [...new Set(voices.filter(Boolean))];
  const areShown = names.length > 1 || names.some(isNamed);
  return contents.map((content, i) => ({ ...content, voice: areShown && voices[i] !== voices[i - 1] ? voices[i] : undefined }));
}

const lines = () => [...$("reader-text").querySelectorAll(".line")];

/** A line with a button to correct it. */
function sentence(content) {
  const row = h("div", { class: "sentence" }, transcriptLine(content),
    h("button", { type: "button", class: "round plain", title: "Correct", "aria-label": `Correct: ${content.text}`, onclick: () => correct(row, content) }, icon("edit")));
  return row;
}

/** Replaces a line by a field for its text; saving it corrects the transcript. */
function correct(row, content) {
  const field = h("textarea", { rows: 3, value: content.text, "aria-label": `Text from ${clock(Math.round(content.start))}` });
  const cancel = () => {
    const restored = sentence(content);
    form.replaceWith(restored);
    restored.querySelector(".line").focus();
  };
  const form = h("form", {
    class: "correction",
    onsubmit: async (event) => {
      event.preventDefault();
      const document = recording;
      const { start, end, track, channel } = content;
      save.disabled = true;
      try {
        const transcript = await json(`${documentPath(document.id)}/transcript`, {
          method: "PATCH",
          headers: { "content-type": "application/json" },
          body: JSON.stringify({ start, end, track, channel, text: field.value.trim() }),
        });
        if (recording !== document) return; // closed in the meantime
        showSentences(transcript);
        lineAt(start)?.focus();
      } catch (error) {
        save.disabled = false;
        failure.textContent = error.message;
      }
    },
    onkeydown: (event) => {
      if (event.key !== "Escape") return;
      event.preventDefault(); // would close the dialog
      event.stopPropagation();
      cancel();
    },
  });
  const save = h("button", { class: "primary" }, "Save");
  const failure = h("p", { class: "failed", role: "status" });
  form.append(field, h("div", { class: "actions" }, h("button", { type: "button", class: "quiet", onclick: cancel }, "Cancel"), save), failure);
  row.replaceWith(form);
  field.focus();
}

/** True if at least half of a line is within a cited span, or the line has half of the span. */
const isCited = ({ start, end }) => player.spans.some((span) =>
  Math.min(end, span.end) - Math.max(start, span.start) > 0.5 * Math.min(end - start, span.end - span.start));

/** A sentence or a passage; a click plays it, from the clicked word on. */
function transcriptLine(content) {
  const text = content.text || "Audio without transcript";
  const line = h("button", {
    type: "button",
    class: isCited(content) ? "line cited" : "line",
    "aria-label": `Play from ${clock(Math.round(content.start))}: ${text}`,
    onclick: (event) => play(Number(event.target.closest("[data-start]")?.dataset.start ?? content.start), content),
  }, h("span", { class: "time" }, clock(Math.floor(content.start))),
  h("span", {}, content.voice ? h("strong", { class: "voice" }, `${content.voice} `) : null, ...(content.words?.length ? wordElements(content.words) : [text])));
  line.content = content;
  return line;
}

/** Plays from a second on, to the end of the recording. */
export async function play(second, { track, channel } = player.passage) {
  await player.playFrom(second, { track, channel }).catch((error) => showError(error, () => play(second, { track, channel })));
}

/** The last line that begins at a second or before. */
const lineAt = (second) => lines().findLast((line) => line.content?.start <= second + 0.05) ?? null;

/** Marks the sentence and the word that are spoken. */
function follow(second) {
  if (second === null) {
    if (playingLine) markSpoken(playingLine, null);
    return;
  }
  const line = lineAt(second);
  if (line !== playingLine) {
    if (playingLine) markSpoken(playingLine, null);
    for (const other of lines()) other.classList.toggle("playing", other === line);
    line?.scrollIntoView({ block: "nearest", behavior: prefersReducedMotion() ? "auto" : "smooth" });
    playingLine = line;
  }
  if (line) markSpoken(line, second);
}

/** Shows only the lines with the searched text. */
function find() {
  const text = $("reader-find").value.trim().toLowerCase();
  let count = 0;
  for (const line of lines()) {
    const isMatch = !text || (line.content?.text ?? "").toLowerCase().includes(text);
    (line.closest(".sentence") ?? line).hidden = !isMatch;
    count += isMatch;
    for (const word of line.querySelectorAll(".word")) word.classList.toggle("match", Boolean(text) && text.split(/\s+/).some((part) => word.textContent.toLowerCase().includes(part)));
  }
  $("reader-found").textContent = text ? `${count} of ${lines().length}` : "";
}
