"""Speed of the recogniser's decoder compared with the published decoder graph, in one run.

    python tools/convert_moonshine.py --extract FOLDER
    python benchmarks/decoder.py FOLDER [--speech FILE.jsonl ...] [--limit N] [--runs 9] [--json]

FOLDER has the published files. Prints the median ratios of wall and CPU time, new to old, of
decoding without the encoder: a single clip of 3, 5 and 10 s, and eight clips of each length
together. All calls alternate, so that other processes slow both alike.

`--speech` names files with an object per line whose `audio` is the path of a recording relative to
`--root`: prints the share of clips with identical tokens, decoded one by one and in batches, and,
if their rows have a `text`, the word errors with the published encoder and decoder, with those of
the package, and with the published ones over the same samples with noise of 1e-6: rounding alone
changes some words, since activations are quantised to 8 bits.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import corpus
import numpy as np

from wavrag import Clip, audio
from wavrag.audio import SAMPLE_RATE
from wavrag.embed.moonshine import MIN_SAMPLES, MIN_TOKENS, TOKENS_PER_SECOND, Moonshine
from wavrag.embed.moonshine_decoder import BEGIN, END, HEAD_SIZE, HEADS, MoonshineDecoder
from wavrag.embed.runtime import load_session
from wavrag.evaluate import count_word_errors

SECONDS = (3, 5, 10)
BATCH = 8
NOISE = 1e-6  # far below the steps of 16-bit samples


class PublishedDecoder:
    """The published decoder graph, with caches passed in and out at every step."""

    def __init__(self, folder: Path) -> None:
        self._session = load_session(folder / "decoder_model_merged.ort")

    def decode(self, frames: np.ndarray, limit: int) -> list[int]:
        """Decode the encoder states of a clip greedily."""
        outputs = [output.name for output in self._session.get_outputs()]
        feed = {
            value.name: np.zeros((1, HEADS, 0, HEAD_SIZE), np.float32)
            for value in self._session.get_inputs()
            if value.name.startswith("past_key_values")
        }
        # The mask is that of the waveform; the graph reads its first columns only.
        mask = np.ones((1, frames.shape[1] * 384), np.int64)
        feed |= {"encoder_hidden_states": frames, "encoder_attention_mask": mask}
        tokens = [BEGIN]
        while len(tokens) <= limit:
            first = len(tokens) == 1
            feed["input_ids"] = np.array([[tokens[-1]]], np.int64)
            feed["use_cache_branch"] = np.array([not first])
            logits, *present = self._session.run(None, feed)
            token = int(logits[0, -1].argmax())
            if token == END:
                break
            tokens.append(token)
            for name, value in zip(outputs[1:], present, strict=True):
                if first or ".decoder." in name:
                    feed[name.replace("present", "past_key_values")] = value
        return tokens[1:]

    def decode_each(self, frames: Sequence[np.ndarray], limits: Sequence[int]) -> list[list[int]]:
        """Decode several clips one by one."""
        return [self.decode(clip, limit) for clip, limit in zip(frames, limits, strict=True)]


class PublishedEncoder:
    """The published encoder graph."""

    def __init__(self, folder: Path) -> None:
        self._session = load_session(folder / "encoder_model.ort")

    def encode(self, samples: np.ndarray) -> np.ndarray:
        """Return the encoder states of a clip at 16 kHz, shape = (n_frames, 288)."""
        wave = np.pad(samples, (0, max(0, MIN_SAMPLES - len(samples))))[None].astype(np.float32)
        feed = {"input_values": wave, "attention_mask": np.ones(wave.shape, np.int64)}
        frames: np.ndarray = self._session.run(None, feed)[0][0]
        return frames


def compute_limit(clip: Clip) -> int:
    """Return the maximum number of tokens, as in `Moonshine`."""
    return max(MIN_TOKENS, int(clip.duration * TOKENS_PER_SECOND))


def encode(recogniser: Moonshine, clips: Sequence[Clip]) -> tuple[list[np.ndarray], list[int]]:
    """Return encoder states, each of shape (1, n_frames, 288), and token limits."""
    return [recogniser.frames(clip)[None] for clip in clips], [compute_limit(c) for c in clips]


def measure(run: Callable[[], Any]) -> np.ndarray:
    """Return wall and CPU seconds of a call."""
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return np.array([time.perf_counter() - wall, time.process_time() - cpu])


def measure_speed(
    old: PublishedDecoder, new: MoonshineDecoder, runs: int
) -> dict[str, dict[str, float]]:
    """Measure the median ratios of times, and the old wall time in milliseconds per clip."""
    recogniser = Moonshine()
    speech = corpus.load_speech().astype(np.float32) / 32_768
    figures = {}
    for seconds in SECONDS:
        size = seconds * SAMPLE_RATE
        clips = [Clip(speech[i * size :][:size], SAMPLE_RATE) for i in range(BATCH)]
        frames, limits = encode(recogniser, clips)
        for count in (1, BATCH):
            times = []
            for run in range(runs + 1):
                chosen = [(run + i) % BATCH for i in range(count)]
                inputs = [frames[i] for i in chosen], [limits[i] for i in chosen]
                times.append([measure(partial(d, *inputs)) for d in (old.decode_each, new.decode)])
            measured = np.array(times[1:])  # the first run is warmer for the second decoder
            wall, cpu = np.median(measured[:, 1] / measured[:, 0], 0)
            figures[f"{count} x {seconds} s"] = {
                "wall_ratio": round(float(wall), 3),
                "cpu_ratio": round(float(cpu), 3),
                "old_ms": round(float(np.median(measured[:, 0, 0])) / count * 1000, 1),
                "new_ms": round(float(np.median(measured[:, 1, 0])) / count * 1000, 1),
            }
    return figures


def compare_words(
    old: PublishedDecoder, new: MoonshineDecoder, paths: Sequence[Path]
) -> dict[str, float]:
    """Compute the shares of recordings with the old tokens, one by one and in batches."""
    recogniser = Moonshine()
    alone = together = 0
    for start in range(0, len(paths), BATCH):
        clips = [audio.load(path, SAMPLE_RATE) for path in paths[start : start + BATCH]]
        frames, limits = encode(recogniser, clips)
        expected = old.decode_each(frames, limits)
        batch = new.decode(frames, limits)
        for i, tokens in enumerate(expected):
            alone += new.decode([frames[i]], [limits[i]]) == [tokens]
            together += batch[i] == tokens
    return {
        "recordings": len(paths),
        "identical_alone": round(alone / len(paths), 4),
        "identical_in_batch": round(together / len(paths), 4),
    }


def compare_errors(
    encoder: PublishedEncoder, paths: Sequence[Path], texts: Sequence[str]
) -> dict[str, Any]:
    """Count the word errors of the published encoder, with and without noise, and of the package.

    All decode with the packaged decoder, so that the encoders are compared.
    """
    recogniser, rng = Moonshine(), np.random.default_rng(0)
    transcripts: dict[str, list[str]] = {"published": [], "with_noise": [], "package": []}
    for path in paths:
        clip = audio.load(path, SAMPLE_RATE)
        noise = rng.standard_normal(len(clip.samples)).astype(np.float32) * NOISE
        states = {
            "published": encoder.encode(clip.samples),
            "with_noise": encoder.encode(clip.samples + noise),
            "package": recogniser.frames(clip),
        }
        for name, frames in states.items():
            transcripts[name] += recogniser.decode([frames], [clip.duration])
    errors = {name: count_word_errors(texts, rows) for name, rows in transcripts.items()}
    return {name: f"{e.errors}/{e.words} ({e.rate:.4f})" for name, e in errors.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder of the published files")
    parser.add_argument("--speech", type=Path, nargs="*", default=[], metavar="FILE.jsonl")
    parser.add_argument("--root", type=Path, default=Path(), help="folder of the audio paths")
    parser.add_argument("--limit", type=int, help="recordings of each file (default: all)")
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    old, new = PublishedDecoder(arguments.folder), MoonshineDecoder()
    figures: dict[str, Any] = {"speed": measure_speed(old, new, arguments.runs), "words": {}}
    for file in arguments.speech:
        rows = [json.loads(line) for line in file.open(encoding="utf-8")][: arguments.limit]
        paths = [arguments.root / row["audio"] for row in rows]
        figures["words"][file.stem] = compare_words(old, new, paths)
        if all("text" in row for row in rows):
            errors = compare_errors(
                PublishedEncoder(arguments.folder), paths, [row["text"] for row in rows]
            )
            figures["words"][f"{file.stem}, word errors"] = errors
    if arguments.json:
        print(json.dumps(figures, indent=2))
        return
    for section in figures.values():
        for name, values in section.items():
            print(name, *(f"{key} {value}" for key, value in values.items()), sep="  ")


if __name__ == "__main__":
    main()
