// The microphone: opened on demand, closed when idle.

const IDLE_MS = 20_000; // stays open this long, so that the next press starts without delay

const ERRORS = {
  NotAllowedError:
    "Access to the microphone was denied. Allow it for this page in the browser's address bar, then try again. You can also type.",
  NotFoundError: "No microphone was found. Connect one and try again, or type your question.",
  NotReadableError: "The microphone is busy or does not work. Close other programs that use it, then try again.",
};

export class Microphone {
  /** Calls `onChunk` with 16-bit PCM and its peak level, from 0 to 1, and `onLost` with a message. */
  constructor(onChunk, onLost) {
    this.onChunk = onChunk;
    this.onLost = onLost;
    this.opening = null;
    this.timer = 0;
  }

  get sampleRate() {
    return this.context?.sampleRate;
  }

  /** Opens the microphone, or keeps it open. */
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
        "Browsers allow the microphone on secure pages only. Open this page at http://localhost, or serve it over HTTPS. You can also type.",
      );
    }
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({
        audio: { channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true },
      });
    } catch (error) {
      throw new Error(ERRORS[error.name] ?? `The microphone cannot be used (${error.message}). You can type instead.`);
    }
    this.stream = stream;
    this.context = new AudioContext({ latencyHint: "interactive" });
    await this.context.audioWorklet.addModule("capture.js");
    const node = new AudioWorkletNode(this.context, "capture", { numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit" });
    node.port.onmessage = ({ data }) => this.onChunk(data.pcm, data.peak);
    this.context.createMediaStreamSource(stream).connect(node);
    stream.getAudioTracks()[0].addEventListener("ended", () => {
      this.close();
      this.onLost("The microphone was disconnected. Connect it and try again.");
    });
    await this.context.resume();
  }

  /** Closes the microphone once it has been idle. */
  release() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.close(), IDLE_MS);
  }

  close() {
    clearTimeout(this.timer);
    this.stream?.getTracks().forEach((track) => track.stop());
    this.context?.close();
    this.stream = this.context = this.opening = null;
  }
}
