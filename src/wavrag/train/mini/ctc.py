"""The speech head: encoder frames to letters, trained with CTC.

The encoder stays frozen, and its frames are read from disk; the head has new layers on top of them
and a projection to letters.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from wavrag.embed import BLANK
from wavrag.text import edit_distance
from wavrag.train.mini.device import half
from wavrag.train.mini.frames import Example, Frames, make_batches
from wavrag.train.mini.letters import CLASSES, collapse_classes, text_to_classes
from wavrag.train.mini.moonshine import WIDTH, Layer, run_layers

ROBOTS = ("flite", "espeak", "festival")  # synthetic voices that differ most from human ones
RATE = 1e-3  # peak learning rate
WARMUP = 100  # steps
DECAY = 0.01  # weight decay
# Robotic voices are cheap to make and unlike human ones, so an epoch uses half of their clips.
ROBOT_SHARE = 0.5
MASK_SHARE = 0.6  # share of clips with two masked spans of frames (SpecAugment)
NEW_LAYERS = 3  # layers on top of the encoder


@dataclass(frozen=True, slots=True)
class CTCOptions:
    """Options of CTC training."""

    epochs: int = 10  # passes over the clips, with one random variant of each
    frames: int = 3_000  # padded frames per batch; small batches, since more steps help more
    minutes: float = math.inf  # stop after that many minutes
    seed: int = 0  # random seed


class SpeechHead(nn.Module):
    """Encoder frames, (b, t, 288), to letters, (b, t, CLASSES)."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer() for _ in range(NEW_LAYERS))
        self.norm = nn.LayerNorm(WIDTH, bias=False)
        self.letters = nn.Linear(WIDTH, CLASSES)
        nn.init.zeros_(self.letters.bias)
        self.letters.bias.data[BLANK] = 2.0  # most frames are blank

    def forward(self, frames: Tensor, counts: Tensor | None = None) -> Tensor:
        """Return the logits of every letter in every frame."""
        scores: Tensor = self.letters(self.norm(run_layers(self.layers, frames, counts)))
        return scores


def train_ctc(
    head: SpeechHead,
    frames: Frames,
    held_out: Sequence[Example],
    options: CTCOptions,
    *,
    checkpoint: Path,
    log: Callable[[dict[str, object]], None],
) -> None:
    """Train in place; after every epoch, write a checkpoint and log error rates of held-out clips.

    Training runs on the device of the parameters.
    """
    torch.manual_seed(options.seed)
    rng = np.random.default_rng(options.seed)
    held_out_keys = {(example.group, example.speaker, example.text) for example in held_out}
    variants: dict[tuple[str, str, str], list[Example]] = {}
    for example in frames.examples:
        key = (example.group, example.speaker, example.text)
        if key not in held_out_keys:  # augmented variants of held-out clips are excluded, too
            variants.setdefault(key, []).append(example)
    clips = list(variants.values())
    optimizer = torch.optim.AdamW(head.parameters(), lr=RATE, weight_decay=DECAY, betas=(0.9, 0.98))
    shares = [ROBOT_SHARE if clip[0].group in ROBOTS else 1.0 for clip in clips]
    size = sum(share * clip[0].frames for share, clip in zip(shares, clips, strict=True))
    # Estimated steps: padding wastes about 5 % of a batch.
    total = options.epochs * size / options.frames * 1.05
    started, step = time.monotonic(), 0
    for epoch in range(options.epochs):
        sample = [
            clip[int(rng.integers(len(clip)))]
            for share, clip in zip(shares, clips, strict=True)
            if rng.random() < share
        ]
        losses = []
        for batch in make_batches(sample, options.frames, rng):
            elapsed = (time.monotonic() - started) / 60 / options.minutes
            progress = min(1.0, max(step / total, elapsed))
            scale = min(1.0, step / WARMUP) * (0.5 + 0.5 * math.cos(math.pi * progress))
            for group in optimizer.param_groups:
                group["lr"] = RATE * scale + 1e-7
            loss = ctc_loss(head, frames, batch, rng)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(head.parameters(), 1.0)
            optimizer.step()
            losses.append(loss.item())
            step += 1
            if step % 50 == 0:
                log({"epoch": epoch, "step": step, "loss": round(float(np.mean(losses[-50:])), 3)})
        state = {name: value.cpu() for name, value in head.state_dict().items()}
        torch.save(state, checkpoint)
        rates = error_rates(head, frames, [e for e in held_out if not e.variant], options.frames)
        seconds = round(time.monotonic() - started)
        log({"epoch": epoch, "loss": round(float(np.mean(losses)), 3), "seconds": seconds, **rates})
        if elapsed > 1:
            break


def ctc_loss(
    head: SpeechHead, frames: Frames, batch: Sequence[Example], rng: np.random.Generator
) -> Tensor:
    """Return the mean loss per letter of a batch, with masked spans in some clips."""
    padded, counts = frames.batch(batch)
    for row, example in enumerate(batch):
        if rng.random() < MASK_SHARE:
            for _ in range(2):
                width = int(rng.integers(1, 12))
                start = int(rng.integers(0, max(1, example.frames - width)))
                padded[row, start : start + width] = 0
    targets = [text_to_classes(example.text) for example in batch]
    device = head.letters.weight.device
    with half(device):
        scores = head(padded.to(device), counts.to(device))
    return functional.ctc_loss(
        functional.log_softmax(scores.float(), -1).transpose(0, 1),
        torch.tensor([value for target in targets for value in target]), counts,
        torch.tensor([len(target) for target in targets]), zero_infinity=True,
    )  # fmt: skip


def error_rates(
    head: SpeechHead, frames: Frames, examples: Sequence[Example], limit: int
) -> dict[str, float]:
    """Return character and word error rates of greedy decoding, by group."""
    totals: dict[str, list[int]] = {}
    head.eval()
    for batch in make_batches(examples, limit, np.random.default_rng(0)):
        padded, counts = frames.batch(batch)
        device = head.letters.weight.device
        with torch.inference_mode(), half(device):
            best = head(padded.to(device), counts.to(device)).argmax(-1).cpu()
        for row, example in enumerate(batch):
            text = collapse_classes(best[row, : example.frames].tolist())
            count = totals.setdefault(example.group, [0, 0, 0, 0])
            count[0] += edit_distance(text, example.text)
            count[1] += len(example.text)
            count[2] += edit_distance(text.split(), example.text.split())
            count[3] += len(example.text.split())
    head.train()
    rates = {}
    for group, (letters, of_letters, words, of_words) in sorted(totals.items()):
        rates[f"{group}_cer"] = round(letters / of_letters, 3)
        rates[f"{group}_wer"] = round(words / of_words, 3)
    return rates
