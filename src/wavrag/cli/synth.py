"""`wavrag synth`: turns texts of training records into synthetic speech."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from wavrag.cli.command import Command
from wavrag.cli.options import JSON, KOKORO, SEED, Option
from wavrag.cli.output import NoteLog, format_count, note, print_json, short_path
from wavrag.cli.progress import ProgressBar
from wavrag.errors import InputError

if TYPE_CHECKING:
    from wavrag.data import Speaker, TrainingRecord
    from wavrag.types import NoteCallback


def synth(arguments: argparse.Namespace) -> int:
    """Speak the texts of records; exit code 1 if a line was skipped or a text failed."""
    from wavrag.data import SpeakOptions, speak_records

    skipped = NoteLog("skipped", quiet=arguments.json)
    # islice, so that --limit does not read the rest of a large file.
    records = list(islice(_read_records(arguments.records, skipped), arguments.limit))
    if not records:
        raise InputError(f"{arguments.records} holds no record")
    engines = _load_engines(arguments)
    options = SpeakOptions(
        arguments.fields, tuple(arguments.voice), arguments.seed, arguments.threads
    )
    folder = Path(arguments.out)
    out = folder / "records.jsonl"
    with ProgressBar("speaking", "texts", quiet=arguments.json) as bar:
        report = speak_records(records, engines, folder, options, bar)
    if arguments.json:
        print_json({
            "out": str(out),
            "records": report.records,
            "spoken": report.new_clips,
            "reused": report.reused_clips,
            "failed": [{"id": name, "reason": reason} for name, reason in report.failures],
            "skipped": skipped.messages,
        })  # fmt: skip
    else:
        for name, reason in report.failures:
            note(f"failed: {name}: {reason}")
        print(
            f"{short_path(str(out))}: {format_count(report.records, 'record')},"
            f" {format_count(report.new_clips, 'clip')} spoken, {report.reused_clips:,} reused,"
            f" {format_count(len(report.failures), 'record')} failed"
        )
    return 1 if report.failures or skipped.messages else 0


def _read_records(path: str, on_note: NoteCallback) -> Iterator[TrainingRecord]:
    from wavrag.data import read_questions, read_records

    if path.lower().endswith(".txt"):
        return read_questions(path)
    return read_records(path, on_note)


def load_engines(
    names: Sequence[str], kokoro: str | None, piper: Sequence[str] = ()
) -> list[Speaker]:
    """Load speech engines by the values of --engine, --kokoro and --piper."""
    from wavrag.data import load_speaker

    folder = Path(kokoro) if kokoro else None
    # An engine given twice is drawn no more often than the others.
    return [
        load_speaker(name, folder, list(map(Path, piper)))
        for name in dict.fromkeys(names or ["flite"])
    ]


def _load_engines(arguments: argparse.Namespace) -> list[Speaker]:
    from wavrag.data import Endpoint, load_speaker

    names = [name for name in arguments.engine if name != "openai"]
    if "openai" not in arguments.engine:
        return load_engines(names, arguments.kokoro, arguments.piper)
    local = load_engines(names, arguments.kokoro, arguments.piper) if names else []
    endpoint = Endpoint(arguments.model, arguments.base_url) if arguments.model else None
    # A service cannot list its voices, so it gets those of --voice that no local engine has.
    local_voices = {voice for engine in local for voice in engine.voices}
    voices = tuple(voice for voice in arguments.voice if voice not in local_voices)
    if endpoint and voices:
        endpoint = replace(endpoint, voices=voices)
    return [*local, load_speaker("openai", endpoint=endpoint)]


COMMAND = Command(
    "synth",
    "turn texts of training records into synthetic speech",
    synth,
    (
        Option("records", "RECORDS", "training records (.jsonl), or a question per line (.txt)"),
        Option("--out", "DIR", "output folder for the records and their clips", required=True),
        Option("--fields", help="which texts of a record to synthesise",
            choices=("query", "positives", "all"), default="query"),
        Option("--engine", "NAME", "speech engine: flite, espeak, festival, kokoro, piper or"
            " openai; one of several is drawn for each text", unset="flite", repeat=True),
        Option("--voice", "NAME", "voice to choose from", unset="all of the engines", repeat=True),
        KOKORO,
        Option("--piper", "MODEL.onnx", "voice file for the engine piper", repeat=True),
        Option("--base-url", "URL", "address for the engine openai",
            unset="$OPENAI_BASE_URL, or OpenAI's server"),
        Option("--model", "NAME", "model for the engine openai"),
        Option("--threads", "N", "texts spoken at the same time",
            unset="$WAVRAG_THREADS, or all processors", minimum=1),
        Option("--limit", "N", "use only the first N records", unset="all", minimum=1),
        SEED,
        JSON,
    ),
    (
        "wavrag synth questions.txt --out spoken --limit 1000",
        "wavrag synth records.jsonl --out spoken --fields positives --engine flite --engine espeak",
        "wavrag synth records.jsonl --out spoken --engine openai --model gpt-4o-mini-tts",
    ),
)  # fmt: skip
