"""Speech in other languages: missed recordings and false alarms of `wavrag.embed.is_foreign`.

    python benchmarks/languages.py --data DATA_DIR [--model FILE.onnx] [--foreign FILE.jsonl]
        [--clips 120]

English comes from the folder `speech` of the data; espeak-ng speaks the other languages, and the
file adds clips with `audio` and `lang`. Clips of a set are joined to recordings of `MIN_LETTERS`
letters or more, clean and with pink noise or a babble of four English speakers at 5 dB.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from wavrag.audio import SAMPLE_RATE, load
from wavrag.embed import (
    LETTERS_FILE,
    LEXICON_FILE,
    WAVRETRIEVER_WEIGHTS,
    LanguageScore,
    english_score,
    is_foreign,
    load_session,
    read_common_words,
)
from wavrag.embed.language import MIN_LETTERS
from wavrag.types import Float32

TRAINING_SETS = ("librispeech_train", "kathleen", "kokoro_train")
TEST_SETS = ("librispeech", "speechocean762")
NOISE_DB = 5.0
MAX_SECONDS = 10.0
VARIANTS = ("", "+m3", "+m5", "+f2", "+f4")  # voices of espeak-ng
SENTENCES = {
    "de": "Der Zug nach München fährt heute erst um halb neun von Gleis sieben ab.|Meine Großmutter"
    " hat im Garten hinter dem Haus immer Kartoffeln angebaut.|Die Sitzung des Gemeinderats wurde"
    " auf den kommenden Donnerstag verschoben.|Er kaufte zwei Brötchen und eine Flasche Apfelsaft.",
    "es": "El tren a Sevilla sale esta mañana con veinte minutos de retraso.|Mi abuela cultivaba"
    " patatas y judías en el huerto detrás de la casa.|La reunión del ayuntamiento se ha aplazado"
    " hasta el próximo jueves.|Compró dos panecillos, un trozo de queso y una botella de zumo.",
    "fr": "Le train pour Marseille partira ce matin avec vingt minutes de retard.|Ma grand-mère"
    " préparait toujours une soupe aux légumes le dimanche soir.|La réunion du conseil a été"
    " reportée à jeudi prochain.|Il a acheté deux baguettes et une bouteille de jus.",
    "it": "Il treno per Firenze parte questa mattina con venti minuti di ritardo.|Mia nonna"
    " coltivava patate e fagioli nell'orto dietro la casa.|La riunione del consiglio comunale è"
    " stata rimandata a giovedì prossimo.|Ha comprato due panini e una bottiglia di succo.",
    "pl": "Pociąg do Krakowa odjedzie dziś rano z opóźnieniem.|Moja babcia zawsze sadziła ziemniaki"
    " i fasolę w ogrodzie za domem.|Posiedzenie rady gminy przełożono na następny czwartek.|Kupił"
    " dwie bułki, kawałek sera i butelkę soku jabłkowego.",
    "tr": "İzmir treni bu sabah yirmi dakika gecikmeyle kalkacak.|Büyükannem evin arkasındaki"
    " bahçede hep patates ve fasulye yetiştirirdi.|Belediye meclisi toplantısı gelecek perşembeye"
    " ertelendi.|İki küçük ekmek, bir parça peynir ve bir şişe elma suyu aldı.",
}


def read_english(data: Path, name: str, count: int) -> list[Float32]:
    """Draw clips of an English set."""
    lines = (data / "speech" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    random.Random(0).shuffle(rows)
    return [
        load(data / row["audio"], SAMPLE_RATE, row.get("start", 0.0), row.get("end")).samples
        for row in rows[:count]
    ]


def speak() -> Iterator[Float32]:
    """Speak the sentences, each with all voices."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "clip.wav")
        for language, sentences in SENTENCES.items():
            for sentence in sentences.split("|"):
                for variant in VARIANTS:
                    voice = language + variant
                    subprocess.run(["espeak-ng", "-v", voice, "-w", path, sentence], check=True)
                    yield load(path, SAMPLE_RATE).samples


def pink_noise(size: int, random_state: np.random.Generator) -> Float32:
    """Return noise with equal power in every octave."""
    spectrum = np.fft.rfft(random_state.standard_normal(size))
    spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), 1))
    return np.fft.irfft(spectrum, size).astype(np.float32)


def add_noise(samples: Float32, noise: Float32) -> Float32:
    """Add noise at `NOISE_DB` below the clip."""
    level, noise_level = (float(np.sqrt(np.mean(s**2))) for s in (samples, noise))
    return samples + noise * np.float32(level / noise_level * 10 ** (-NOISE_DB / 20))


def join_clips(scores: list[LanguageScore | None], letters: int) -> Iterator[list[LanguageScore]]:
    """Join clips to recordings of at least so many letters."""
    recording: list[LanguageScore] = []
    for score in filter(None, scores):
        recording.append(score)
        if sum(part.letters for part in recording) >= letters:
            yield recording
            recording = []


def main() -> None:
    """Print the share of recordings called foreign, for each set and condition."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path, default=WAVRETRIEVER_WEIGHTS / LETTERS_FILE)
    parser.add_argument("--foreign", type=Path)
    parser.add_argument("--clips", type=int, default=120)
    arguments = parser.parse_args()
    sets = {
        f"en {name}": read_english(arguments.data, name, arguments.clips)
        for name in TRAINING_SETS + TEST_SETS
    }
    speakers = [clip for clips in sets.values() for clip in clips if len(clip) > SAMPLE_RATE]
    sets["espeak-ng"] = list(speak())
    if arguments.foreign is not None:
        for line in arguments.foreign.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            if row["lang"] != "en":
                clip = load(arguments.foreign.parent / row["audio"], SAMPLE_RATE).samples
                sets.setdefault("file", []).append(clip)
    session = load_session(arguments.model)
    words = read_common_words(WAVRETRIEVER_WEIGHTS / LEXICON_FILE)
    random_state = np.random.default_rng(0)
    print(f"{'set':24} recordings  clean  pink   babble")
    for name, clips in sets.items():
        scores: dict[str, list[LanguageScore | None]] = defaultdict(list)
        for whole in clips:
            clip = whole[: int(MAX_SECONDS * SAMPLE_RATE)]
            talkers = [speakers[at] for at in random_state.integers(0, len(speakers), 4)]
            babble = sum(np.resize(t / np.sqrt(np.mean(t**2)), len(clip)) for t in talkers)
            variants = {
                "clean": clip,
                "pink": add_noise(clip, pink_noise(len(clip), random_state)),
                "babble": add_noise(clip, np.asarray(babble, np.float32)),
            }
            for condition, samples in variants.items():
                letters = session.run(None, {"samples": samples[None].astype(np.float32)})[0]
                scores[condition].append(english_score(letters, words))
        recordings = {c: list(join_clips(s, MIN_LETTERS)) for c, s in scores.items()}
        shares = [np.mean([is_foreign(r) for r in rows]) for rows in recordings.values()]
        figures = "  ".join(f"{share:5.3f}" for share in shares)
        print(f"{name:24} {len(recordings['clean']):10}  {figures}", flush=True)


if __name__ == "__main__":
    main()
