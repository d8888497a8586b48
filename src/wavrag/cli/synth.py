"""`wavrag synth`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from wavrag.cli.output import Bar, UsageError, counted, note, print_json, short_path
from wavrag.errors import InputError

if TYPE_CHECKING:
    from wavrag.data import Speaker, TrainingRecord


def synth(arguments: argparse.Namespace) -> int:
    """Speak the texts of a file of records; 1 if anything was left out."""
    from wavrag.data import SpeakOptions, speak_records

    for option in ("limit", "threads"):
        number = getattr(arguments, option)
        if number is not None and number < 1:
            raise UsageError(f"--{option} {number}: give it a number above 0")
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
    from wavrag.data import Endpoint, load_engine

    names = list(dict.fromkeys(arguments.engine or ["flite"]))
    kokoro = Path(arguments.kokoro) if arguments.kokoro else None
    local = [
        load_engine(name, kokoro, list(map(Path, arguments.piper)))
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
    return [*local, load_engine("openai", endpoint=endpoint)]
