// Plays a recording: a cited span with some context, or all of it, in pieces cut by the server.

import { showError } from "./alerts.js";
import { call, documentPath } from "./api.js";
import { clock, h, icon, locationOf, setIcon } from "./dom.js";
import { drawRecording } from "./waveform.js";

const CONTEXT = 3; // seconds shown before and after a cited span
const CHUNK = 120; // seconds of a long recording that are loaded at a time
const WHOLE = 300; // seconds up to which a recording is loaded at once
const SPEEDS = [0.75, 1, 1.25, 1.5, 2];

let current = null; // only one player plays at a time
let speed = 1; // of all players

export const stopPlaying = () => current?.pause();
export const isPlaying = () => Boolean(current && !current.audio.paused);

/** The cited spans of a passage in seconds: its quotes if their times are known, else all of it. */
function spansOf(passage) {
  if (passage.start === undefined) return [];
  const quotes = [passage, ...(passage.quotes ?? [])].filter((quote) => quote.quote_start !== undefined);
  const spans = quotes.map((quote) => ({ start: quote.quote_start, end: quote.quote_end }));
  return spans.length ? spans : [{ start: passage.start, end: passage.end }];
}

export class Player {
  /**
   * Creates a player; the caller inserts `element`. `passage` is a passage, whose cited spans are
   * marked and played, or a document, which is played from its start. `total` is the duration of the
   * recording in seconds. `onTime` is called with the second of the recording while it plays, and
   * with null when it stops.
   */
  constructor(passage, { total, onClose, onTime = () => {} } = {}) {
    this.passage = passage;
    this.onTime = onTime;
    this.spans = spansOf(passage);
    this.audio = h("audio", { preload: "auto" });
    this.canvas = h("canvas", {
      class: "wave",
      tabIndex: 0,
      role: "slider",
      "aria-label": `Position in ${passage.title}${this.spans.length ? `; cited span ${locationOf(passage)}` : ""}`,
      onclick: (event) => this.#report(this.seek(this.from + (event.offsetX / this.canvas.clientWidth) * this.seconds)),
      onkeydown: (event) => this.#key(event),
    });
    this.button = h("button", { type: "button", class: "round play", "aria-label": "Play", onclick: () => this.toggle() }, icon("play"));
    this.time = h("span", { class: "time" });
    this.timeline = h("input", {
      type: "range", class: "timeline", min: 0, step: 1, value: 0, hidden: true, "aria-label": `Position in all of ${passage.title}`,
      oninput: () => this.#report(this.seek(Number(this.timeline.value))),
    });
    this.whole = h("button", { type: "button", class: "chip", "aria-pressed": "false", hidden: true, onclick: () => this.#report(this.#toggleWhole()) }, "Whole", h("span", { class: "wide" }, " recording"));
    this.speed = h("select", { class: "chip speed", "aria-label": "Speed", onchange: () => this.#setSpeed(Number(this.speed.value)) },
      ...SPEEDS.map((value) => h("option", { value, selected: value === speed }, `${value}×`)));
    this.element = h("figure", { class: "player", "aria-label": `Recording ${passage.title}` },
      this.button,
      h("div", { class: "player-body" },
        this.canvas, this.timeline,
        h("div", { class: "player-controls" }, this.time, this.whole, this.speed)),
      onClose && h("button", { type: "button", class: "round plain", "aria-label": "Close the player", onclick: () => { this.close(); onClose(); } }, icon("close")),
      this.audio);
    this.samples = new Float32Array(0);
    this.setTotal(total);
    if (this.spans.length) this.#load(this.start - CONTEXT, this.end + CONTEXT);
    else this.#load(0, this.total <= WHOLE ? this.total : CHUNK);
    this.resizeObserver = new ResizeObserver(() => this.draw());
    this.resizeObserver.observe(this.canvas);
    for (const name of ["play", "pause", "timeupdate", "seeked"]) this.audio.addEventListener(name, () => this.#changed());
    this.audio.addEventListener("ended", () => this.#report(this.#goOn()));
  }

  /** Start of the cited spans in the recording, in seconds. */
  get start() {
    return this.spans.length ? Math.min(...this.spans.map((span) => span.start)) : 0;
  }

  get end() {
    return this.spans.length ? Math.max(...this.spans.map((span) => span.end)) : this.total;
  }

  /** Second of the recording. */
  get position() {
    return this.from + this.audio.currentTime;
  }

  /** Sets the duration of the recording. */
  setTotal(total) {
    this.total = total || Infinity;
    this.timeline.max = String(Math.round(total || 0));
    this.whole.hidden = !this.spans.length || !Number.isFinite(this.total);
    if (this.canvas.isConnected) this.draw();
  }

  /** Loads a span of the recording. */
  #load(from, end) {
    this.from = Math.max(0, from);
    this.seconds = Math.max(1, Math.min(end, this.total) - this.from);
    this.hasFailed = false;
    this.loaded = this.#fetch(this.from, this.from + this.seconds);
    // Reported by the call that plays or seeks.
    this.loaded.catch(() => { this.hasFailed = true; });
    return this.loaded;
  }

  /** Waits for the loaded span; requests it again after a failure. */
  #ready() {
    if (this.hasFailed) this.#load(this.from, this.from + this.seconds);
    return this.loaded;
  }

  #report(action) {
    action.catch((error) => !this.isClosed && showError(error));
  }

  async #fetch(start, end) {
    const span = new URLSearchParams({ start, end });
    for (const name of ["track", "channel"]) if (this.passage[name]) span.set(name, this.passage[name]);
    const reply = await call(`${documentPath(this.passage.document_id)}/audio?${span}`);
    const data = await reply.arrayBuffer();
    if (this.from !== start || this.isClosed) return; // another span was requested in the meantime
    if (this.url) URL.revokeObjectURL(this.url);
    this.url = URL.createObjectURL(new Blob([data], { type: "audio/wav" }));
    this.audio.src = this.url;
    this.audio.playbackRate = speed;
    const decoder = new OfflineAudioContext(1, 1, 24_000);
    const sound = await decoder.decodeAudioData(data);
    if (this.from !== start) return;
    this.samples = sound.getChannelData(0);
    this.seconds = sound.duration;
    this.draw();
  }

  /** Plays the cited spans from start to end. */
  async playSpan() {
    if (this.start < this.from || this.start >= this.from + this.seconds) this.#load(this.start - CONTEXT, this.end + CONTEXT);
    await this.#ready();
    this.audio.currentTime = this.start - this.from;
    this.stopAt = this.spans.length && Number.isFinite(this.end) ? this.end : undefined;
    await this.#play();
  }

  /** Plays from a second of the recording on, past the end of the loaded span. */
  async playFrom(second, { track, channel } = this.passage) {
    if (track !== this.passage.track || channel !== this.passage.channel) {
      this.passage = { ...this.passage, track, channel };
      this.#load(this.from, this.from + this.seconds);
    }
    await this.seek(second);
    this.stopAt = undefined;
    await this.#play();
  }

  async #play() {
    if (current && current !== this) current.pause();
    current = this;
    await this.audio.play().catch((error) => {
      if (error.name !== "AbortError") throw error; // AbortError: paused before playback started
    });
  }

