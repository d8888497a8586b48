// Waveforms on a canvas: the live one of the microphone, and that of a cited recording.

const BAR = 3; // CSS pixels of a bar and its gap
const GAP = 1.5;

function prepared(canvas) {
  const scale = devicePixelRatio || 1;
  const { width, height } = canvas.getBoundingClientRect();
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const context = canvas.getContext("2d");
  context.scale(scale, scale);
  return { context, width, height };
}

const colour = (canvas, name) => getComputedStyle(canvas).getPropertyValue(name).trim();

function bar(context, x, height, loud) {
  const tall = Math.max(2, loud * height);
  context.beginPath();
  context.roundRect(x, (height - tall) / 2, BAR - GAP, tall, 1);
  context.fill();
}

/** Loudness as it comes, the newest at the right. */
export class LiveWave {
  constructor(canvas) {
    this.canvas = canvas;
    this.peaks = [];
    this.waiting = 0;
  }

  clear() {
    this.peaks = [];
    this.draw();
  }

  push(peak) {
    this.peaks.push(Math.min(1, peak ** 0.7));
    if (this.peaks.length > 1000) this.peaks.splice(0, 500);
    this.waiting ||= requestAnimationFrame(() => this.draw());
  }

  draw() {
    this.waiting = 0;
    const { context, width, height } = prepared(this.canvas);
    context.fillStyle = colour(this.canvas, "--accent");
    const shown = this.peaks.slice(-Math.floor(width / BAR));
    shown.forEach((peak, i) => bar(context, width - (shown.length - i) * BAR, height, peak));
  }
}

/** The loudest sample of each of n equal stretches. */
export function peaksOf(samples, n) {
  const step = samples.length / n;
  return Array.from({ length: n }, (_, i) => {
    let peak = 0;
    for (let at = Math.floor(i * step); at < Math.floor((i + 1) * step); at++) peak = Math.max(peak, Math.abs(samples[at]));
    return peak;
  });
}

/**
 * Draws a recording: the span stands out, and so does what has been played.
 * Times are seconds from the first of the samples.
 */
export function drawRecording(canvas, samples, seconds, { start, end, at }) {
  const { context, width, height } = prepared(canvas);
  const n = Math.floor(width / BAR);
  if (n < 1 || !samples.length) return;
  const peaks = peaksOf(samples, n);
  const most = Math.max(...peaks, 0.05);
  const x = (second) => (second / seconds) * width;
  context.fillStyle = colour(canvas, "--span");
  context.beginPath();
  context.roundRect(x(start), 0, Math.max(2, x(end) - x(start)), height, 4);
  context.fill();
  const [rest, cited, played] = ["--wave", "--wave-cited", "--accent"].map((name) => colour(canvas, name));
  peaks.forEach((peak, i) => {
    const second = ((i + 0.5) / n) * seconds;
    const within = second >= start && second <= end;
    context.fillStyle = within ? (second <= at ? played : cited) : rest;
    bar(context, i * BAR, height * 0.84, peak / most);
  });
  context.fillStyle = colour(canvas, "--ink");
  context.fillRect(Math.min(width - 1.5, x(at)), 0, 1.5, height);
}
