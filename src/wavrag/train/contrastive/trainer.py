"""The trainer of sentence-transformers, with batches mixed by weight of their direction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformerTrainer
from sentence_transformers.base.sampler import MultiDatasetDefaultBatchSampler


class MixingTrainer(SentenceTransformerTrainer):
    """Draws its batches from several data sets in given shares."""

    def __init__(self, *, weights: Sequence[float], **named: Any) -> None:
        """As the parent; `weights` are those of the data sets in their order, 0 in all for size."""
        self._weights = weights
        super().__init__(**named)

    def get_multi_dataset_batch_sampler(
        self,
        dataset: Any,
        batch_samplers: list[Any],
        generator: torch.Generator | None = None,
        seed: int | None = 0,
    ) -> Any:
        """The sampler that mixes."""
        return WeightedBatchSampler(
            dataset, batch_samplers, generator, seed or 0, weights=self._weights
        )

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """Take over adapters and projector; what is frozen is as it was."""
        from peft import load_peft_weights, set_peft_model_state_dict

        weights = load_peft_weights(resume_from_checkpoint, device="cpu")
        network: Any = model or self.model
        set_peft_model_state_dict(network[0].model, weights)


class WeightedBatchSampler(MultiDatasetDefaultBatchSampler):
    """Batches of one data set each, mixed by weight.

    A data set with fewer batches than its share starts over; one with more is drawn from in another
    order every epoch.
    """

    def __init__(self, *given: Any, weights: Sequence[float]) -> None:
        super().__init__(*given)
        self._weights = weights

    def __iter__(self) -> Iterator[list[int]]:
        """Rows of every batch of an epoch."""
        if self.generator is not None:
            self.generator.manual_seed(self.seed + self.epoch)
        sizes = [len(sampler) for sampler in self.batch_samplers]
        counts = batches_by_weight(sizes, self._weights)
        turns = [at for at, count in enumerate(counts) for _ in range(count)]
        shuffled = torch.randperm(len(turns), generator=self.generator).tolist()
        parts: Any = self.dataset.datasets
        offsets = np.cumsum([0, *map(len, parts)]).tolist()
        running = [iter(sampler) for sampler in self.batch_samplers]
        for turn in shuffled:
            at = turns[turn]
            batch = next(running[at], None)
            if batch is None:
                running[at] = iter(self.batch_samplers[at])
                batch = next(running[at])
            yield [index + offsets[at] for index in batch]

    def __len__(self) -> int:
        """Batches of an epoch."""
        return sum(len(sampler) for sampler in self.batch_samplers)


def batches_by_weight(sizes: Sequence[int], weights: Sequence[float]) -> list[int]:
    """As many batches as there are in all, shared out by weight (largest remainder).

    Args:
        sizes: batches that each data set has.
        weights: share of each; 0 in all for shares by size.
    """
    total, whole = sum(sizes), sum(weights)
    if whole == 0:
        return list(sizes)
    exact = [total * weight / whole for weight in weights]
    counts = [int(share) for share in exact]
    order = sorted(range(len(exact)), key=lambda at: (counts[at] - exact[at], at))
    for at in order[: total - sum(counts)]:
        counts[at] += 1
    return counts