  /** Plays on after the loaded span, unless all of the recording was played. */
  async #goOn() {
    const end = this.from + this.seconds;
    if (this.isClosed || end >= this.total - 0.5) return;
    await this.#load(end, end + CHUNK);
    await this.#play();
  }

  toggle() {
    const isAtStart = this.audio.currentTime < 0.01;
    const isAtEnd = Math.abs(this.position - this.end) < 0.05;
    if (!this.audio.paused) this.pause();
    else if (this.spans.length && (isAtStart || isAtEnd)) this.#report(this.playSpan());
    else this.#report(this.#ready().then(() => this.#play()));
  }

  pause() {
    this.audio.pause();
  }

  /** Moves to a second of the recording; loads it if need be. */
  async seek(second) {
    const target = Math.max(0, Math.min(this.total, second));
    if (target < this.from || target > this.from + this.seconds) {
      const wasPlaying = !this.audio.paused;
      this.pause();
      this.#load(target - 1, target - 1 + CHUNK);
      await this.loaded;
      this.audio.currentTime = target - this.from;
      if (wasPlaying) await this.#play();
    } else {
      await this.#ready();
      this.audio.currentTime = Math.min(this.seconds - 0.05, target - this.from);
    }
    this.stopAt = this.spans.length && this.position < this.end && this.position >= this.from && this.whole.getAttribute("aria-pressed") === "false" ? this.end : undefined;
    this.#changed();
  }

  close() {
    this.isClosed = true;
    this.pause();
    this.resizeObserver.disconnect();
    if (this.url) URL.revokeObjectURL(this.url);
    if (current === this) current = null;
    this.element.remove();
  }

  /** Shows all of the recording, or a long span around the citation, or the cited span again. */
  async #toggleWhole() {
    const isWhole = this.whole.getAttribute("aria-pressed") !== "true";
    const { position } = this;
    const wasPlaying = !this.audio.paused;
    this.pause();
    this.whole.setAttribute("aria-pressed", String(isWhole));
    if (!isWhole) await this.#load(this.start - CONTEXT, this.end + CONTEXT);
    else if (this.total <= WHOLE) await this.#load(0, this.total);
    else await this.#load(this.start - CHUNK / 2, this.start + CHUNK / 2);
    await this.seek(Math.max(this.from, Math.min(position, this.from + this.seconds)));
    if (wasPlaying) await this.#play();
  }

  #setSpeed(value) {
    speed = value;
    this.audio.playbackRate = value;
  }

  #key(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1, PageDown: -5, PageUp: 5 }[event.key];
    if (step) this.#report(this.seek(this.position + step));
    else if (event.key === "Home") this.#report(this.seek(this.start));
    else if (event.key === "End") this.#report(this.seek(Math.min(this.end, this.from + this.seconds)));
    else if (event.key === " " || event.key === "Enter") this.toggle();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  #changed() {
    if (this.stopAt !== undefined && this.position >= this.stopAt && !this.audio.paused) {
      this.audio.pause();
      this.stopAt = undefined;
    }
    const playing = !this.audio.paused;
    setIcon(this.button, playing ? "pause" : "play");
    this.button.setAttribute("aria-label", playing ? "Pause" : "Play");
    if (playing && !this.isDrawing) this.#animate();
    if (!playing) this.onTime(null);
    this.draw();
  }

  #animate() {
    this.isDrawing = true;
    const frame = () => {
      this.isDrawing = !this.audio.paused;
      if (this.stopAt !== undefined && this.position >= this.stopAt) this.#changed();
      this.draw();
      if (this.isDrawing) requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  }

  draw() {
    const { position, from, seconds, total } = this;
    if (!this.audio.paused) this.onTime(position);
    const isKnown = Number.isFinite(total);
    this.time.textContent = isKnown ? `${clock(position)} / ${clock(Math.round(total))}` : clock(position);
    this.timeline.hidden = !isKnown || seconds > total - 1 || (this.spans.length > 0 && this.whole.getAttribute("aria-pressed") === "false");
    this.timeline.value = String(Math.round(position));
    this.timeline.setAttribute("aria-valuetext", clock(position));
    this.canvas.setAttribute("aria-valuemin", String(Math.round(from)));
    this.canvas.setAttribute("aria-valuemax", String(Math.round(from + seconds)));
    this.canvas.setAttribute("aria-valuenow", String(Math.round(position)));
    this.canvas.setAttribute("aria-valuetext", clock(position));
    const spans = this.spans.map(({ start, end }) => ({ start: start - from, end: end - from }));
    drawRecording(this.canvas, this.samples, seconds, { spans, position: position - from });
  }
}
