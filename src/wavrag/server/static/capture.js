// Runs on the audio thread: converts microphone samples to chunks of 16-bit PCM with their peak level.

const CHUNK_SECONDS = 0.032; // one frame of the server's voice activity detection

class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this.chunk = new Int16Array(Math.round(sampleRate * CHUNK_SECONDS));
    this.used = 0;
    this.peak = 0;
  }

  process([channels]) {
    const samples = channels?.[0];
    if (!samples) return true;
    for (const sample of samples) {
      const limited = Math.max(-1, Math.min(1, sample));
      this.peak = Math.max(this.peak, Math.abs(limited));
      this.chunk[this.used++] = Math.round(limited * 32767);
      if (this.used === this.chunk.length) {
        const copy = this.chunk.slice();
        this.port.postMessage({ pcm: copy.buffer, peak: this.peak }, [copy.buffer]);
        this.used = 0;
        this.peak = 0;
      }
    }
    return true;
  }
}

registerProcessor("capture", Capture);
