"""The sound head: embeddings of sounds other than speech, in the space of captions.

Pooled encoder frames and caption vectors of the text model are trained with the symmetric
contrastive loss of CLIP (Radford et al., arXiv 2103.00020); all captions of the label of a clip are
its positives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from wavrag.audio import SAMPLE_RATE, load
from wavrag.data import read_rows, training_captions
from wavrag.train.mini.device import half
from wavrag.train.mini.moonshine import WIDTH, Encoder, run_layers
from wavrag.types import Float32

DEPTH = 3  # encoder layers below the second pooling; the first one is after the convolutions
POOLED = 2 * 2 * WIDTH  # mean and standard deviation over time, at both depths
SETS = ("esc10", "kitchen20", "cdda", "moodist")
HELD_OUT_FOLD = 5
SECONDS = 15.0  # audio used of each clip
RATE = 2e-3  # peak learning rate
DECAY = 0.05  # weight decay
TEMPERATURE = 0.07  # as the initial one of CLIP
MIN_SHARE = 15  # clips of a label; rarer labels are drawn less often, as their clips repeat
CUTS = 4  # random cuts of each clip, in addition to the whole clip


class SoundHead(nn.Module):
    """Pooled frames, (b, POOLED), to unit vectors in the space of the text model, (b, 384)."""

    def __init__(self, dim: int = 384, hidden: int = 512) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(POOLED)
        self.up = nn.Linear(POOLED, hidden)
        self.down = nn.Linear(hidden, dim)
        self.dropout = nn.Dropout(0.3)

    @staticmethod
    def pool(stem: Tensor, frames: Tensor) -> Tensor:
        """Compute mean and deviation over time at two depths: (b, t, 288) to (b, POOLED)."""
        statistics = []
        for depth in (stem, frames):
            mean = depth.mean(1)
            deviation = (depth - mean[:, None]).square().mean(1).add(1e-6).sqrt()
            statistics += [mean, deviation]
        return torch.cat(statistics, -1)

    def forward(self, pooled: Tensor) -> Tensor:
        """Return the sound embeddings of clips."""
        hidden = functional.gelu(self.up(self.dropout(self.norm(pooled))))
        return functional.normalize(self.down(self.dropout(hidden)), dim=-1)


@dataclass(frozen=True, slots=True)
class SoundOptions:
    """Options of sound head training."""

    steps: int = 4000
    batch: int = 128  # clips
    seed: int = 0  # random seed


@dataclass(frozen=True, slots=True, eq=False)
class PooledSounds:
    """Pooled frames, shape (n, POOLED), with the label and the file name of every row."""

    pooled: Float32
    labels: tuple[str, ...]
    names: tuple[str, ...]


def pool_sounds(data: Path, encoder: Encoder, seed: int = 0) -> PooledSounds:
    """Pool every training clip of the labelled sounds, as a whole and in random cuts.

    Clips of the held-out fold are skipped.
    """
    rng = np.random.default_rng(seed)
    pooled, labels, names = [], [], []
    for name in SETS:
        for row in read_rows(data / "sounds" / f"{name}.jsonl"):
            if row.get("fold") == HELD_OUT_FOLD:
                continue
            samples = load(data / row["audio"], end=SECONDS).samples
            if len(samples) < SAMPLE_RATE // 10:
                samples = np.pad(samples, (0, SAMPLE_RATE // 10 - len(samples)))
            for cut in range(CUTS + 1):
                pooled.append(pool(encoder, _cut(samples, rng) if cut else samples))
                labels.append(row["label"])
                names.append(row.get("file", ""))
    return PooledSounds(np.stack(pooled), tuple(labels), tuple(names))


def _cut(samples: Float32, rng: np.random.Generator) -> Float32:
    """A random stretch of at least half, at another level and a slightly other speed."""
    length = max(int(len(samples) * rng.uniform(0.5, 1)), min(len(samples), SAMPLE_RATE // 8))
    at = int(rng.integers(0, len(samples) - length + 1))
    faster = rng.uniform(0.9, 1.12)
    positions = np.linspace(0, length - 1, max(int(length / faster), SAMPLE_RATE // 10))
    cut = np.interp(positions, np.arange(length), samples[at : at + length])
    cut = cut * 10 ** (rng.uniform(-15, 5) / 20)
    return (cut / max(1.0, float(np.abs(cut).max()))).astype(np.float32)


def pool(encoder: Encoder, samples: Float32) -> Float32:
    """Pool the frames of a clip at 16 kHz, float32, shape = (POOLED,)."""
    device = encoder.norm.weight.device
    with torch.inference_mode(), half(device):
        stem = encoder.stem(torch.from_numpy(samples)[None].to(device))
        frames = run_layers(encoder.layers[:DEPTH], stem, None)
    row: Float32 = SoundHead.pool(stem.float(), frames.float())[0].cpu().numpy()
    return row


def train_sounds(
    head: SoundHead,
    sounds: PooledSounds,
    embed: Callable[[Sequence[str]], Float32],
    options: SoundOptions,
    log: Callable[[dict[str, object]], None],
) -> None:
    """Train in place; `embed` returns unit vectors of captions from the text model."""
    torch.manual_seed(options.seed)
    rng = np.random.default_rng(options.seed)
    captions = [
        training_captions(label, [name] if name else [])
        for label, name in zip(sounds.labels, sounds.names, strict=True)
    ]
    vocabulary = sorted({caption for clip_captions in captions for caption in clip_captions})
    caption_index = {caption: at for at, caption in enumerate(vocabulary)}
    vectors = torch.from_numpy(embed(vocabulary))
    pooled = torch.from_numpy(sounds.pooled)
    label_number = {label: at for at, label in enumerate(sorted(set(sounds.labels)))}
    numbers = torch.tensor([label_number[label] for label in sounds.labels])
    # Labels are drawn equally often, apart from rare ones, whose clips would repeat too often.
    counts = np.bincount(numbers.numpy())[numbers.numpy()]
    chances = 1 / np.maximum(counts, MIN_SHARE)
    chances = chances / chances.sum()
    optimizer = torch.optim.AdamW(head.parameters(), lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, options.steps)
    head.train()
    for step in range(1, options.steps + 1):
        rows = rng.choice(len(counts), options.batch, p=chances)
        caption_rows = [
            caption_index[captions[at][int(rng.integers(len(captions[at])))]] for at in rows
        ]
        scores = head(pooled[rows]) @ vectors[caption_rows].T / TEMPERATURE
        same_label = (numbers[rows][:, None] == numbers[rows][None]).float()
        targets = same_label / same_label.sum(1, keepdim=True)
        loss = (
            functional.cross_entropy(scores, targets) + functional.cross_entropy(scores.T, targets)
        ) / 2
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        if step % 100 == 0:
            log({"step": step, "loss": round(loss.item(), 3)})
    head.eval()
