"""`wavrag transcript`: prints the transcript of a recording."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from wavrag.cli.command import Command
from wavrag.cli.options import KB, Option
from wavrag.cli.output import note
from wavrag.errors import InputError, StoreError

if TYPE_CHECKING:
    from wavrag.kb import Transcript


def transcript(arguments: argparse.Namespace) -> int:
    """Print the transcript; exit code 0 even without any speech."""
    write_output(read_transcript(arguments).format(arguments.format), arguments.out)
    return 0


def read_transcript(arguments: argparse.Namespace) -> Transcript:
    """The transcript of the recording of a command: from the knowledge base, or made now."""
    result = None
    if arguments.recogniser is None:
        result = _read_indexed(arguments.source, arguments.kb)
    if result is None:
        from wavrag.kb import Transcriber

        if not os.path.exists(arguments.source):
            raise InputError(
                f"{arguments.source} is neither a file nor in the knowledge base: see"
                " `wavrag kb list`"
            )
        result = Transcriber(arguments.recogniser).transcribe(arguments.source, note)
    if not result.segments:
        note(f"{arguments.source}: no speech was recognised")
    return result


def write_output(text: str, path: str | None) -> None:
    """Write a text to a file, or to standard output."""
    if path is None:
        sys.stdout.write(text)
        return
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}") from error


def _read_indexed(source: str, folder: str | None) -> Transcript | None:
    """The transcript of an indexed recording; None if it is not in the knowledge base."""
    from wavrag import config
    from wavrag.kb import KnowledgeBase, is_kb_url

    address = config.kb_address() if folder is None else folder
    # A recording can be transcribed without a knowledge base, unless one is named.
    if folder is None and not (is_kb_url(address) or Path(address).exists()):
        return None
    with KnowledgeBase.open(address, create=False) as kb:
        path = os.path.abspath(source)
        for document in kb.documents():
            if document.id == source or path in document.paths:
                return kb.transcript(document.id)
    return None


OUT = Option("--out", "FILE", "file to write", unset="standard output")
RECOGNISER = Option("--recogniser", "NAME", "transcribe the recording again, with moonshine,"
    " whisper:FOLDER, transformers:ORG/NAME or pocketsphinx", unset="the transcript of the"
    " knowledge base; moonshine for a recording outside it")  # fmt: skip

COMMAND = Command(
    "transcript",
    "print the transcript of a recording, with times",
    transcript,
    (
        Option("source", "FILE|ID", "a recording, or the id of a document"),
        Option("--format", help="plain text, subtitles (WebVTT, SubRip), JSON with the time and the"
            " probability of every word, or Markdown", choices=("txt", "vtt", "srt", "json", "md"),
            default="txt"),
        OUT,
        RECOGNISER,
        KB,
    ),
    (
        "wavrag transcript talk.mp3",
        "wavrag transcript talk.mp3 --format srt --out talk.srt",
        "wavrag transcript talk.mp3 --format json --recogniser whisper:models/whisper-small",
    ),
    details="A recording of the knowledge base is printed as it is indexed; any other file is"
    " transcribed now.",
)  # fmt: skip
