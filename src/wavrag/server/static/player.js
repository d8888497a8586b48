// Plays a cited span of a recording, with some context before and after it.

import { call, documentPath } from "./api.js";
import { clock, h, icon, locationOf, setIcon } from "./dom.js";
import { drawRecording } from "./waveform.js";

const CONTEXT = 3; // seconds shown before and after the span
const MAX_SECONDS = 590; // the server cuts at most 600 s at a time

let current = null; // only one player plays at a time

export const stopPlaying = () => current?.pause();
export const isPlaying = () => Boolean(current && !current.audio.paused);

export class Player {
  /**
   * Creates a player for a passage; the caller inserts `element`. It plays the quotes of a citation
   * if their times are known. `onTime` is called with the second of the recording while it plays,
   * and with null when it stops.
   */
  constructor(passage, onClose, onTime = () => {}) {
    this.passage = passage;
    this.onTime = onTime;
    const quotes = [passage, ...(passage.quotes ?? [])].filter((quote) => quote.quote_start !== undefined);
    this.spanStart = quotes.length ? Math.min(...quotes.map((quote) => quote.quote_start)) : passage.start;
    this.spanEnd = quotes.length ? Math.max(...quotes.map((quote) => quote.quote_end)) : passage.end;
    this.from = Math.max(0, passage.start - CONTEXT);
    this.audio = h("audio", { preload: "auto" });
    this.canvas = h("canvas", {
      class: "wave",
      tabIndex: 0,
      role: "slider",
      "aria-label": `Position in ${passage.title}; cited span ${locationOf(passage)}`,
      onclick: (event) => this.seek((event.offsetX / this.canvas.clientWidth) * this.seconds),
      onkeydown: (event) => this.#key(event),
    });
    this.button = h("button", { type: "button", class: "round plain", "aria-label": "Play", onclick: () => this.toggle() }, icon("play"));
    this.time = h("span", { class: "time" });
    this.element = h("figure", { class: "player", "aria-label": `Recording ${passage.title}` },
      this.button,
      h("div", { class: "player-body" },
        h("figcaption", {}, h("strong", {}, passage.title), h("span", { class: "location" }, locationOf(passage)), this.time),
        this.canvas),
      onClose && h("button", { type: "button", class: "round plain", "aria-label": "Close the player", onclick: () => { this.close(); onClose(); } }, icon("close")),
      this.audio);
    this.samples = new Float32Array(0);
    this.seconds = passage.end + CONTEXT - this.from;
    this.loaded = this.#load();
    this.resizeObserver = new ResizeObserver(() => this.draw());
    this.resizeObserver.observe(this.canvas);
    for (const name of ["play", "pause", "timeupdate", "seeked"]) this.audio.addEventListener(name, () => this.#changed());
  }

  async #load() {
    const end = Math.min(this.passage.end + CONTEXT, this.from + MAX_SECONDS);
    const span = new URLSearchParams({ start: this.from, end });
    for (const name of ["track", "channel"]) if (this.passage[name]) span.set(name, this.passage[name]);
    const reply = await call(`${documentPath(this.passage.document_id)}/audio?${span}`);
    const data = await reply.arrayBuffer();
    this.url = URL.createObjectURL(new Blob([data], { type: "audio/wav" }));
    this.audio.src = this.url;
    const decoder = new OfflineAudioContext(1, 1, 24_000);
    const sound = await decoder.decodeAudioData(data);
    this.samples = sound.getChannelData(0);
    this.seconds = sound.duration;
    this.draw();
  }

  /** Start of the span in the loaded audio, in seconds. */
  get start() {
    return this.spanStart - this.from;
  }

  get end() {
    return Math.min(this.spanEnd - this.from, this.seconds);
  }

  /** Plays the span from start to end. */
  async playSpan() {
    await this.loaded;
    this.audio.currentTime = this.start;
    this.stopAt = this.end;
    await this.#play();
  }

  async #play() {
    if (current && current !== this) current.pause();
    current = this;
    await this.audio.play().catch((error) => {
      if (error.name !== "AbortError") throw error; // AbortError: paused before playback started
    });
  }

  /** Plays from a second of the recording to the end of the loaded audio. */
  async playFrom(second) {
    await this.loaded;
    this.audio.currentTime = Math.max(0, second - this.from);
    this.stopAt = undefined;
    await this.#play();
  }

  toggle() {
    if (!this.audio.paused) this.pause();
    else if (this.audio.currentTime >= this.end - 0.05 || this.audio.currentTime < 0.01) this.playSpan();
    else this.#play();
  }

  pause() {
    this.audio.pause();
  }

  seek(second) {
    this.audio.currentTime = Math.max(0, Math.min(this.seconds - 0.05, second));
    this.stopAt = this.audio.currentTime < this.end ? this.end : undefined;
    this.#changed();
  }

  close() {
    this.pause();
    this.resizeObserver.disconnect();
    if (this.url) URL.revokeObjectURL(this.url);
    if (current === this) current = null;
    this.element.remove();
  }

  #key(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1, PageDown: -5, PageUp: 5 }[event.key];
    if (step) this.seek(this.audio.currentTime + step);
    else if (event.key === "Home") this.seek(this.start);
    else if (event.key === "End") this.seek(this.end);
    else if (event.key === " " || event.key === "Enter") this.toggle();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  #changed() {
    if (this.stopAt !== undefined && this.audio.currentTime >= this.stopAt && !this.audio.paused) {
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
      if (this.stopAt !== undefined && this.audio.currentTime >= this.stopAt) this.#changed();
      this.draw();
      if (this.isDrawing) requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  }

  draw() {
    const position = this.audio.currentTime;
    if (!this.audio.paused) this.onTime(this.from + position);
    this.time.textContent = clock(this.from + position);
    this.canvas.setAttribute("aria-valuemin", String(Math.round(this.from)));
    this.canvas.setAttribute("aria-valuemax", String(Math.round(this.from + this.seconds)));
    this.canvas.setAttribute("aria-valuenow", String(Math.round(this.from + position)));
    this.canvas.setAttribute("aria-valuetext", clock(this.from + position));
    drawRecording(this.canvas, this.samples, this.seconds, { start: this.start, end: this.end, position });
  }
}
