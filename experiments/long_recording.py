"""Long recordings with known content: synthesised facts among sentences read by people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments.base import Context
from experiments.search import draw_sample, untrained_sentences
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
    """A question with the sentence of its answer.

    Attributes:
        id: id of the question.
        question: question from the log of a search engine.
        sentence: sentence with the answer.
    """

    id: str
    question: str
    sentence: str


def facts_of(context: Context) -> list[Fact]:
    """Draw questions with exactly one answering sentence of moderate length."""
    facts = []
    for row in context.rows("text/qed_eval.jsonl"):
        low, high = FACT_WORDS
        answers = {span["string"] for answer in row["answers"] for span in answer}
        matches = [
            sentence
            for start, end in sentences(row["paragraph"])
            if any(answer in (sentence := row["paragraph"][start:end]) for answer in answers)
        ]
        if len(matches) == 1 and low <= len(matches[0].split()) <= high:
            facts.append(Fact(row["id"], row["question"], matches[0]))
    return draw_sample(facts, QUICK_FACTS if context.quick else FACTS, context.seed)


def path_of(context: Context, minutes: int) -> Path:
    """Return the path of a recording by its length."""
    return context.out / f"recording-{minutes}min.wav"


def record(context: Context, facts: Sequence[Fact], minutes: int) -> dict[str, Any]:
    """Write a recording, and return the span of every fact in seconds."""
    engine = load_engine(ENGINE)
    rng = np.random.default_rng([context.seed, minutes])
    rows = untrained_sentences(context)
    filler = _filler(context, rows, rng)
    pause = np.zeros(int(PAUSE * SAMPLE_RATE), np.float32)
    blocks: list[Float32] = []
    length, locations = 0, {}
    order = rng.permutation(len(facts))
    for number, fact_number in enumerate(order.tolist()):
        fact = facts[fact_number]
        speech = _level(engine.speak(fact.sentence, FACT_VOICE, NEUTRAL).samples)
        # In the middle of its share of the recording, after the next end of a filler sentence.
        target = (number + 0.5) / len(facts) * minutes * 60 * SAMPLE_RATE - len(speech) / 2
        while length < target:
            sentence = next(filler)
            blocks += [sentence, pause]
            length += len(sentence) + len(pause)
        locations[fact.id] = [
            round(length / SAMPLE_RATE, 3),
            round((length + len(speech)) / SAMPLE_RATE, 3),
        ]
        blocks += [speech, pause]
        length += len(speech) + len(pause)
    while length < minutes * 60 * SAMPLE_RATE:
        sentence = next(filler)
        blocks += [sentence, pause]
        length += len(sentence) + len(pause)
    samples = np.concatenate(blocks)
    write_wav(path_of(context, minutes), Clip(samples, SAMPLE_RATE))
    return {"places": locations, "seconds": round(len(samples) / SAMPLE_RATE, 3)}


def _filler(
    context: Context, rows: Sequence[Mapping[str, Any]], rng: np.random.Generator
) -> Iterator[Float32]:
    """Yield read sentences in random order, without end."""
    while True:
        for row_number in rng.permutation(len(rows)).tolist():
            yield _level(load(context.data / rows[row_number]["audio"], SAMPLE_RATE).samples)


def _level(samples: Float32) -> Float32:
    """Scale samples to an RMS of 0.1, or less if they would clip."""
    gain = 0.1 / max(float(np.sqrt(np.mean(samples**2))), 1e-6)
    return samples * np.float32(min(gain, 0.99 / max(float(np.abs(samples).max()), 1e-6)))
