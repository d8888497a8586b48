"""The sound head: what is not speech, to a place among captions.

Pooled frames of a clip meet the text model's vectors of captions by the symmetric contrastive loss
of CLIP (Radford et al., arXiv 2103.00020), with all captions of a clip's label as its positives.
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

DEPTH = 3  # layers of the encoder after which a sound is pooled, beside the convolutions
POOLED = 2 * 2 * WIDTH  # mean and deviation over time at both depths
SETS = ("esc10", "kitchen20", "cdda", "moodist")
HELD_OUT_FOLD = 5
SECONDS = 15.0  # of a clip that is heard
CUTS = 4  # random cuts of each clip, beside the whole


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
        """Mean and standard deviation over time at two depths: (b, t, 288) each to (b, POOLED)."""
        parts = []
        for depth in (stem, frames):
            mean = depth.mean(1)
            spread = (depth - mean[:, None]).square().mean(1).add(1e-6).sqrt()
            parts += [mean, spread]
        return torch.cat(parts, -1)

    def forward(self, pooled: Tensor) -> Tensor:
        """Where the clips lie among captions."""
        hidden = functional.gelu(self.up(self.dropout(self.norm(pooled))))
        return functional.normalize(self.down(self.dropout(hidden)), dim=-1)


@dataclass(frozen=True, slots=True)
class SoundOptions:
    """How the sound head is trained."""

    steps: int = 4000
    batch: int = 128  # clips
    rate: float = 2e-3
    decay: float = 0.05  # of the weights
    temperature: float = 0.07
    seed: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class PooledSounds:
    """Pooled frames, shape (n, POOLED), with label, caption words and origin of every row."""

    pooled: Float32
    labels: tuple[str, ...]
    names: tuple[str, ...]


def pool_sounds(data: Path, encoder: Encoder, seed: int = 0) -> PooledSounds:
    """Pool every training clip of the labelled sounds, whole and in random cuts.

    Clips of the held-out fold are left out.
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
    places = np.linspace(0, length - 1, max(int(length / faster), SAMPLE_RATE // 10))
    cut = np.interp(places, np.arange(length), samples[at : at + length])
    cut = cut * 10 ** (rng.uniform(-15, 5) / 20)
    return (cut / max(1.0, float(np.abs(cut).max()))).astype(np.float32)


def pool(encoder: Encoder, samples: Float32) -> Float32:
    """Pooled frames of a clip at 16 kHz, float32, shape = (POOLED,)."""
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
    """Train in place.

    Args:
        head: to be trained.
        sounds: clips.
        embed: unit vectors of captions, from the text model.
        options: steps, rates, seed.
        log: called every 100 steps.
    """
    torch.manual_seed(options.seed)
    rng = np.random.default_rng(options.seed)
    captions = [
        training_captions(label, [name] if name else [])
        for label, name in zip(sounds.labels, sounds.names, strict=True)
    ]
    known = sorted({caption for some in captions for caption in some})
    place = {caption: at for at, caption in enumerate(known)}
    vectors = torch.from_numpy(embed(known))
    pooled = torch.from_numpy(sounds.pooled)
    label_number = {label: at for at, label in enumerate(sorted(set(sounds.labels)))}
    numbers = torch.tensor([label_number[label] for label in sounds.labels])
    # Every label is drawn equally often, up to a cap on how often a clip of a rare one comes back.
    counts = np.bincount(numbers.numpy())[numbers.numpy()]
    chances = 1 / np.maximum(counts, 15)
    chances = chances / chances.sum()
    optimizer = torch.optim.AdamW(head.parameters(), lr=options.rate, weight_decay=options.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, options.rate, options.steps)
    head.train()
    for step in range(1, options.steps + 1):
        chosen = rng.choice(len(counts), options.batch, p=chances)
        said = [place[captions[at][int(rng.integers(len(captions[at])))]] for at in chosen]
        scores = head(pooled[chosen]) @ vectors[said].T / options.temperature
        same = (numbers[chosen][:, None] == numbers[chosen][None]).float()
        targets = same / same.sum(1, keepdim=True)
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
