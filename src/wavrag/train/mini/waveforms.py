"""Training speech in the memory of the device, and the batches of an epoch."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from wavrag.audio import SAMPLE_RATE
from wavrag.data import is_reserved_voice
from wavrag.errors import InputError, WavRAGError
from wavrag.train.mini.device_augmentation import Batch, NoiseSource
from wavrag.train.mini.letters import spell_text
from wavrag.train.mini.moonshine import frames_of
from wavrag.train.mini.synth import AUDIO, PEAK, read_set
from wavrag.types import Float32

SHORTEST, LONGEST = 0.5, 20.0  # duration of training clips, seconds
FRAMES_PER_LETTER = 1.15  # with fewer, the clip is cut off or the transcript is wrong
# Human speech counts double, as there is little of it. Robotic voices are cheap to make and unlike
# human ones.
WEIGHTS = {
    "speechocean762": 2.0, "kathleen": 2.0, "librispeech_train": 2.0,
    "flite": 0.3, "espeak": 0.3, "festival": 0.3,
}  # fmt: skip
HELD_OUT_VOICES = ("am_adam", "bf_emma")  # voices of Kokoro for validation, also in mixes
# Sets of many speakers with few clips each: one in so many speakers is for validation. Of the other
# sets, it is one in so many texts. Both are chosen by hash.
SPEAKER_SETS, HELD_OUT_SPEAKERS, HELD_OUT_TEXTS = ("speechocean762", "librispeech_train"), 10, 60
MOST_HELD_OUT = 100  # clips of a set that are evaluated
JOINED_SHARE = 0.12  # share of examples made of several clips, for longer audio
MOST_JOINED, LONGEST_JOINED = 4, 22.0  # clips and seconds of such an example
PAUSE = SAMPLE_RATE // 4  # samples between two joined clips
GRID = 3_200  # padded lengths are multiples, so that memory blocks are used again


@dataclass(frozen=True, slots=True)
class TrainingClip:
    """A clip in the memory of the device."""

    group: str  # name of the set
    speaker: str  # speaker or voice
    text: str  # transcript, in the letters of the speech head
    offset: int  # first sample
    count: int  # number of samples


# Clips that follow each other with pauses; mostly a single one.
Example = tuple[TrainingClip, ...]


def is_held_out(clip: TrainingClip) -> bool:
    """Return whether a clip is for validation."""
    if clip.group in SPEAKER_SETS:
        return zlib.crc32(clip.speaker.encode()) % HELD_OUT_SPEAKERS == 0
    unseen_voice = any(voice in clip.speaker for voice in HELD_OUT_VOICES)
    return unseen_voice or zlib.crc32(clip.text.encode()) % HELD_OUT_TEXTS == 0


class Waveforms:
    """Sets of spoken texts as int16 samples on a device, with clips for training and validation."""

    def __init__(
        self,
        folders: Sequence[Path],
        noises: Sequence[Float32],
        device: torch.device,
        weights: Mapping[str, float] = WEIGHTS,
    ) -> None:
        """Load all sets apart from those of weight 0; a set without a weight has weight 1.

        Raises:
            InputError: a voice is reserved for evaluation.
            WavRAGError: there are no clips to train on.
        """
        self._weights = weights
        stored, clips = {}, []
        for folder in folders:
            if weights.get(folder.name, 1.0) and (members := _list_clips(folder)):
                stored[folder.name] = np.memmap(folder / AUDIO, "<i2", "r")
                clips += members
        clips.sort(key=is_held_out)  # so that babble can be drawn from the training clips alone
        spans = [stored[clip.group][clip.offset : clip.offset + clip.count] for clip in clips]
        offsets = np.cumsum([0, *(clip.count for clip in clips)]).tolist()
        clips = [replace(clip, offset=at) for clip, at in zip(clips, offsets, strict=False)]
        self.training = [clip for clip in clips if not is_held_out(clip)]
        if not self.training:
            raise WavRAGError("there is no speech to train on: run the stages synth and decode")
        self.held_out = _thin_out(clips[len(self.training) :])
        self._samples = torch.from_numpy(np.concatenate(spans)).to(device)
        ambience = np.concatenate([np.zeros(0, np.float32), *noises]) * PEAK
        self.noises = NoiseSource(
            self._samples[: offsets[len(self.training)]],
            torch.from_numpy(ambience.astype(np.int16)).to(device),
        )

    def plan_epoch(self, seconds: float, rng: np.random.Generator) -> list[list[Example]]:
        """Draw the batches of an epoch, of at most `seconds` of padded audio each.

        A clip of weight 2 occurs twice, one of weight .3 in three of ten epochs.
        """
        weights = np.array([self._weights.get(clip.group, 1.0) for clip in self.training])
        repeats = np.floor(weights + rng.random(len(weights))).astype(int)
        order = rng.permutation(np.repeat(np.arange(len(weights)), repeats))
        examples: list[Example] = []
        size = 1  # clips of the last example, when it is complete
        for clip in (self.training[at] for at in order):
            if examples and len(examples[-1]) < size:
                joined = (*examples[-1], clip)
                if _count_samples(joined) <= LONGEST_JOINED * SAMPLE_RATE:
                    examples[-1] = joined
                    continue
            examples.append((clip,))
            size = int(rng.integers(2, MOST_JOINED + 1)) if rng.random() < JOINED_SHARE else 1
        return make_batches(examples, seconds, rng)

    def load(self, examples: Sequence[Example]) -> Batch:
        """Copy the samples of examples to a padded batch."""
        lengths = [_count_samples(example) for example in examples]
        samples = torch.zeros(
            len(examples), -(-max(lengths) // GRID) * GRID, device=self._samples.device
        )
        for row, example in enumerate(examples):
            at = 0
            for clip in example:
                span = self._samples[clip.offset : clip.offset + clip.count]
                samples[row, at : at + clip.count] = span
                at += clip.count + PAUSE
        return Batch(samples / PEAK, torch.tensor(lengths))


def make_batches(
    examples: Sequence[Example], seconds: float, rng: np.random.Generator
) -> list[list[Example]]:
    """Group examples of similar length into batches of at most `seconds` of padded audio.

    The batches are in random order.
    """
    sizes = np.array([_count_samples(example) for example in examples])
    # The noise in the sort key varies the batches between epochs.
    order = np.argsort(sizes + rng.integers(0, SAMPLE_RATE // 2, len(sizes)), kind="stable")
    groups: list[list[Example]] = [[]]
    longest = 0
    for at in order:
        longest = max(longest, sizes[at])
        if groups[-1] and longest * (len(groups[-1]) + 1) > seconds * SAMPLE_RATE:
            groups.append([])
            longest = sizes[at]
        groups[-1].append(examples[at])
    return [groups[at] for at in rng.permutation(len(groups)) if groups[at]]


def _count_samples(example: Example) -> int:
    return sum(clip.count for clip in example) + PAUSE * (len(example) - 1)


def _list_clips(folder: Path) -> list[TrainingClip]:
    """Return the clips of a set that have a suitable length and a transcript in letters."""
    clips = []
    for record in read_set(folder):
        if is_reserved_voice(record.voice):
            raise InputError(f"{folder}: the voice {record.voice} is held back for evaluation")
        text = spell_text(record.text)
        if (
            text is not None
            and SHORTEST <= record.count / SAMPLE_RATE <= LONGEST
            and frames_of(record.count) >= FRAMES_PER_LETTER * len(text)
        ):
            clips.append(TrainingClip(folder.name, record.voice, text, record.offset, record.count))
    return clips


def _thin_out(clips: Sequence[TrainingClip]) -> list[TrainingClip]:
    """Return at most `MOST_HELD_OUT` clips of each set, evenly spread."""
    groups: dict[str, list[TrainingClip]] = {}
    for clip in clips:
        groups.setdefault(clip.group, []).append(clip)
    return [
        group[at * len(group) // count]
        for group in groups.values()
        for count in (min(MOST_HELD_OUT, len(group)),)
        for at in range(count)
    ]
