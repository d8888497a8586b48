// Runs on the audio thread: sound from the microphone to chunks of 16-bit PCM and their loudness.

const CHUNK_SECONDS = 0.032;

class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this.chunk = new Int16Array(Math.round(sampleRate * CHUNK_SECONDS));
    this.filled = 0;
    this.peak = 0;
  }

  process([channels]) {
    const samples = channels?.[0];
    if (!samples) return true;
    for (const sample of samples) {
      const limited = Math.max(-1, Math.min(1, sample));
      this.peak = Math.max(this.peak, Math.abs(limited));
      this.chunk[this.filled++] = Math.round(limited * 32767);
      if (this.filled === this.chunk.length) {
        const sent = this.chunk.slice();
        this.port.postMessage({ pcm: sent.buffer, peak: this.peak }, [sent.buffer]);
        this.filled = 0;
        this.peak = 0;
      }
    }
    return true;
  }
}

registerProcessor("capture", Capture);
