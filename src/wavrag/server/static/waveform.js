// Waveforms on a canvas: the live microphone level, and a cited recording.

const BAR = 3; // CSS pixels, including the gap
const GAP = 1.5;

function prepareCanvas(canvas) {
  const scale = devicePixelRatio || 1;
  const { width, height } = canvas.getBoundingClientRect();
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const context = canvas.getContext("2d");
  context.scale(scale, scale);
  return { context, width, height };
}

const colour = (canvas, name) => getComputedStyle(canvas).getPropertyValue(name).trim();

function drawBar(context, x, height, level) {
  const barHeight = Math.max(2, level * height);
  context.beginPath();
  context.roundRect(x, (height - barHeight) / 2, BAR - GAP, barHeight, 1);
  context.fill();
}

/** Scrolling input level, the newest at the right. */
export class LiveWave {
  constructor(canvas) {
    this.canvas = canvas;
    this.peaks = [];
    this.frame = 0;
  }

  clear() {
    this.peaks = [];
    this.draw();
  }

  push(peak) {
    this.peaks.push(Math.min(1, peak ** 0.7)); // makes quiet speech visible
    if (this.peaks.length > 1000) this.peaks.splice(0, 500);
    this.frame ||= requestAnimationFrame(() => this.draw());
  }

  draw() {
    this.frame = 0;
    const { context, width, height } = prepareCanvas(this.canvas);
    context.fillStyle = colour(this.canvas, "--accent");
    const visible = this.peaks.slice(-Math.floor(width / BAR));
    visible.forEach((peak, i) => drawBar(context, width - (visible.length - i) * BAR, height, peak));
  }
}

/** Peak level of each of n equal segments. */
function peaksOf(samples, n) {
  const step = samples.length / n;
  return Array.from({ length: n }, (_, i) => {
    let peak = 0;
    for (let at = Math.floor(i * step); at < Math.floor((i + 1) * step); at++) peak = Math.max(peak, Math.abs(samples[at]));
    return peak;
  });
}

const peaksBySamples = new WeakMap(); // computed once, not for every frame

function cachedPeaks(samples, n) {
  const cached = peaksBySamples.get(samples);
  if (cached?.length === n) return cached;
  const peaks = peaksOf(samples, n);
  peaksBySamples.set(samples, peaks);
  return peaks;
}

/**
 * Draws a recording with the cited spans and the played portion highlighted; without spans, all of
 * it counts as cited. Times are in seconds from the first sample.
 */
export function drawRecording(canvas, samples, seconds, { spans, position }) {
  const { context, width, height } = prepareCanvas(canvas);
  const n = Math.floor(width / BAR);
  if (n < 1 || !samples.length) return;
  const peaks = cachedPeaks(samples, n);
  const maxPeak = Math.max(...peaks, 0.05);
  const x = (second) => (second / seconds) * width;
  context.fillStyle = colour(canvas, "--span");
  for (const { start, end } of spans) {
    context.beginPath();
    context.roundRect(x(start), 0, Math.max(2, x(end) - x(start)), height, 4);
    context.fill();
  }
  const [plain, cited, played] = ["--wave", "--wave-cited", "--accent"].map((name) => colour(canvas, name));
  peaks.forEach((peak, i) => {
    const second = ((i + 0.5) / n) * seconds;
    const isCited = !spans.length || spans.some(({ start, end }) => second >= start && second <= end);
    context.fillStyle = isCited && second <= position ? played : isCited && spans.length ? cited : plain;
    drawBar(context, i * BAR, height * 0.84, peak / maxPeak);
  });
  context.fillStyle = colour(canvas, "--ink");
  context.fillRect(Math.min(width - 1.5, x(position)), 0, 1.5, height);
}
