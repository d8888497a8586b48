"""Whether a spoken answer sounds like its question when it is told to.

    python benchmarks/prosody.py [--engine NAME] [--voice NAME] [--json]

For each spoken question of the demo, a sentence of the packaged documents is spoken as an answer
would be: in the engine's own way, and following the question. Pitch, pace and loudness of question
and answer are measured by `wavrag.audio.prosody` and compared: mean absolute difference, and
Pearson's correlation over the questions with a 95 % interval (bootstrap). Without following, the
correlation is what comes about by chance. `within voices` correlates deviations from the mean of
each of the three voices that ask, so that it says nothing of who asks, only of how.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import corpus
import numpy as np
import speak as spoken_back

from wavrag.audio import load
from wavrag.audio.prosody import Prosody, measure_prosody
from wavrag.speech import ENGINES, Engine, Style, best_engine, match_style, measure_voice, speak

UNITS = {"pitch": "semitones", "pace": "syllables/s", "loudness": "LU"}


def values(prosody: Prosody) -> list[float]:
    """Pitch in semitones over 100 Hz, syllables a second, LUFS; NaN for what is not known."""
    f0, rate, loudness = prosody.f0, prosody.rate, prosody.loudness
    return [
        12 * np.log2(f0 / 100) if f0 else np.nan,
        np.nan if rate is None else rate,
        np.nan if loudness is None else loudness,
    ]


def correlation(a: np.ndarray, b: np.ndarray) -> dict[str, float]:
    """Pearson's r and its interval."""
    drawn = np.random.default_rng(0).integers(len(a), size=(2_000, len(a)))
    with np.errstate(invalid="ignore", divide="ignore"):
        some = [float(np.corrcoef(a[at], b[at])[0, 1]) for at in drawn]
        low, high = np.nanpercentile(some, (2.5, 97.5))
        r = float(np.corrcoef(a, b)[0, 1])
    return {"r": round(r, 2), "low": round(float(low), 2), "high": round(float(high), 2)}


def centred(column: np.ndarray, voices: np.ndarray) -> np.ndarray:
    """Deviations from the mean of each voice."""
    means = {voice: column[voices == voice].mean() for voice in set(voices)}
    return column - np.array([means[voice] for voice in voices])


def compare(asked: np.ndarray, said: np.ndarray, voices: np.ndarray) -> dict[str, Any]:
    """How close answers are to questions, for each of `UNITS`."""
    figures = {}
    for at, name in enumerate(UNITS):
        known = ~np.isnan(asked[:, at]) & ~np.isnan(said[:, at])
        a, b, who = asked[known, at], said[known, at], voices[known]
        figures[name] = {
            "pairs": int(known.sum()),
            "difference": round(float(np.abs(a - b).mean()), 2),
            "over all": correlation(a, b),
            "within voices": correlation(centred(a, who), centred(b, who)),
        }
    return figures


def measured(engine: Engine, voice: str) -> dict[str, Any]:
    """Figures without following and with it."""
    questions = json.loads((corpus.QUESTIONS / "questions.json").read_text())["spoken"]
    heard = [measure_prosody(load(corpus.QUESTIONS / question["file"])) for question in questions]
    voices = np.array([question["voice"] for question in questions])
    texts = spoken_back.texts(len(questions))
    own = measure_voice(engine, voice)
    styles = {
        "own way": [Style()] * len(heard),
        "following": [match_style(prosody, own) for prosody in heard],
    }
    asked = np.array([values(prosody) for prosody in heard])
    figures: dict[str, Any] = {"questions": len(questions)}
    for name, chosen in styles.items():
        said = [
            values(measure_prosody(speak(text, engine, voice, style)))
            for text, style in zip(texts, chosen, strict=True)
        ]
        figures[name] = compare(asked, np.array(said), voices)
    figures["styles at a limit"] = {
        "pitch": sum(abs(style.pitch) >= 4 for style in styles["following"]),
        "rate": sum(style.rate in (0.8, 1.25) for style in styles["following"]),
        "energy": sum(abs(style.energy) >= 8 for style in styles["following"]),
    }
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engine", choices=ENGINES, help="the best one here if none is named")
    parser.add_argument("--voice", help="the engine's default voice if none is named")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    engine = best_engine(arguments.engine)
    voice = arguments.voice or engine.default_voice
    figures = measured(engine, voice)
    if arguments.json:
        print(json.dumps({"engine": engine.name, "voice": voice, **figures}, indent=1))
        return
    print(f"{engine.name} ({voice}), {figures['questions']} questions")
    for name, unit in UNITS.items():
        for way in ("own way", "following"):
            line = figures[way][name]
            told = " ".join(
                f"{kind} r {line[kind]['r']:+.2f} ({line[kind]['low']:+.2f} to"
                f" {line[kind]['high']:+.2f})"
                for kind in ("over all", "within voices")
            )
            print(f"{name:9} {way:10} off by {line['difference']:5.2f} {unit:11} {told}")
    print("styles at a limit:", figures["styles at a limit"])


if __name__ == "__main__":
    main()
