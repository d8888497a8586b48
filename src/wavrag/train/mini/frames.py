"""Cached frames: what the frozen part of the encoder makes of every clip, on disk.

One folder holds pairs of files: `NAME.jsonl`, a line per clip and variant, and `NAME.f16`, the
frames of all of them one after another, float16, 288 wide.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from wavrag.data import read_rows
from wavrag.errors import WavRAGError
from wavrag.train.mini.letters import spell_text
from wavrag.train.mini.moonshine import WIDTH

FRAMES_PER_LETTER = 1.15  # fewer leave the alignment no room: a bad cut or a wrong transcript


@dataclass(frozen=True, slots=True)
class Example:
    """One clip in one variant.

    Attributes:
        group: set that it comes from.
        speaker: speaker or voice.
        text: its words, in the head's letters.
        variant: 0 as recorded; others augmented.
        file: index of the file of frames.
        offset: first frame in that file.
        frames: number of frames.
    """

    group: str
    speaker: str
    text: str
    variant: int
    file: int
    offset: int
    frames: int


class Frames:
    """Every cached clip whose text can be spelled."""

    def __init__(self, folder: Path) -> None:
        """Open a folder of cached frames.

        Raises:
            WavRAGError: there are none.
        """
        self.examples: list[Example] = []
        self._files: list[Any] = []
        for index in sorted(folder.glob("*.jsonl")):
            stored = np.memmap(index.with_suffix(".f16"), np.float16, "r").reshape(-1, WIDTH)
            for row in read_rows(index):
                text = spell_text(row["text"])
                end = row["offset"] + row["frames"]
                if (
                    text is None
                    or end > len(stored)
                    or row["frames"] < FRAMES_PER_LETTER * len(text)
                ):
                    continue
                self.examples.append(
                    Example(
                        row["set"], row["voice"], text, row["variant"],
                        len(self._files), row["offset"], row["frames"],
                    )
                )  # fmt: skip
            self._files.append(stored)
        if not self.examples:
            raise WavRAGError(f"{folder} holds no frames: run the features stage first")

    def batch(self, examples: Sequence[Example]) -> tuple[torch.Tensor, torch.Tensor]:
        """Frames padded with zeros, shape = (b, t, 288), float32, and their numbers, (b,)."""
        counts = torch.tensor([example.frames for example in examples])
        padded = torch.zeros(len(examples), int(counts.max()), WIDTH)
        for row, example in enumerate(examples):
            stored = self._files[example.file][example.offset : example.offset + example.frames]
            padded[row, : example.frames] = torch.from_numpy(stored.astype(np.float32))
        return padded, counts


def batches(
    examples: Sequence[Example], limit: int, rng: np.random.Generator
) -> Iterator[list[Example]]:
    """Examples of like length together, at most `limit` padded frames each, in random order."""
    order = sorted(examples, key=lambda example: example.frames + int(rng.integers(0, 12)))
    made: list[list[Example]] = [[]]
    longest = 0
    for example in order:
        longest = max(longest, example.frames)
        if made[-1] and longest * (len(made[-1]) + 1) > limit:
            made.append([])
            longest = example.frames
        made[-1].append(example)
    for at in rng.permutation(len(made)):
        yield made[at]
