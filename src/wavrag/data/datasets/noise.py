"""MUSAN: music, speech and noise to mix into recordings; without pairs, it gives no records."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence
from itertools import chain, count
from pathlib import Path

from wavrag.audio import AUDIO_SUFFIXES
from wavrag.errors import InputError

KINDS = ("music", "noise", "speech")
"""Top folders of MUSAN."""


def find_noise_files(
    folder: str | os.PathLike[str], kinds: Sequence[str] = KINDS
) -> dict[str, list[Path]]:
    """Return the audio files of each kind, sorted.

    Raises:
        InputError: a kind is unknown or has no files.
    """
    files = {}
    for kind in kinds:
        if kind not in KINDS:
            raise InputError(f"MUSAN has no {kind!r}: choose from {', '.join(KINDS)}")
        paths = [p for p in (Path(folder) / kind).rglob("*") if p.suffix.lower() in AUDIO_SUFFIXES]
        if not paths:
            raise InputError(f"{folder} has no sound in {kind}/: name the folder MUSAN is in")
        files[kind] = sorted(paths)
    return files


def stream_noise_files(
    folder: str | os.PathLike[str], kinds: Sequence[str] = KINDS, *, seed: int = 0
) -> Iterator[Path]:
    """Yield audio files endlessly, for augmentation: all of them in random order, again and again.

    Equal files and seeds give equal streams.

    Raises:
        InputError: see `find_noise_files`; raised by the call, before the first file.
    """
    files = [path for paths in find_noise_files(folder, kinds).values() for path in paths]
    rng = random.Random(seed)
    return chain.from_iterable(rng.sample(files, len(files)) for _ in count())
