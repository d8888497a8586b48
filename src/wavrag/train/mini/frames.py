"""Cached encoder frames of training clips, on disk.

A folder has pairs of files: `NAME.jsonl`, one line per clip and variant, and `NAME.f16`, the frames
of all of them in that order, float16, 288 wide.
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

FRAMES_PER_LETTER = 1.15  # with fewer, the clip is cut off or the transcript is wrong


@dataclass(frozen=True, slots=True)
class Example:
    """One clip in one variant."""

    group: str  # name of the set
    speaker: str  # speaker or voice
    text: str  # transcript, in the letters of the speech head
    variant: int  # 0 for the original, above 0 for augmented versions
    file: int  # index of the file of frames
    offset: int  # first frame in that file
    frames: int  # number of frames


class Frames:
    """All cached clips with a transcript in the letters of the speech head."""

    def __init__(self, folder: Path) -> None:
        self.examples: list[Example] = []
        self._files: list[Any] = []
        for index in sorted(folder.glob("*.jsonl")):
            stored = np.memmap(index.with_suffix(".f16"), np.float16, "r").reshape(-1, WIDTH)
            for row in read_rows(index):
                text, offset, count = spell_text(row["text"]), row["offset"], row["frames"]
                if text is None or offset + count > len(stored):
                    continue
                if count >= FRAMES_PER_LETTER * len(text):
                    origin = row["set"], row["voice"], text, row["variant"]
                    self.examples.append(Example(*origin, len(self._files), offset, count))
            self._files.append(stored)
        if not self.examples:
            raise WavRAGError(f"{folder} holds no frames: run the features stage first")

    def batch(self, examples: Sequence[Example]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return frames padded with zeros, shape = (b, t, 288), float32, and their counts, (b,)."""
        counts = torch.tensor([example.frames for example in examples])
        padded = torch.zeros(len(examples), int(counts.max()), WIDTH)
        for row, example in enumerate(examples):
            stored = self._files[example.file][example.offset : example.offset + example.frames]
            padded[row, : example.frames] = torch.from_numpy(stored.astype(np.float32))
        return padded, counts


def make_batches(
    examples: Sequence[Example], limit: int, rng: np.random.Generator
) -> Iterator[list[Example]]:
    """Group examples of similar length into batches of at most `limit` padded frames.

    The batches are in random order.
    """
    # The noise in the sort key varies the batches between epochs.
    order = sorted(examples, key=lambda example: example.frames + int(rng.integers(0, 12)))
    groups: list[list[Example]] = [[]]
    longest = 0
    for example in order:
        longest = max(longest, example.frames)
        if groups[-1] and longest * (len(groups[-1]) + 1) > limit:
            groups.append([])
            longest = example.frames
        groups[-1].append(example)
    for at in rng.permutation(len(groups)):
        yield groups[at]
