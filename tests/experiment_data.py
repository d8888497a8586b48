"""A little data folder in the layout of the collected data, made of what the package ships."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wavrag import audio
from wavrag.demo import DATA

WORDS = (
    ("How did the lighthouse keep shining?", "The keeper turned the great lens by hand all night."),
    ("Where is the spare key?", "The spare key lies under the blue flowerpot by the door."),
    ("Who bought the old tram?", "The old tram was bought by the museum in the spring."),
    ("When was the library roof mended?", "The roof of the library was mended in late October."),
)


def make_data(folder: Path) -> Path:
    """Twelve real recordings of synthetic voices, as every set that the experiments read."""
    questions = json.loads((DATA / "questions" / "questions.json").read_text(encoding="utf-8"))
    spoken: list[dict[str, Any]] = questions["spoken"][:12]
    for name in ("speech", "text", "clips"):
        (folder / name).mkdir(parents=True)
    clips = []
    for number, row in enumerate(spoken):
        path = folder / "clips" / f"{number:02d}.wav"
        audio.write_wav(path, audio.resample(audio.load(DATA / "questions" / row["file"]), 16_000))
        clips.append(f"clips/{number:02d}.wav")
    write_rows(
        folder / "speech" / "squad_eval_kokoro.jsonl",
        [
            {"id": f"q{n}", "audio": clips[n], "text": row["text"], "positive": f"p{n}"}
            for n, row in enumerate(spoken)
        ],
    )
    write_rows(
        folder / "speech" / "librispeech.jsonl",
        [
            {"id": f"l{n}", "audio": clips[n], "text": row["text"].lower().rstrip("?")}
            for n, row in enumerate(spoken)
        ],
    )
    write_rows(
        folder / "speech" / "speechocean762.jsonl",
        [
            {
                "id": f"s{n}",
                "audio": clips[n],
                "text": row["text"].lower().rstrip("?"),
                "speaker": f"{n % 6}",
                "split": "test",
            }
            for n, row in enumerate(spoken)
        ]
        + [{"id": "t", "audio": clips[0], "text": "seen", "speaker": "t", "split": "train"}],
    )
    write_rows(
        folder / "text" / "squad_dev_eval.jsonl",
        [
            {
                "id": f"p{n}",
                "title": "Island",
                "context": f"{row['answer_contains']}. {row['text']}",
            }
            for n, row in enumerate(spoken)
        ],
    )
    write_rows(
        folder / "text" / "qed_eval.jsonl",
        [
            {
                "id": f"e{n}",
                "question": question,
                "paragraph": f"It is a small town. {sentence}",
                "answers": [[{"string": sentence.split()[-1].rstrip(".")}]],
            }
            for n, (question, sentence) in enumerate(WORDS)
        ],
    )
    return folder


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
