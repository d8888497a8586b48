"""MUSAN: music, speech and noise to lay under recordings; without pairs, it gives no records."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

from wavrag.audio import AUDIO_SUFFIXES
from wavrag.errors import InputError

KINDS = ("music", "noise", "speech")
"""The folders of MUSAN."""


def noise_files(
    folder: str | os.PathLike[str], kinds: Sequence[str] = KINDS
) -> dict[str, list[Path]]:
    """The sound files of each kind, sorted.

    Args:
        folder: MUSAN unpacked: `music/`, `noise/` and `speech/`, with a folder a source below them.
        kinds: which of the three.

    Raises:
        InputError: a kind is unknown, or there is no sound of it.
    """
    files = {}
    for kind in kinds:
        if kind not in KINDS:
            raise InputError(f"MUSAN has no {kind!r}: choose from {', '.join(KINDS)}")
        found = [
            path
            for path in (Path(folder) / kind).rglob("*")
            if path.suffix.lower() in AUDIO_SUFFIXES
        ]
        if not found:
            raise InputError(f"{folder} has no sound in {kind}/: name the folder MUSAN is in")
        files[kind] = sorted(found)
    return files


def noise_stream(
    folder: str | os.PathLike[str], kinds: Sequence[str] = KINDS, *, seed: int = 0
) -> Iterator[Path]:
    """Sound files without end, for augmentation: each once a round, each round shuffled anew.

    The same seed gives the same stream on the same files.

    Args:
        folder: see `noise_files`.
        kinds: which of the three.
        seed: of the order.

    Raises:
        InputError: as `noise_files`, at once.
    """
    files = [path for found in noise_files(folder, kinds).values() for path in found]
    return _rounds(files, random.Random(seed))


def _rounds(files: list[Path], chance: random.Random) -> Iterator[Path]:
    while True:
        yield from chance.sample(files, len(files))
