"""Train the span reader that marks short answers, export it to the package, and measure it.

    .venv-export/bin/python tools/train_reader.py --data DATA [--check-only]

The environment is that of `tools/export_minilm.py`. The reader is all-MiniLM-L6-v2 with a head for
the first and the last token of an answer. Embeddings and the two lower layers stay as they are, so
the exported file takes them out of the text embedder's file by their offsets and has only the upper
four layers. Training takes two epochs of the examples of `reader_examples.py`, in bfloat16: about
ten minutes on one core that has instructions for it.
"""

from __future__ import annotations

import argparse
import math
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import onnx
import torch
from export_minilm import export_bert, load_original
from onnx.external_data_helper import set_external_data
from reader_examples import ReaderData, ReaderExample
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from wavrag.embed import READER_WEIGHTS, SpanReader
from wavrag.evaluate import exact_match, mean, token_f1

TEXT_MODEL = READER_WEIGHTS.parent / "minilm"
CLS, SEP = 101, 102
FROZEN = 2  # lower layers
MAX_TOKENS = 320
CROPPED, CROP = 0.85, (50, 120)  # share of passages cut to so many tokens around the answer
MAX_QUESTION, MAX_TITLE = 64, 24  # tokens
BATCH, DROPOUT, WEIGHT_DECAY, WARM_UP, MAX_NORM = 16, 0.1, 0.01, 0.08, 1.0
EPOCHS, LEARNING_RATE = 2, 2.5e-4
NEVER = -1e4  # logit of a token that cannot be an end
SHARED_BYTES = 10_000  # smaller tensors are kept in the file itself


class ReaderNetwork(nn.Module):
    """The text model with a head for the ends of an answer."""

    def __init__(self) -> None:
        super().__init__()
        self.bert: Any = load_original().bert
        self.head = nn.Linear(384, 2)
        self.dropout = nn.Dropout(DROPOUT)
        self.frozen = [self.bert.embeddings, *self.bert.encoder.layer[:FROZEN]]
        for module in self.frozen:
            module.requires_grad_(False)

    def train(self, mode: bool = True) -> ReaderNetwork:
        """Set the mode; frozen layers never drop anything."""
        super().train(mode)
        for module in self.frozen:
            module.eval()
        return self

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Compute logits of each token as start and end, shape = (batch, tokens, 2)."""
        hidden = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        logits: Tensor = self.head(self.dropout(hidden))
        return logits


@dataclass(frozen=True)
class Tokens:
    """An example as tokens: `start` and `end` are 0, the first token, without an answer."""

    example: ReaderExample
    ids: Sequence[int]
    begin: int  # first token of the passage
    offsets: Sequence[tuple[int, int]]  # characters of each token of the passage
    start: int
    end: int


class Encoder:
    """Tokenizes examples; crops passages for training."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._tokenizer = Tokenizer.from_file(str(TEXT_MODEL / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()

    def encode(self, example: ReaderExample, crop: bool = False) -> Tokens:
        """Tokenize question, title and passage."""
        head = [CLS, *self._encode(example.question).ids[:MAX_QUESTION], SEP]
        if title := self._encode(example.title).ids[:MAX_TITLE]:
            head += [*title, SEP]
        passage = self._encode(example.text)
        room = MAX_TOKENS - len(head) - 1
        if crop and self._random.random() < CROPPED:
            room = min(room, self._random.randint(*CROP))
        first, last, cut = -1, -1, 0
        if example.span is not None:
            begin, stop = example.span
            inside = [i for i, (a, b) in enumerate(passage.offsets) if b > begin and a < stop]
            first, last = inside[0], inside[-1]
        if len(passage.ids) > room and crop:
            # With the answer at any place of the window; without one, any window.
            answer = last - first + 1 if first >= 0 else 0
            low = self._random.randint(0, max(room - answer, 0))
            most = len(passage.ids) - room
            cut = min(max(first - low, 0), most) if first >= 0 else self._random.randint(0, most)
        ids, offsets = passage.ids[cut : cut + room], passage.offsets[cut : cut + room]
        start, end = (
            (len(head) + first - cut, len(head) + min(last - cut, len(ids) - 1))
            if 0 <= first - cut < len(ids)
            else (0, 0)
        )
        return Tokens(example, [*head, *ids, SEP], len(head), offsets, start, end)

    def _encode(self, text: str) -> Any:
        return self._tokenizer.encode(text, add_special_tokens=False)


