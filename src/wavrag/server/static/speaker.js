// Reads answers aloud, if the server has a speech engine.

import { call, json } from "./api.js";

export class Speaker {
  constructor(onChange) {
    this.audio = new Audio();
    this.audio.id = "speaker";
    this.audio.hidden = true;
    document.body.append(this.audio);
    for (const name of ["play", "pause", "ended"]) this.audio.addEventListener(name, onChange);
    this.model = null;
    this.number = 0;
  }

  /** Looks for a speech model; true if there is one. */
  async detect() {
    const { data } = await json("v1/models");
    this.model = data.find((model) => model.voices)?.id ?? null;
    return Boolean(this.model);
  }

  get isSpeaking() {
    return Boolean(this.request) || (!this.audio.paused && !this.audio.ended);
  }

  async speak(text) {
    this.stop();
    const number = ++this.number;
    this.request = new AbortController();
    this.audio.dispatchEvent(new Event("play"));
    try {
      const reply = await call("v1/audio/speech", {
        method: "POST",
        signal: this.request.signal,
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ model: this.model, input: text, response_format: "wav" }),
      });
      const sound = await reply.blob();
      if (number !== this.number) return; // stopped in the meantime
      this.url = URL.createObjectURL(sound);
      this.audio.src = this.url;
      await this.audio.play();
    } catch (error) {
      if (error.name !== "AbortError") throw error;
    } finally {
      if (number === this.number) {
        this.request = null;
        this.audio.dispatchEvent(new Event("play"));
      }
    }
  }

  stop() {
    this.number += 1;
    this.request?.abort();
    this.request = null;
    this.audio.pause();
    if (this.url) URL.revokeObjectURL(this.url);
    this.url = null;
  }
}
