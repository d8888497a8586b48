"""The reader: a copy of the text model that learns to read what the speech head spells.

Words as heard, with their slips, go in; the vector that the frozen text model gives to the words
as said is the target, by cosine and by a contrastive loss among the batch (distillation, then
InfoNCE: van den Oord et al., arXiv 1807.03748). The space stays that of the text model, so the
passages need no other vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from wavrag.embed import Lexicon
from wavrag.train.mini.ctc import SpeechHead
from wavrag.train.mini.device import half
from wavrag.train.mini.frames import Example, Frames, batches
from wavrag.train.mini.text_model import TrainableSentenceModel
from wavrag.types import Float32

MAX_TOKENS = 128
JOINED = 3  # most sentences that are read as one passage


@dataclass(frozen=True, slots=True)
class ReaderOptions:
    """How the reader is trained."""

    clips: int = 16_000  # most clips to learn from
    steps: int = 700
    batch: int = 64  # texts
    rate: float = 1e-4
    warmup: int = 60  # steps
    temperature: float = 0.05
    contrast: float = 0.3  # weight of the contrastive loss beside the cosine
    joined: float = 0.25  # share of texts made of two or three sentences
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Reading:
    """Words as heard and as said."""

    heard: str
    said: str


def hear_all(
    head: SpeechHead,
    frames: Frames,
    examples: Sequence[Example],
    lexicon: Lexicon,
    *,
    limit: int,
) -> list[Reading]:
    """What the head and the lexicon make of clips."""
    head.eval()
    device = head.letters.weight.device
    readings = []
    for batch in batches(examples, limit, np.random.default_rng(0)):
        padded, counts = frames.batch(batch)
        with torch.inference_mode(), half(device):
            scores = head(padded.to(device), counts.to(device)).float().log_softmax(-1).cpu()
        for row, example in enumerate(batch):
            words = lexicon.words(scores[row, : example.frames].numpy())
            readings.append(Reading(" ".join(word.text for word in words), example.text))
    return readings


def train_reader(
    reader: TrainableSentenceModel,
    tokenizer: Callable[[str], list[int]],
    readings: Sequence[Reading],
    embed: Callable[[Sequence[str]], Float32],
    *,
    options: ReaderOptions,
    log: Callable[[dict[str, object]], None],
) -> None:
    """Train in place.

    Args:
        reader: starts as the text model.
        tokenizer: token ids of a text, with the special ones.
        readings: pairs to learn from.
        embed: the frozen text model: unit vectors of texts.
        options: steps, rates, seed.
        log: called every 50 steps.

    A text of more than `MAX_TOKENS` word pieces is learnt from as far as that.
    """
    torch.manual_seed(options.seed)
    rng = np.random.default_rng(options.seed)
    optimizer = torch.optim.AdamW(reader.parameters(), lr=options.rate, weight_decay=0.01)
    device = next(reader.parameters()).device
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min(1.0, step / options.warmup) * (1 - step / (options.steps + 1)),
    )
    own = torch.arange(options.batch, device=device)
    reader.train()
    cosines = []
    for step in range(1, options.steps + 1):
        drawn = [_drawn(readings, options, rng) for _ in range(options.batch)]
        targets = torch.from_numpy(embed([reading.said for reading in drawn])).to(device)
        ids, mask = padded_tokens([tokenizer(reading.heard) for reading in drawn])
        with half(device):
            vectors = reader(ids.to(device), mask.to(device)).float()
        cosine = (vectors * targets).sum(-1).mean()
        scores = vectors @ targets.T / options.temperature
        loss = 1 - cosine + options.contrast * functional.cross_entropy(scores, own)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(reader.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        cosines.append(cosine.item())
        if step % 50 == 0:
            log({"step": step, "cosine": round(float(np.mean(cosines[-50:])), 4)})
    reader.eval()


def _drawn(
    readings: Sequence[Reading], options: ReaderOptions, rng: np.random.Generator
) -> Reading:
    """One reading, or several as one passage."""
    count = int(rng.integers(2, JOINED + 1)) if rng.random() < options.joined else 1
    some = [readings[int(rng.integers(len(readings)))] for _ in range(count)]
    return Reading(" ".join(r.heard for r in some), " ".join(r.said for r in some))


def padded_tokens(texts: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Ids and mask, each of shape (n_texts, longest); what is past `MAX_TOKENS` is not trained."""
    longest = min(MAX_TOKENS, max(map(len, texts)))
    ids = torch.zeros(len(texts), longest, dtype=torch.long)
    mask = torch.zeros(len(texts), longest, dtype=torch.long)
    for row, text in enumerate(texts):
        kept = text[:longest]
        ids[row, : len(kept)] = torch.tensor(kept)
        mask[row, : len(kept)] = 1
    return ids, mask
