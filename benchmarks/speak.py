"""How many words of a spoken answer a recogniser gets back, engine by engine.

    python benchmarks/speak.py [--engine NAME ...] [--voice NAME] [--sentences 30] [--json]

Sentences of the packaged documents, spread over them, without digits; spoken by each engine in
its default voice; recognised by the cascade's recogniser (Moonshine tiny). Words are compared in
lower case, without punctuation, in one spelling. The interval is a bootstrap over sentences, 95 %.
Without `--engine`, every engine that is installed or named by the environment (`docs/voice.md`).
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

# The documents are spelt as in Britain, the recogniser writes American.
SPELLINGS = {
    "harbour": "harbor", "metre": "meter", "metres": "meters", "centimetre": "centimeter",
    "centimetres": "centimeters", "litre": "liter", "litres": "liters", "colour": "color",
    "grey": "gray", "mould": "mold", "saint": "st",
}  # fmt: skip


def words(text: str) -> list[str]:
    """The words of a text, in lower case and without punctuation."""
    plain = re.sub(r"[^a-z' ]+", " ", text.lower().replace("\u2019", "'"))
    return [SPELLINGS.get(word, word) for word in plain.split()]


def texts(count: int) -> list[str]:
    """Sentences of 8 to 20 words, evenly spread over the packaged documents."""
    found = []
    for path in sorted(corpus.DOCUMENTS.iterdir()):
        whole = read(path).text
        for start, end in sentences(whole):
            sentence = " ".join(whole[start:end].split())
            plain = re.fullmatch(r"[A-Z][A-Za-z' ,;-]+\.", sentence)
            if plain and 8 <= len(words(sentence)) <= 20:
                found.append(sentence)
    places = np.linspace(0, len(found) - 1, min(count, len(found))).round().astype(int)
    return [found[at] for at in places]


def word_error(said: Sequence[str], heard: Sequence[str]) -> dict[str, float]:
    """Percent of words, with an interval."""
    wrong = np.array([edit_distance(words(b), words(a)) for a, b in zip(said, heard, strict=True)])
    length = np.array([len(words(text)) for text in said])
    drawn = np.random.default_rng(0).integers(len(said), size=(2_000, len(said)))
    low, high = np.percentile(wrong[drawn].sum(1) / length[drawn].sum(1), (2.5, 97.5))
    rate = wrong.sum() / length.sum()
    return {
        name: round(100 * float(x), 1)
        for name, x in zip(("wer", "low", "high"), (rate, low, high), strict=True)
    }


def measure(engine: Engine, voice: str, said: Sequence[str], recogniser: Any) -> dict[str, Any]:
    """Word errors in every style, and how fast it speaks."""
    figures: dict[str, Any] = {}
    for name, style in STYLES.items():
        started = time.perf_counter()
        clips = [speak(text, engine, voice, style) for text in said]
        seconds = time.perf_counter() - started
        heard = recogniser.embed_with_texts(
            [EmbedInput(clip=clip) for clip in clips], "passage"
        ).texts
        figures[name] = word_error(said, [text or "" for text in heard])
        figures[name]["real_time"] = round(seconds / sum(clip.duration for clip in clips), 3)
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engine", action="append", choices=ENGINES)
    parser.add_argument("--voice", help="of the one engine; its default voice if none is named")
    parser.add_argument("--sentences", type=int, default=30)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    recogniser, said = load_embedder("cascade"), texts(arguments.sentences)
    figures: dict[str, Any] = {"sentences": len(said), "words": sum(len(words(t)) for t in said)}
    for name in arguments.engine or ENGINES:
        try:
            engine = best_engine(name)
        except WavRAGError as error:
            if arguments.engine:
                raise
            print(f"{name}: not here ({error})")
            continue
        voice = arguments.voice or engine.default_voice
        figures[f"{name} ({voice})"] = measure(engine, voice, said, recogniser)
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
