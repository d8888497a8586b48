"""Diarisation error rate on conversations made of clips of held-out speakers.

    python benchmarks/diarisation.py DATA [--repeats 3] [--tune] [--json]

Conversations of 90 s with 2, 3, 4 and 6 speakers of one corpus: LibriSpeech (evaluation speakers)
and speechocean762 (split `test`: adults, and children under 16). A LibriSpeech clip is cut at
pauses into turns of 3 s or more; speakers alternate at random. `overlap`: half of the turns begin
before the last one ends. `noise`: ambiences at 10 dB. True speech is that of the voice activity
detector on the clean clips. The error is that of NIST: missed speech, false alarms and confusions
as a share of the speech, with a collar of .25 s and with overlaps. The baseline, no diarisation,
is one speaker.

`--tune` uses training speakers instead: those that the projection of the encoder was not fitted on.
The thresholds were chosen on them.
"""

from __future__ import annotations

import argparse
import json
import zlib
from collections import defaultdict
from pathlib import Path

import numpy as np
from conversations import CONDITIONS, diarisation_error, make_conversation, read_lines

from wavrag.embed import SpeakerEncoder, diarise

CORPORA = ("librispeech", "speechocean-test", "children-test")
TRAINING = ("librispeech_train", "speechocean-train", "children-train")
SPEAKERS = (2, 3, 4, 6)


def measure(data: Path, repeats: int, tune: bool) -> list[dict[str, object]]:
    """Error rates by corpus, number of speakers and condition."""
    encoder = SpeakerEncoder()
    rows = []
    for corpus in TRAINING if tune else CORPORA:
        lines = read_lines(data, corpus)
        if tune:
            held_out = [name for name in lines if zlib.crc32(f"{corpus}:{name}".encode()) % 5 < 2]
            lines = {name: lines[name] for name in held_out}
        for count in SPEAKERS:
            for condition in CONDITIONS:
                totals = np.zeros(4)
                for repeat in range(repeats):
                    random = np.random.default_rng([repeat, count, CONDITIONS.index(condition)])
                    conversation = make_conversation(data, lines, count, condition, random)
                    turns = diarise([conversation.samples], encoder).turns
                    spans = [(turn.start, turn.end, turn.speaker) for turn in turns]
                    error, speech = diarisation_error(conversation, spans)
                    single = [(start, end, 0) for start, end, _ in spans]
                    baseline, _ = diarisation_error(conversation, single)
                    right = len({turn.speaker for turn in turns}) == count
                    totals += error, baseline, speech, right
                rows.append({
                    "corpus": corpus, "speakers": count, "condition": condition,
                    "error": totals[0], "baseline": totals[1], "speech": totals[2],
                    "right_counts": totals[3], "conversations": repeats,
                })  # fmt: skip
    return rows


def summarise(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """Error rates for each corpus, for adults and for all."""
    groups: dict[tuple[object, ...], list[dict[str, object]]] = defaultdict(list)
    for row in rows:
        names = [row["corpus"], "all"]
        if not str(row["corpus"]).startswith("children"):
            names.append("adults")
        for name in names:
            groups[name, row["speakers"], row["condition"]].append(row)
    result = []
    for (name, count, condition), members in groups.items():
        sums = {
            key: sum(float(str(row[key])) for row in members)
            for key in ("error", "baseline", "speech", "right_counts", "conversations")
        }
        result.append({
            "corpus": name, "speakers": count, "condition": condition,
            "error_rate": round(sums["error"] / sums["speech"], 3),
            "no_diarisation": round(sums["baseline"] / sums["speech"], 3),
            "right_count": round(sums["right_counts"] / sums["conversations"], 2),
        })  # fmt: skip
    return result


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with speech/ and sounds/")
    parser.add_argument("--repeats", type=int, default=3, help="conversations of each kind")
    parser.add_argument("--tune", action="store_true", help="use training speakers")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = summarise(measure(arguments.data, arguments.repeats, arguments.tune))
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return
    print("corpus             speakers  condition  error  no diarisation  right count")
    for row in rows:
        print(
            f"{row['corpus']:18} {row['speakers']:8}  {row['condition']:9}  {row['error_rate']:.3f}"
            f"  {row['no_diarisation']:14.3f}  {row['right_count']:11.2f}"
        )


if __name__ == "__main__":
    main()
