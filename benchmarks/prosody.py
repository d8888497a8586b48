"""Prosody of spoken answers: does an answer follow the pitch, pace and loudness of its question?

    python benchmarks/prosody.py [--engine NAME] [--voice NAME] [--json]

For each spoken question of the demo, a sentence of the packaged documents is spoken as its answer,
in the engine's default style and following the question. Prints, for pitch, pace and loudness, the
mean absolute difference between question and answer, and Pearson's correlation over the questions
with a 95 % bootstrap interval. The correlation in the default style is due to chance. `within
voices` correlates deviations from the mean of each of the three voices, without the effect of the
voice itself.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import corpus
import numpy as np
import speak as speak_benchmark

from wavrag.audio import load
from wavrag.audio.prosody import Prosody, measure_prosody
from wavrag.speech import ENGINES, Engine, Style, best_engine, match_style, measure_voice, speak

UNITS = {"pitch": "semitones", "pace": "syllables/s", "loudness": "LU"}


def values(prosody: Prosody) -> list[float]:
    """Convert to semitones over 100 Hz, syllables per second and LUFS; NaN if unknown."""
    f0, rate, loudness = prosody.f0, prosody.rate, prosody.loudness
    return [
        12 * np.log2(f0 / 100) if f0 else np.nan,
        np.nan if rate is None else rate,
        np.nan if loudness is None else loudness,
    ]


def correlation(a: np.ndarray, b: np.ndarray) -> dict[str, float]:
    """Compute Pearson's r with its interval."""
    samples = np.random.default_rng(0).integers(len(a), size=(2_000, len(a)))
    with np.errstate(invalid="ignore", divide="ignore"):
        correlations = [float(np.corrcoef(a[column], b[column])[0, 1]) for column in samples]
        low, high = np.nanpercentile(correlations, (2.5, 97.5))
        r = float(np.corrcoef(a, b)[0, 1])
    return {"r": round(r, 2), "low": round(float(low), 2), "high": round(float(high), 2)}


def subtract_voice_means(column: np.ndarray, voices: np.ndarray) -> np.ndarray:
    """Subtract the mean of each voice."""
    means = {voice: column[voices == voice].mean() for voice in set(voices)}
    return column - np.array([means[voice] for voice in voices])


def compare(
    question_values: np.ndarray, answer_values: np.ndarray, voices: np.ndarray
) -> dict[str, Any]:
    """Compare answers with questions, for each of `UNITS`."""
    figures = {}
    for column, name in enumerate(UNITS):
        valid = ~np.isnan(question_values[:, column]) & ~np.isnan(answer_values[:, column])
        a, b, speakers = question_values[valid, column], answer_values[valid, column], voices[valid]
        figures[name] = {
            "pairs": int(valid.sum()),
            "difference": round(float(np.abs(a - b).mean()), 2),
            "over all": correlation(a, b),
            "within voices": correlation(
                subtract_voice_means(a, speakers), subtract_voice_means(b, speakers)
            ),
        }
    return figures


def measure(engine: Engine, voice: str) -> dict[str, Any]:
    """Measure answers in the default style and following the question."""
    questions = json.loads((corpus.QUESTIONS / "questions.json").read_text())["spoken"]
    question_prosody = [
        measure_prosody(load(corpus.QUESTIONS / question["file"])) for question in questions
    ]
    voices = np.array([question["voice"] for question in questions])
    texts = speak_benchmark.select_sentences(len(questions))
    own_voice = measure_voice(engine, voice)
    styles = {
        "own way": [Style()] * len(question_prosody),
        "following": [match_style(prosody, own_voice) for prosody in question_prosody],
    }
    question_values = np.array([values(prosody) for prosody in question_prosody])
    figures: dict[str, Any] = {"questions": len(questions)}
    for name, voice_styles in styles.items():
        answer_values = [
            values(measure_prosody(speak(text, engine, voice, style)))
            for text, style in zip(texts, voice_styles, strict=True)
        ]
        figures[name] = compare(question_values, np.array(answer_values), voices)
    figures["styles at a limit"] = {
        "pitch": sum(abs(style.pitch) >= 4 for style in styles["following"]),
        "rate": sum(style.rate in (0.8, 1.25) for style in styles["following"]),
        "energy": sum(abs(style.energy) >= 8 for style in styles["following"]),
    }
    return figures


def main() -> None:
    """Run the benchmark and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--engine", choices=ENGINES, help="speech engine (default: the best one installed)"
    )
    parser.add_argument("--voice", help="voice (default: the engine's)")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    engine = best_engine(arguments.engine)
    voice = arguments.voice or engine.default_voice
    figures = measure(engine, voice)
    if arguments.json:
        print(json.dumps({"engine": engine.name, "voice": voice, **figures}, indent=1))
        return
    print(f"{engine.name} ({voice}), {figures['questions']} questions")
    for name, unit in UNITS.items():
        for way in ("own way", "following"):
            line = figures[way][name]
            text = " ".join(
                f"{kind} r {line[kind]['r']:+.2f} ({line[kind]['low']:+.2f} to"
                f" {line[kind]['high']:+.2f})"
                for kind in ("over all", "within voices")
            )
            print(f"{name:9} {way:10} off by {line['difference']:5.2f} {unit:11} {text}")
    print("styles at a limit:", figures["styles at a limit"])


if __name__ == "__main__":
    main()
