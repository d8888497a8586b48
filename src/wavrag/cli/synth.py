"""`wavrag synth`: turns texts of training records into synthetic speech."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from wavrag.cli.command import Command
from wavrag.cli.options import add_json, add_list, add_seed, whole_number
from wavrag.cli.output import Bar, counted, note, print_json, short_path
from wavrag.errors import InputError

if TYPE_CHECKING:
    from wavrag.data import Speaker, TrainingRecord


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `wavrag synth`."""
    parser.add_argument(
        "records",
        metavar="RECORDS",
        help="training records (.jsonl), or questions (.txt), one per line",
    )
    parser.add_argument(
        "--out", required=True, metavar="DIR", help="output folder for the records and their clips"
    )
    parser.add_argument(
        "--part",
        choices=["query", "positives", "all"],
        default="query",
        help="texts of a record to speak (default: %(default)s)",
    )
    parser.add_argument(
        "--engine",
        action="append",
        metavar="NAME",
        help="speech engine: flite (default), espeak, festival, kokoro, piper or openai; if"
        " repeated, one is drawn for each text",
    )
    add_list(
        parser,
        "--voice",
        "NAME",
        "voice to draw from; may be repeated (default: all voices of the engines)",
    )
    parser.add_argument("--kokoro", metavar="DIR", help="folder of the Kokoro model")
    add_list(parser, "--piper", "MODEL.onnx", "voice file for the engine piper; may be repeated")
    parser.add_argument(
        "--base-url",
        metavar="URL",
        help="address for the engine openai (default: $OPENAI_BASE_URL, or OpenAI's server)",
    )
    parser.add_argument("--model", metavar="NAME", help="model for the engine openai")
    parser.add_argument(
        "--threads",
        type=whole_number(1),
        metavar="N",
        help="texts spoken at the same time (default: $WAVRAG_THREADS, or all processors)",
    )
    parser.add_argument(
        "--limit",
        type=whole_number(1),
        metavar="N",
        help="use only the first N records (default: all)",
    )
    add_seed(parser)
    add_json(parser)


def synth(arguments: argparse.Namespace) -> int:
    """Speak the texts of a file of records; 1 if anything was left out."""
    from wavrag.data import SpeakOptions, speak_records

    broken: list[str] = []
    records = list(islice(_records(arguments.records, broken), arguments.limit))
    if not arguments.json:
        for line in broken:
            note(f"skipped: {line}")
    if not records:
        raise InputError(f"{arguments.records} holds no record")
    engines = _engines(arguments)
    options = SpeakOptions(
        arguments.part, tuple(arguments.voice), arguments.seed, arguments.threads
    )
    folder = Path(arguments.out)
    with Bar("speaking", "texts", quiet=arguments.json) as bar:
        done = speak_records(records, engines, folder, options, bar)
    if arguments.json:
        print_json(
            {
                "out": str(folder / "records.jsonl"),
                "records": done.records,
                "spoken": done.spoken,
                "reused": done.reused,
                "failed": [{"id": name, "reason": reason} for name, reason in done.failures],
                "skipped": broken,
            }
        )
    else:
        for name, reason in done.failures:
            note(f"failed: {name}: {reason}")
        print(
            f"{short_path(str(folder / 'records.jsonl'))}: {counted(done.records, 'record')},"
            f" {counted(done.spoken, 'clip')} spoken, {done.reused:,} reused,"
            f" {counted(len(done.failures), 'record')} failed"
        )
    return 1 if done.failures or broken else 0


def _records(path: str, broken: list[str]) -> Iterator[TrainingRecord]:
    from wavrag.data import read_questions, read_records

    if path.lower().endswith(".txt"):
        return read_questions(path)
    return read_records(path, broken.append)


def _engines(arguments: argparse.Namespace) -> list[Speaker]:
    """The engines that were named; those of a service are told the voices that no other has."""
    from wavrag.data import Endpoint, load_speaker

    names = list(dict.fromkeys(arguments.engine or ["flite"]))
    kokoro = Path(arguments.kokoro) if arguments.kokoro else None
    local = [
        load_speaker(name, kokoro, list(map(Path, arguments.piper)))
        for name in names
        if name != "openai"
    ]
    if "openai" not in names:
        return local
    endpoint = Endpoint(arguments.model, arguments.base_url) if arguments.model else None
    taken = {voice for engine in local for voice in engine.voices}
    own = tuple(voice for voice in arguments.voice if voice not in taken)
    if endpoint and own:
        endpoint = replace(endpoint, voices=own)
    return [*local, load_speaker("openai", endpoint=endpoint)]


COMMAND = Command(
    "synth",
    "turn texts of training records into synthetic speech",
    synth,
    add_arguments,
    (
        "wavrag synth questions.txt --out spoken --limit 1000",
        "wavrag synth records.jsonl --out spoken --part positives --engine flite --engine espeak",
        "wavrag synth records.jsonl --out spoken --engine openai --model gpt-4o-mini-tts",
    ),
)
