"""Intelligibility of spoken answers: word error rate of a recogniser, by speech engine.

    python benchmarks/speak.py [--engine NAME ...] [--voice NAME] [--sentences 30] [--json]

Prints the word error rate with a 95 % bootstrap interval over sentences, and the synthesis time per
second of audio. Sentences without digits from the packaged documents are spoken by each engine in
its default voice and recognised by Moonshine tiny. Words are compared in lower case, without
punctuation, in American spelling. Without `--engine`, all available engines run (`docs/voice.md`).
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Sequence
from typing import Any

import corpus
import numpy as np

from wavrag import load_embedder
from wavrag.errors import WavRAGError
from wavrag.speech import ENGINES, Engine, Style, best_engine, speak
from wavrag.text import edit_distance, read, sentences
from wavrag.types import EmbedInput

STYLES = {
    "own way": Style(),
    "a fifth faster": Style(rate=1.2),
    "3 semitones up": Style(pitch=3.0),
    "3 semitones down": Style(pitch=-3.0),
}

# The documents use British spelling, the recogniser American.
SPELLINGS = {
    "harbour": "harbor", "metre": "meter", "metres": "meters", "centimetre": "centimeter",
    "centimetres": "centimeters", "litre": "liter", "litres": "liters", "colour": "color",
    "grey": "gray", "mould": "mold", "saint": "st",
}  # fmt: skip


def words(text: str) -> list[str]:
    """Split a text into lower-case words without punctuation."""
    plain = re.sub(r"[^a-z' ]+", " ", text.lower().replace("\u2019", "'"))
    return [SPELLINGS.get(word, word) for word in plain.split()]


def select_sentences(count: int) -> list[str]:
    """Select sentences of 8 to 20 words, evenly spread over the packaged documents."""
    candidates = []
    for path in sorted(corpus.DOCUMENTS.iterdir()):
        text = read(path).text
        for start, end in sentences(text):
            sentence = " ".join(text[start:end].split())
            plain = re.fullmatch(r"[A-Z][A-Za-z' ,;-]+\.", sentence)
            if plain and 8 <= len(words(sentence)) <= 20:
                candidates.append(sentence)
    positions = np.linspace(0, len(candidates) - 1, min(count, len(candidates))).round().astype(int)
    return [candidates[position] for position in positions]


def word_error(references: Sequence[str], hypotheses: Sequence[str]) -> dict[str, float]:
    """Compute the word error rate in per cent, with its interval."""
    errors = np.array(
        [edit_distance(words(b), words(a)) for a, b in zip(references, hypotheses, strict=True)]
    )
    length = np.array([len(words(text)) for text in references])
    samples = np.random.default_rng(0).integers(len(references), size=(2_000, len(references)))
    low, high = np.percentile(errors[samples].sum(1) / length[samples].sum(1), (2.5, 97.5))
    rate = errors.sum() / length.sum()
    return {
        name: round(100 * float(x), 1)
        for name, x in zip(("wer", "low", "high"), (rate, low, high), strict=True)
    }


def measure(
    engine: Engine, voice: str, references: Sequence[str], recogniser: Any
) -> dict[str, Any]:
    """Measure word errors and synthesis time in every style."""
    figures: dict[str, Any] = {}
    for name, style in STYLES.items():
        started = time.perf_counter()
        clips = [speak(text, engine, voice, style) for text in references]
        seconds = time.perf_counter() - started
        hypotheses = recogniser.embed_with_texts(
            [EmbedInput(clip=clip) for clip in clips], "passage"
        ).texts
        figures[name] = word_error(references, [text or "" for text in hypotheses])
        figures[name]["real_time"] = round(seconds / sum(clip.duration for clip in clips), 3)
    return figures


def main() -> None:
    """Run the benchmark and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engine", action="append", choices=ENGINES)
    parser.add_argument("--voice", help="voice, with a single --engine (default: the engine's)")
    parser.add_argument("--sentences", type=int, default=30)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    recogniser, references = load_embedder("cascade"), select_sentences(arguments.sentences)
    figures: dict[str, Any] = {
        "sentences": len(references),
        "words": sum(len(words(t)) for t in references),
    }
    for name in arguments.engine or ENGINES:
        try:
            engine = best_engine(name)
        except WavRAGError as error:
            if arguments.engine:
                raise
            print(f"{name}: not available ({error})")
            continue
        voice = arguments.voice or engine.default_voice
        figures[f"{name} ({voice})"] = measure(engine, voice, references, recogniser)
    if arguments.json:
        print(json.dumps(figures, indent=1))
        return
    print(f"{figures.pop('sentences')} sentences, {figures.pop('words')} words")
    for name, styles in figures.items():
        for style, line in styles.items():
            print(
                f"{name:28} {style:18} WER {line['wer']:5.1f} % ({line['low']:.1f}"
                f" to {line['high']:.1f}), {line['real_time']:.2f} s a second of sound"
            )


if __name__ == "__main__":
    main()
