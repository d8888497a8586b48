"""Recognition of remembered voices in later recordings: false acceptance and false rejection.

    python benchmarks/known_voices.py DATA [--tune]

The clips of each speaker are divided: up to 30 s make the voice print, up to 15 s of other clips
are the voice of a later recording, clean or with everyday sounds at 10 dB. False rejection: the
cosine with the speaker's own print is below the threshold. False acceptance: a voice without a
print is taken for one of five remembered speakers of its corpus. Held-out speakers: LibriSpeech
(evaluation), and speechocean762, split `test` (adults, and children under 16). The clips of a
speaker come from one session, so that another microphone or another day is not measured.

`--tune` uses training speakers that the projection of the encoder was not fitted on, with several
thresholds. `KNOWN_COSINE` was chosen on them.
"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from conversations import NOISE_DB, Line, ambience, line_pieces, read_lines, rms

from wavrag.audio import SAMPLE_RATE
from wavrag.embed import SpeakerEncoder
from wavrag.kb.speakers import KNOWN_COSINE
from wavrag.types import Float32

CORPORA = ("librispeech", "speechocean-test", "children-test")
TRAINING = ("librispeech_train", "speechocean-train", "children-train")
PRINT_SECONDS, VOICE_SECONDS = 30.0, 15.0
MIN_SECONDS = 4.0  # of either; other speakers are left out
SPEAKERS = 20  # of each corpus
REMEMBERED, DRAWS = 5, 200
THRESHOLDS = (0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8)


def divide(data: Path, lines: Sequence[Line], random: np.random.Generator) -> list[Float32]:
    """Speech for the print, and for the later recording."""
    lines = [lines[index] for index in random.permutation(len(lines))]
    pieces = [piece for line in lines for _, piece, _ in line_pieces(data, line, False)]
    half = max(1, len(pieces) // 2)
    groups = ((pieces[:half], PRINT_SECONDS), (pieces[half:], VOICE_SECONDS))
    return [
        np.concatenate([np.zeros(0, np.float32), *group])[: round(limit * SAMPLE_RATE)]
        for group, limit in groups
    ]


def embed_speakers(
    data: Path, corpus: str, encoder: SpeakerEncoder, tune: bool
) -> dict[str, Float32]:
    """Prints and voices of speakers, each of shape = (n_speakers, dim)."""
    rows: dict[str, list[Float32]] = {"print": [], "clean": [], "noise": []}
    random = np.random.default_rng(0)
    for name, lines in sorted(read_lines(data, corpus).items()):
        if tune and zlib.crc32(f"{corpus}:{name}".encode()) % 5 >= 2:
            continue
        first, later = divide(data, lines, random)
        if min(len(first), len(later)) < MIN_SECONDS * SAMPLE_RATE:
            continue
        noise = ambience(data, len(later), random)
        noisy = later + noise * np.float32(rms(later) / rms(noise) / 10 ** (NOISE_DB / 20))
        for key, samples in (("print", first), ("clean", later), ("noise", noisy)):
            rows[key].append(encoder.embed_voice(samples))
        if len(rows["print"]) == SPEAKERS:
            break
    return {key: np.stack(vectors) for key, vectors in rows.items()}


def error_rates(prints: Float32, voices: Float32, threshold: float) -> tuple[float, float]:
    """False rejection and false acceptance of voices, one per print in the same order."""
    cosines = voices @ prints.T
    rejection = float((np.diag(cosines) < threshold).mean())
    random = np.random.default_rng(1)
    accepted = []
    for _ in range(DRAWS):
        stranger, *remembered = random.permutation(len(prints))[: REMEMBERED + 1]
        accepted.append(cosines[stranger, remembered].max() >= threshold)
    return rejection, float(np.mean(accepted))


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with speech/ and sounds/")
    parser.add_argument("--tune", action="store_true", help="use training speakers")
    arguments = parser.parse_args()
    encoder = SpeakerEncoder()
    thresholds = THRESHOLDS if arguments.tune else (KNOWN_COSINE,)
    print("corpus             speakers  condition  cosine  false rejection  false acceptance")
    for corpus in TRAINING if arguments.tune else CORPORA:
        rows = embed_speakers(arguments.data, corpus, encoder, arguments.tune)
        for condition in ("clean", "noise"):
            for threshold in thresholds:
                rejection, acceptance = error_rates(rows["print"], rows[condition], threshold)
                print(
                    f"{corpus:18} {len(rows['print']):8}  {condition:9}  {threshold:6.2f}"
                    f"  {rejection:15.3f}  {acceptance:16.3f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
