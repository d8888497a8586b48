// The microphone: opened when it is needed, closed soon after.

const KEPT_OPEN = 20_000; // ms after its last use: the next press begins at once

const WORDS = {
  NotAllowedError:
    "The microphone was refused. Allow it for this page in the browser's address bar, then try again. You can also type.",
  NotFoundError: "There is no microphone. Connect one and try again, or type your question.",
  NotReadableError: "The microphone is in use or does not work. Close other programs that use it, then try again.",
};

export class Microphone {
  /** Tells each chunk: 16-bit PCM and the loudest of its samples, from 0 to 1. */
  constructor(onChunk, onLost) {
    this.onChunk = onChunk;
    this.onLost = onLost;
    this.opening = null;
    this.timer = 0;
  }

  get sampleRate() {
    return this.context?.sampleRate;
  }

  /** Opens it, or keeps it open. */
  open() {
    clearTimeout(this.timer);
    this.opening ??= this.#open().catch((error) => {
      this.close();
      throw error;
    });
    return this.opening;
  }

  async #open() {
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new Error(
        "The browser gives the microphone to secure pages only. Open this page at http://localhost, or serve it with HTTPS. You can also type.",
      );
    }
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({
        audio: { channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true },
      });
    } catch (error) {
      throw new Error(WORDS[error.name] ?? `The microphone cannot be used (${error.message}). You can type instead.`);
    }
    this.stream = stream;
    this.context = new AudioContext({ latencyHint: "interactive" });
    await this.context.audioWorklet.addModule("capture.js");
    const node = new AudioWorkletNode(this.context, "capture", { numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit" });
    node.port.onmessage = ({ data }) => this.onChunk(data.pcm, data.peak);
    this.context.createMediaStreamSource(stream).connect(node);
    stream.getAudioTracks()[0].addEventListener("ended", () => {
      this.close();
      this.onLost("The microphone was taken away. Connect it and try again.");
    });
    await this.context.resume();
  }

  /** Closes it if nobody opens it again soon. */
  release() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.close(), KEPT_OPEN);
  }

  close() {
    clearTimeout(this.timer);
    this.stream?.getTracks().forEach((track) => track.stop());
    this.context?.close();
    this.stream = this.context = this.opening = null;
  }
}