def batches(rows: Sequence[Tokens], size: int, order: random.Random) -> Iterator[list[Tokens]]:
    """Yield batches of similar length, in random order."""
    rows, span = list(rows), 50 * size
    order.shuffle(rows)
    groups = []
    for at in range(0, len(rows), span):
        group = sorted(rows[at : at + span], key=lambda row: len(row.ids))
        groups += [group[i : i + size] for i in range(0, len(group), size)]
    order.shuffle(groups)
    yield from groups


def run(network: ReaderNetwork, batch: Sequence[Tokens]) -> Tensor:
    """Compute the logits of a batch; tokens outside of the passage are no ends."""
    length = max(len(row.ids) for row in batch)
    ids = torch.zeros(len(batch), length, dtype=torch.long)
    mask = torch.zeros_like(ids)
    allowed = torch.zeros(len(batch), length, dtype=torch.bool)
    for at, row in enumerate(batch):
        ids[at, : len(row.ids)] = torch.tensor(row.ids)
        mask[at, : len(row.ids)] = 1
        allowed[at, 0] = True
        allowed[at, row.begin : row.begin + len(row.offsets)] = True
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits: Tensor = network(ids, mask)
    return logits.float().masked_fill(~allowed[:, :, None], NEVER)


def train(network: ReaderNetwork, rows: Sequence[Tokens], seed: int) -> None:
    """Train with AdamW; the learning rate rises at first, then falls linearly to 0."""
    order, started = random.Random(seed), time.monotonic()
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    optimiser = torch.optim.AdamW(weights, lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    total = EPOCHS * math.ceil(len(rows) / BATCH)
    epochs = chain.from_iterable(batches(rows, BATCH, order) for _ in range(EPOCHS))
    for step, batch in enumerate(epochs, start=1):
        network.train()
        scale = min(1.0, step / (WARM_UP * total)) * (total - step + 1) / total
        for group in optimiser.param_groups:
            group["lr"] = LEARNING_RATE * scale
        logits = run(network, batch)
        starts = torch.tensor([row.start for row in batch])
        ends = torch.tensor([row.end for row in batch])
        loss = (cross_entropy(logits[:, :, 0], starts) + cross_entropy(logits[:, :, 1], ends)) / 2
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(weights, MAX_NORM)
        optimiser.step()
        if step % 100 == 0:
            seconds = time.monotonic() - started
            print(f"step {step} of {total}, loss {loss:.3f}, {seconds:.0f} s", flush=True)


def measure(name: str, examples: Sequence[ReaderExample]) -> None:
    """Print exact match and F1 of the exported reader's answers in the right paragraph."""
    reader, scores = SpanReader(), []
    for example in examples:
        span = reader.read(example.question, example.text, example.title).best_span(
            0, len(example.text)
        )
        answer = example.text[span.start : span.end] if span else ""
        scores.append((exact_match(answer, example.answers), token_f1(answer, example.answers)))
    exact, f1 = map(mean, zip(*scores, strict=True))
    print(f"{name}, {len(examples)} questions: exact match {exact:.3f}, F1 {f1:.3f}")


def export(network: ReaderNetwork, target: Path) -> None:
    """Export int8 weights; those of the text model are references to its file."""
    export_bert(network, "logits", {0: "batch", 1: "tokens"}, target)
    share_weights(target, TEXT_MODEL / "model.onnx")


def share_weights(path: Path, other: Path) -> None:
    """Replace each large tensor that another file has too by a reference to its bytes there."""
    model, content = onnx.load(path), other.read_bytes()
    for tensor in model.graph.initializer:
        raw = tensor.raw_data
        offset = content.find(raw) if len(raw) >= SHARED_BYTES else -1
        if offset < 0:
            continue
        set_external_data(tensor, other.name, offset, len(raw))
        tensor.ClearField("raw_data")
        print(f"shared: {tensor.name}, {len(raw):,} bytes")
    path.write_bytes(model.SerializeToString())


def main() -> None:
    """Train and export unless told to check only, then measure the exported file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--check-only", action="store_true", help="measure the shipped file")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    data = ReaderData(arguments.data, arguments.seed)
    if not arguments.check_only:
        torch.set_num_threads(1)
        torch.manual_seed(arguments.seed)
        encoder, network = Encoder(arguments.seed), ReaderNetwork()
        rows = [encoder.encode(example, crop=True) for example in data.training()]
        train(network, rows, arguments.seed)
        export(network, READER_WEIGHTS / "model.onnx")
    measure("validation articles", data.validation())
    measure("held-out articles", data.held_out())


if __name__ == "__main__":
    main()
