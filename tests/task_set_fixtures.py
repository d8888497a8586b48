"""SQuTR and SVQ in miniature, in their published layouts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dataset_fixtures import put, put_parquet, wav, wav_bytes

SQUTR_CORPUS = [
    {"_id": "3", "title": "", "text": "Rainy days need savings."},
    {"_id": "4", "title": "Funds", "text": "An index fund follows the market."},
    {"_id": "5", "title": "", "text": ""},
    {"_id": "6", "title": "", "text": "Bonds pay interest."},
]


def put_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    """A file of JSON Lines."""
    return put(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def squtr(folder: Path) -> Path:
    """One set of SQuTR, clean and at 0 dB, as its page shows them."""
    put_lines(folder / "corpus.jsonl", SQUTR_CORPUS)
    asked = [("4641", "Where should I park my fund?"), ("5503", "What pays?"), ("7", "Unjudged?")]
    put_lines(folder / "queries.jsonl", [{"_id": id, "text": words} for id, words in asked])
    for condition, start in (("clean", ""), ("noise_snr_0", "noise_snr0_")):
        rows = []
        for id, words in asked:
            wav(folder / f"audio_{condition}" / f"{start}{id}.wav", value=len(start) + 1)
            row = {"_id": id, "text": words, "audio": f"{start}{id}.wav"}
            noise = {"snr_db": 0, "noise_id": "demand_SCAFE_ch07"}
            rows.append(row | (noise if start else {}))
        put_lines(folder / f"queries_with_audio_{condition}.jsonl", rows)
    put_lines(
        folder / "qrels" / "test.jsonl",
        [
            {"query-id": "4641", "corpus-id": "3", "score": 1},
            {"query-id": "4641", "corpus-id": "4", "score": 2},
            {"query-id": "5503", "corpus-id": "6", "score": 1},
        ],
    )
    return folder


def svq_row(id: str, locale: str, environment: str, passage: str) -> dict[str, Any]:
    """A line of the retrieval task, with the keys of the published one."""
    return {
        "text": f"What is {id}?",
        "speaker_id": "speaker_1",
        "speaker_gender": "female",
        "speaker_age": 40,
        "environment": environment,
        "locale": locale,
        "passage_id": passage,
        "utt_id": id,
        "page_title": "Title",
        "passage_text": "Text.",
        "span": None,
        "page_id": "Title",
        "task": "retrieval_in_lang",
    }


def svq(folder: Path, *, indexed: bool = True, nested: bool = True) -> Path:
    """SVQ: three American utterances, one of them under noise, and a Finnish one.

    Args:
        folder: to fill.
        indexed: with `utt_index.jsonl`.
        nested: waveforms as the hub's library stores sound, or else plain bytes.
    """
    asked = [
        ("utt_1", "en_us", "clean", "english-1"),
        ("utt_2", "en_us", "traffic_noise", "english-2"),
        ("utt_3", "fi_fi", "clean", "finnish-1"),
        ("utt_4", "en_us", "clean", "english-9"),
    ]
    put_lines(folder / "passage_retrieval_in_lang.jsonl", [svq_row(*row) for row in asked])
    passages = [("english-1", "Steel melts."), ("english-2", "Otranto."), ("finnish-1", "Järvi.")]
    put_lines(
        folder / "passage_retrieval_in_lang_index.jsonl",
        [{"id": id, "title": "A title", "context": words} for id, words in passages],
    )
    index = []
    files: dict[str, list[dict[str, Any]]] = {}
    for number, (id, locale, environment, _) in enumerate(asked, start=1):
        name = f"audio/utts_{locale}_{environment}"
        rows = files.setdefault(name, [])
        index.append({"utt_id": id, "locale": locale, "index": f"{name}:{len(rows)}"})
        sound = wav_bytes([number] * 4)
        rows.append({"utt_id": id, "waveform": {"bytes": sound, "path": None} if nested else sound})
    for name, rows in files.items():
        put_parquet(folder / f"{name}.parquet", rows)
    if indexed:
        put_lines(folder / "utt_index.jsonl", index)
    return folder
