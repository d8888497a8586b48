// From the microphone to turns: push-to-talk and hands-free.

import { Microphone } from "./microphone.js";
import { Voice } from "./voice.js";

const TAP = 350; // ms; a shorter press stays on until the next one
const TAIL = 120; // ms of sound after the release: the last one is still on its way

export class Talk {
  /**
   * Tells `onEvent` what comes of turns, `onPress` that one begins by hand, `onState` that `mode`
   * has changed, `onPeak` how loud it is, `onError` what went wrong.
   * `conversation()` gives a key and the options that the server needs to know.
   */
  constructor(handlers) {
    Object.assign(this, handlers);
    this.attempt = 0; // to begin; an earlier one that still waits comes to nothing
    this.mode = "off"; // off, push-to-talk, hands-free
    this.waiting = null; // chunks that wait for the connection
    this.sending = false;
    this.microphone = new Microphone((pcm, peak) => this.#hear(pcm, peak), (message) => this.#lose(new Error(message)));
    this.voice = new Voice(this.onEvent, (error) => this.#lose(error));
  }

  #hear(pcm, peak) {
    if (this.mode === "off") return;
    this.onPeak(peak);
    if (this.sending) this.voice.push(pcm);
    else this.waiting?.push(pcm);
  }

  #lose(error) {
    if (this.mode === "off") return;
    this.#off();
    this.microphone.close();
    this.onError(error);
  }

  #be(mode) {
    this.mode = mode;
    this.onState(mode);
  }

  #off() {
    this.attempt += 1;
    this.sending = false;
    this.waiting = null;
    this.#be("off");
  }

  /** Opens what is needed and begins to send; false if it was called off meanwhile. */
  async #begin(mode) {
    const attempt = ++this.attempt;
    const isOff = () => attempt !== this.attempt;
    await this.microphone.open();
    if (isOff()) {
      if (this.mode === "off") this.microphone.close();
      return false;
    }
    const { key, options } = this.conversation();
    const rate = this.microphone.sampleRate;
    await this.voice.connect(`${mode} ${rate} ${key}`, { ...options, mode, sample_rate: rate });
    if (isOff()) return false;
    if (mode === "push-to-talk") this.voice.tell("begin");
    for (const pcm of this.waiting ?? []) this.voice.push(pcm);
    this.waiting = null;
    this.sending = true;
    return true;
  }

  // Push-to-talk

  /** The button goes down: begins a turn, or ends the one that a tap began. */
  async press() {
    if (this.mode === "hands-free") return;
    if (this.mode === "push-to-talk") {
      this.latched = false;
      this.pressedAt = -Infinity; // its release ends it
      return;
    }
    const press = (this.current = { ended: false });
    this.pressedAt = performance.now();
    this.latched = false;
    this.releasedAt = undefined;
    this.waiting = [];
    this.onPress();
    this.#be("push-to-talk");
    try {
      if ((await this.#begin("push-to-talk")) && press.ended) this.#end();
    } catch (error) {
      this.#lose(error);
    }
  }

  /** The button goes up. */
  release() {
    if (this.mode !== "push-to-talk" || this.latched) return;
    if (performance.now() - this.pressedAt < TAP) {
      this.latched = true;
      this.onState(this.mode);
      return;
    }
    this.finish();
  }

  /** Ends the turn that is being spoken. */
  finish() {
    const press = this.current;
    if (this.mode !== "push-to-talk" || press.ended) return;
    press.ended = true;
    this.releasedAt = performance.now();
    setTimeout(() => this.current === press && this.sending && this.#end(), TAIL);
  }

  #end() {
    if (this.mode !== "push-to-talk") return;
    this.voice.tell("end");
    this.#off();
    this.microphone.release();
  }

  // Hands-free

  async handsFree(on) {
    if (on) {
      this.waiting = [];
      this.#be("hands-free");
      try {
        await this.#begin("hands-free");
      } catch (error) {
        this.#lose(error);
      }
    } else if (this.mode === "hands-free") {
      this.voice.tell("end");
      this.#off();
      this.microphone.close();
    }
  }

  /** The conversation or its filter has changed: hands-free goes on with the new one. */
  async renew() {
    if (this.mode !== "hands-free") return;
    this.sending = false;
    this.waiting = [];
    try {
      await this.#begin("hands-free");
    } catch (error) {
      this.#lose(error);
    }
  }

  /** Nobody wants what is being said or answered. */
  interrupt() {
    this.voice.tell("interrupt");
    if (this.mode === "push-to-talk") {
      this.#off();
      this.microphone.release();
    }
  }
}
