// Push-to-talk and hands-free: connects the microphone to voice turns.

import { Microphone } from "./microphone.js";
import { Voice } from "./voice.js";

const TAP_MS = 350; // a shorter press keeps listening until the next press
const TAIL_MS = 120; // still sent after the release: the last audio is in the browser's buffers

export class Talk {
  /**
   * Handlers: `onEvent` for events of turns, `onPress` when a push-to-talk turn starts, `onState`
   * when `mode` changes, `onPeak` for the input level, `onError` for errors. `conversation()`
   * returns a key and the options of the connection.
   */
  constructor(handlers) {
    Object.assign(this, handlers);
    this.attempt = 0; // number of the latest start; earlier ones still waiting are abandoned
    this.mode = "off"; // off, push-to-talk, hands-free
    this.buffer = null; // chunks recorded before the connection is ready
    this.isSending = false;
    this.microphone = new Microphone((pcm, peak) => this.#sendChunk(pcm, peak), (message) => this.#fail(new Error(message)));
    this.voice = new Voice(this.onEvent, (error) => this.#fail(error));
  }

  #sendChunk(pcm, peak) {
    if (this.mode === "off") return;
    this.onPeak(peak);
    if (this.isSending) this.voice.push(pcm);
    else this.buffer?.push(pcm);
  }

  #fail(error) {
    if (this.mode === "off") return;
    this.#stop();
    this.microphone.close();
    this.onError(error);
  }

  #setMode(mode) {
    this.mode = mode;
    this.onState(mode);
  }

  #stop() {
    this.attempt += 1;
    this.isSending = false;
    this.buffer = null;
    this.#setMode("off");
  }

  /** Opens microphone and connection and starts sending; false if cancelled in the meantime. */
  async #start(mode) {
    const attempt = ++this.attempt;
    const isCancelled = () => attempt !== this.attempt;
    await this.microphone.open();
    if (isCancelled()) {
      if (this.mode === "off") this.microphone.close();
      return false;
    }
    const { key, options } = this.conversation();
    const rate = this.microphone.sampleRate;
    await this.voice.connect(`${mode} ${rate} ${key}`, { ...options, mode, sample_rate: rate });
    if (isCancelled()) return false;
    if (mode === "push-to-talk") this.voice.send("begin");
    for (const pcm of this.buffer ?? []) this.voice.push(pcm);
    this.buffer = null;
    this.isSending = true;
    return true;
  }

  // Push-to-talk

  /** Button down: starts a turn, or ends the one started by a tap. */
  async press() {
    if (this.mode === "hands-free") return;
    if (this.mode === "push-to-talk") {
      this.isLatched = false;
      this.pressedAt = -Infinity; // so that the release ends the turn
      return;
    }
    const press = (this.current = { isOver: false });
    this.pressedAt = performance.now();
    this.isLatched = false;
    this.releasedAt = undefined;
    this.buffer = [];
    this.onPress();
    this.#setMode("push-to-talk");
    try {
      if ((await this.#start("push-to-talk")) && press.isOver) this.#end();
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Button up. */
  release() {
    if (this.mode !== "push-to-talk" || this.isLatched) return;
    if (performance.now() - this.pressedAt < TAP_MS) {
      this.isLatched = true;
      this.onState(this.mode);
      return;
    }
    this.finish();
  }

  /** Ends the current turn. */
  finish() {
    const press = this.current;
    if (this.mode !== "push-to-talk" || press.isOver) return;
    press.isOver = true;
    this.releasedAt = performance.now();
    setTimeout(() => this.current === press && this.isSending && this.#end(), TAIL_MS);
  }

  #end() {
    if (this.mode !== "push-to-talk") return;
    this.voice.send("end");
    this.#stop();
    this.microphone.release();
  }

  // Hands-free

  async handsFree(on) {
    if (on) {
      this.buffer = [];
      this.#setMode("hands-free");
      try {
        await this.#start("hands-free");
      } catch (error) {
        this.#fail(error);
      }
    } else if (this.mode === "hands-free") {
      this.voice.send("end");
      this.#stop();
      this.microphone.close();
    }
  }

  /** Reconnects hands-free listening after a change of conversation or filter. */
  async renew() {
    if (this.mode !== "hands-free") return;
    this.isSending = false;
    this.buffer = [];
    try {
      await this.#start("hands-free");
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Cancels the current turn or answer. */
  interrupt() {
    this.voice.send("interrupt");
    if (this.mode === "push-to-talk") {
      this.#stop();
      this.microphone.release();
    }
  }
}
