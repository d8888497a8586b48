"""The reader: a copy of the text model, trained on the transcripts of the speech head.

The input is a transcript with its errors; the target is the vector of the reference transcript from
the frozen text model. The loss is cosine distance (distillation) plus InfoNCE over the batch (van
den Oord et al., arXiv 1807.03748). Vectors stay in the space of the text model, so passages need no
other vectors.
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
from wavrag.train.mini.frames import Example, Frames, make_batches
from wavrag.train.mini.text_model import TrainableSentenceModel
from wavrag.types import Float32

MAX_TOKENS = 128
RATE = 1e-4  # peak learning rate
WARMUP = 60  # steps
TEMPERATURE = 0.05
CONTRASTIVE_WEIGHT = 0.3  # relative to the cosine distance
JOINED_SHARE = 0.25  # share of texts made of two or three sentences
JOINED = 3  # maximum number of sentences in a joined text


@dataclass(frozen=True, slots=True)
class ReaderOptions:
    """Options of reader training."""

    steps: int = 700
    batch: int = 64  # texts
    seed: int = 0  # random seed


@dataclass(frozen=True, slots=True)
class TranscriptPair:
    """A transcript of the speech head and the reference transcript."""

    recognised: str
    reference: str


def transcribe_clips(
    head: SpeechHead, frames: Frames, examples: Sequence[Example], lexicon: Lexicon, *, limit: int
) -> list[TranscriptPair]:
    """Transcribe clips with the speech head and the lexicon."""
    head.eval()
    device = head.letters.weight.device
    transcripts = []
    for batch in make_batches(examples, limit, np.random.default_rng(0)):
        padded, counts = frames.batch(batch)
        with torch.inference_mode(), half(device):
            scores = head(padded.to(device), counts.to(device)).float().log_softmax(-1).cpu()
        for row, example in enumerate(batch):
            words = lexicon.words(scores[row, : example.frames].numpy())
            transcripts.append(TranscriptPair(" ".join(word.text for word in words), example.text))
    return transcripts


def train_reader(
    reader: TrainableSentenceModel,
    tokenizer: Callable[[str], list[int]],
    transcripts: Sequence[TranscriptPair],
    embed: Callable[[Sequence[str]], Float32],
    *,
    options: ReaderOptions,
    log: Callable[[dict[str, object]], None],
) -> None:
    """Train a copy of the text model in place.

    `tokenizer` returns token ids with special tokens, of which `MAX_TOKENS` are used; `embed`
    returns unit vectors from the frozen text model.
    """
    torch.manual_seed(options.seed)
    rng = np.random.default_rng(options.seed)
    optimizer = torch.optim.AdamW(reader.parameters(), lr=RATE, weight_decay=0.01)
    device = next(reader.parameters()).device
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, step / WARMUP) * (1 - step / (options.steps + 1))
    )
    labels = torch.arange(options.batch, device=device)
    reader.train()
    cosines = []
    for step in range(1, options.steps + 1):
        sample = [_draw_pair(transcripts, options, rng) for _ in range(options.batch)]
        targets = torch.from_numpy(embed([pair.reference for pair in sample])).to(device)
        ids, mask = padded_tokens([tokenizer(pair.recognised) for pair in sample])
        with half(device):
            vectors = reader(ids.to(device), mask.to(device)).float()
        cosine = (vectors * targets).sum(-1).mean()
        scores = vectors @ targets.T / TEMPERATURE
        loss = 1 - cosine + CONTRASTIVE_WEIGHT * functional.cross_entropy(scores, labels)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(reader.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        cosines.append(cosine.item())
        if step % 50 == 0:
            log({"step": step, "cosine": round(float(np.mean(cosines[-50:])), 4)})
    reader.eval()


def _draw_pair(
    transcripts: Sequence[TranscriptPair], options: ReaderOptions, rng: np.random.Generator
) -> TranscriptPair:
    """Draw a pair, or several joined to one passage."""
    count = int(rng.integers(2, JOINED + 1)) if rng.random() < JOINED_SHARE else 1
    pairs = [transcripts[int(rng.integers(len(transcripts)))] for _ in range(count)]
    return TranscriptPair(
        " ".join(p.recognised for p in pairs), " ".join(p.reference for p in pairs)
    )


def padded_tokens(texts: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Return ids and mask, each of shape (n_texts, longest), truncated to `MAX_TOKENS`."""
    longest = min(MAX_TOKENS, max(map(len, texts)))
    ids = torch.zeros(len(texts), longest, dtype=torch.long)
    mask = torch.zeros(len(texts), longest, dtype=torch.long)
    for row, text in enumerate(texts):
        tokens = text[:longest]
        ids[row, : len(tokens)] = torch.tensor(tokens)
        mask[row, : len(tokens)] = 1
    return ids, mask
