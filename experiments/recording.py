"""Long recordings of known content: facts, spoken by a synthesiser, among sentences people read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments.asked import sample, untrained_sentences
from experiments.base import Context
from wavrag.audio import SAMPLE_RATE, load, write_wav
from wavrag.speech import NEUTRAL, load_engine
from wavrag.text import sentences
from wavrag.types import Clip, Float32

FACTS, QUICK_FACTS = 40, 4  # in each recording
FACT_WORDS = (8, 22)
ENGINE, FACT_VOICE, QUESTION_VOICE = "flite", "slt", "rms"
PAUSE = 0.6  # s between sentences


@dataclass(frozen=True, slots=True)
class Fact:
    """A sentence that answers a question.

    Attributes:
        id: of the question.
        question: as it was typed into a search engine.
        sentence: that holds the answer.
    """

    id: str
    question: str
    sentence: str


def facts_of(context: Context) -> list[Fact]:
    """Questions with one sentence that holds an answer, short enough to be said at once."""
    found = []
    for row in context.rows("text/qed_eval.jsonl"):
        low, high = FACT_WORDS
        answers = {part["string"] for answer in row["answers"] for part in answer}
        holding = [
            sentence
            for start, end in sentences(row["paragraph"])
            if any(answer in (sentence := row["paragraph"][start:end]) for answer in answers)
        ]
        if len(holding) == 1 and low <= len(holding[0].split()) <= high:
            found.append(Fact(row["id"], row["question"], holding[0]))
    return sample(found, QUICK_FACTS if context.quick else FACTS, context.seed)


def path_of(context: Context, minutes: int) -> Path:
    """Where the recording of a length lies."""
    return context.out / f"recording-{minutes}min.wav"


def record(context: Context, facts: Sequence[Fact], minutes: int) -> dict[str, Any]:
    """Write a recording; the place of every fact, in seconds."""
    engine = load_engine(ENGINE)
    rng = np.random.default_rng([context.seed, minutes])
    rows = untrained_sentences(context)
    filler = _filler(context, rows, rng)
    pause = np.zeros(int(PAUSE * SAMPLE_RATE), np.float32)
    parts: list[Float32] = []
    length, places = 0, {}
    order = rng.permutation(len(facts))
    for number, place in enumerate(order.tolist()):
        fact = facts[place]
        spoken = _level(engine.speak(fact.sentence, FACT_VOICE, NEUTRAL).samples)
        # In the middle of its share of the recording, or as soon after as the filler ends.
        wanted = (number + 0.5) / len(facts) * minutes * 60 * SAMPLE_RATE - len(spoken) / 2
        while length < wanted:
            sentence = next(filler)
            parts += [sentence, pause]
            length += len(sentence) + len(pause)
        places[fact.id] = [
            round(length / SAMPLE_RATE, 3),
            round((length + len(spoken)) / SAMPLE_RATE, 3),
        ]
        parts += [spoken, pause]
        length += len(spoken) + len(pause)
    while length < minutes * 60 * SAMPLE_RATE:
        sentence = next(filler)
        parts += [sentence, pause]
        length += len(sentence) + len(pause)
    samples = np.concatenate(parts)
    write_wav(path_of(context, minutes), Clip(samples, SAMPLE_RATE))
    return {"places": places, "seconds": round(len(samples) / SAMPLE_RATE, 3)}


def _filler(
    context: Context, rows: Sequence[Mapping[str, Any]], rng: np.random.Generator
) -> Iterator[Float32]:
    """Sentences that people read, in random order, again from the start when all are said."""
    while True:
        for place in rng.permutation(len(rows)).tolist():
            yield _level(load(context.data / rows[place]["audio"], SAMPLE_RATE).samples)


def _level(samples: Float32) -> Float32:
    """As loud as all others: 0.1 of full scale (RMS), unless that would clip."""
    gain = 0.1 / max(float(np.sqrt(np.mean(samples**2))), 1e-6)
    return samples * np.float32(min(gain, 0.99 / max(float(np.abs(samples).max()), 1e-6)))
