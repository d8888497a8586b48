"""Conversations made of clips of known speakers, with the true speaker of each moment.

Training speakers: LibriSpeech outside its evaluation sets, speechocean762 `train`, Kokoro voices.
Held-out speakers: LibriSpeech of the evaluation sets, speechocean762 `test`.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from wavrag import audio
from wavrag.audio import SAMPLE_RATE
from wavrag.types import Float32

FRAME = 160  # samples: references have a resolution of 10 ms
CONDITIONS = ("clean", "overlap", "noise")
NOISE_DB = 10.0  # signal-to-noise ratio of the condition `noise`


@dataclass(frozen=True)
class Line:
    """What a speaker says in one go."""

    speaker: str
    audio: str  # path in the data folder
    start: float  # seconds
    end: float | None
    text: str


@dataclass(frozen=True)
class Turn:
    """A line within a conversation."""

    start: float  # seconds of the first and after the last speech
    end: float
    line: Line


@dataclass(frozen=True)
class Conversation:
    """Samples at 16 kHz, turns, and who speaks in each frame of 10 ms."""

    samples: Float32
    turns: tuple[Turn, ...]
    speakers: tuple[str, ...]
    active: np.ndarray  # bool, shape = (n_frames, n_speakers)


def read_lines(data: Path, corpus: str) -> dict[str, list[Line]]:
    """Lines by speaker. `speechocean-test` and `-train` are adults, `children-...` under 16."""
    name, _, split = corpus.partition("-")
    file = {"children": "speechocean762", "speechocean": "speechocean762"}.get(name, name)
    lines = defaultdict(list)
    for text in (data / "speech" / f"{file}.jsonl").read_text().splitlines():
        row = json.loads(text)
        if split and (row["split"] != split or (row["age"] < 16) != (name == "children")):
            continue
        speaker = row.get("speaker") or row["voice"]
        lines[speaker].append(
            Line(speaker, row["audio"], row.get("start", 0.0), row.get("end"), row["text"])
        )
    return lines


def make_conversation(
    data: Path,
    lines: dict[str, list[Line]],
    speakers: int,
    condition: str,
    random: np.random.Generator,
    *,
    seconds: float = 90.0,
    whole: bool = False,
) -> Conversation:
    """Mix a conversation of up to `seconds`.

    Speakers alternate at random with pauses of .1 to 1 s. With the condition `overlap`, half of the
    turns begin .3 to 1.5 s before the end of the last one; `noise` adds everyday sounds at 10 dB.

    Args:
        data: folder with `speech/` and `sounds/`.
        lines: lines by speaker.
        speakers: number of speakers.
        condition: one of `CONDITIONS`.
        random: source of randomness.
        seconds: length; shorter if the speakers have no more lines.
        whole: True to keep clips whole, with their text; otherwise they are cut at pauses.
    """
    names = sorted(name for name, own in lines.items() if len(own) > (5 if whole else 0))
    names = [str(name) for name in random.choice(names, speakers, replace=False)]
    queues = {}
    for name in names:
        own = [lines[name][i] for i in random.permutation(len(lines[name]))[:20]]
        pieces = [piece for line in own for piece in line_pieces(data, line, whole)]
        queues[name] = pieces
    gains = {name: 10 ** (random.uniform(-3, 3) / 20) for name in names}
    mix = np.zeros(round((seconds + 60) * SAMPLE_RATE), np.float32)
    active = np.zeros((len(mix) // FRAME + 1, speakers), bool)
    turns: list[Turn] = []
    at, last = 0.5, ""
    while at < seconds:
        # Everybody speaks once before anybody speaks twice.
        fresh = [name for name in names if name not in {turn.line.speaker for turn in turns}]
        choices = [name for name in (fresh or names) if name != last and queues[name]]
        if not choices:
            break
        last = str(random.choice(choices))
        line, samples, spans = queues[last].pop()
        start = round(max(at, 0.0) * SAMPLE_RATE)
        samples = samples * np.float32(0.05 * gains[last] / rms(samples))
        mix[start : start + len(samples)] += samples
        offset = start / SAMPLE_RATE
        for begin, end in spans:
            frames = slice(*(round((offset + t) * SAMPLE_RATE / FRAME) for t in (begin, end)))
            active[frames, names.index(last)] = True
        turns.append(Turn(offset + spans[0][0], offset + spans[-1][1], line))
        overlaps = condition == "overlap" and random.random() < 0.5
        gap = -random.uniform(0.3, 1.5) if overlaps else random.uniform(0.1, 1.0)
        at = max(turns[-1].end + gap, turns[-1].start + 0.5)
    end = round((turns[-1].end + 0.5) * SAMPLE_RATE)
    samples = mix[:end]
    if condition == "noise":
        noise = ambience(data, end, random)
        samples = samples + noise * np.float32(rms(samples) / rms(noise) / 10 ** (NOISE_DB / 20))
    return Conversation(samples, tuple(turns), tuple(names), active[: end // FRAME])


@cache
def line_pieces(data: Path, line: Line, whole: bool) -> list[tuple[Line, Float32, list]]:
    """The samples of a line with its spans of speech, cut at pauses after 3 s unless `whole`."""
    samples = audio.load(data / line.audio, SAMPLE_RATE, line.start, line.end).samples
    detector = audio.VoiceDetector()
    frames = (np.pad(f, (0, 512 - len(f))) for f in audio.vad_frames([samples]))
    voiced = [detector.probability(frame) >= 0.5 for frame in frames]
    edges = np.flatnonzero(np.diff([0, *voiced, 0])).reshape(-1, 2) * 512 / SAMPLE_RATE
    groups: list[list[list[float]]] = []
    for begin, end in edges:
        if groups and begin - groups[-1][-1][1] < 0.3:
            groups[-1][-1][1] = end  # a short pause within a sentence
        elif groups and (whole or groups[-1][-1][1] - groups[-1][0][0] < 3.0):
            groups[-1].append([begin, end])
        else:
            groups.append([[begin, end]])
    pieces = []
    for spans in groups:
        first = max(0.0, spans[0][0] - 0.1)
        cut = samples[round(first * SAMPLE_RATE) : round((spans[-1][1] + 0.1) * SAMPLE_RATE)]
        if spans[-1][1] - spans[0][0] >= 0.5:
            pieces.append((line, cut, [(begin - first, end - first) for begin, end in spans]))
    return pieces


@cache
def sound_files(data: Path) -> list[str]:
    """Paths of ambiences and everyday sounds."""
    rows = (data / "sounds" / "moodist.jsonl").read_text().splitlines()
    return [json.loads(row)["audio"] for row in rows]


def ambience(data: Path, length: int, random: np.random.Generator) -> Float32:
    """Samples of sounds one after the other."""
    parts: list[Float32] = []
    while sum(map(len, parts)) < length:
        sound = audio.load(data / str(random.choice(sound_files(data))), SAMPLE_RATE, 0.0, 30.0)
        if rms(sound.samples) > 1e-4:
            parts.append(sound.samples / np.float32(rms(sound.samples)))
    return np.concatenate(parts)[:length]


def rms(samples: Float32) -> float:
    """Root mean square."""
    return max(1e-9, float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))))


def diarisation_error(
    conversation: Conversation, spans: Iterable[tuple[float, float, int]], collar: float = 0.25
) -> tuple[float, float]:
    """Seconds of error and of speech, as `md-eval` counts them, overlaps included.

    Args:
        conversation: with the truth.
        spans: start and end in seconds and speaker of each span of the system.
        collar: seconds around each start and end of true speech that do not count.
    """
    from scipy.optimize import linear_sum_assignment

    truth = conversation.active
    spans = list(spans)
    system = np.zeros((len(truth), max((span[2] for span in spans), default=0) + 1), bool)
    for start, end, speaker in spans:
        system[round(start * 100) : round(end * 100), speaker] = True
    scored = np.ones(len(truth), bool)
    for frame in np.flatnonzero(np.diff(truth.astype(int), axis=0, prepend=0).any(1)):
        width = round(collar * 100)
        scored[max(0, frame - width) : frame + width] = False
    truth, system = truth[scored], system[scored]
    common = truth.T.astype(int) @ system.astype(int)
    rows, columns = linear_sum_assignment(-common)
    larger = np.maximum(truth.sum(1), system.sum(1)).sum()
    return (larger - common[rows, columns].sum()) / 100, truth.sum() / 100
