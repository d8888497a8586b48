"""The trainer of sentence-transformers, with weights of directions in the mix of batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformerTrainer
from sentence_transformers.base.sampler import MultiDatasetDefaultBatchSampler


class MixingTrainer(SentenceTransformerTrainer):
    """Draws batches from several data sets by weight."""

    def __init__(self, *, weights: Sequence[float], **arguments: Any) -> None:
        """Take the weights of the data sets in their order; weights of 0 mean shares by size."""
        self._weights = weights
        super().__init__(**arguments)

    def get_multi_dataset_batch_sampler(
        self,
        dataset: Any,
        batch_samplers: list[Any],
        generator: torch.Generator | None = None,
        seed: int | None = 0,
    ) -> Any:
        """Return the weighted sampler."""
        return WeightedBatchSampler(
            dataset, batch_samplers, generator, seed or 0, weights=self._weights
        )

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """Load adapters and projector."""
        # The checkpoint has no frozen weights; the parent would look for all of them.
        from peft import load_peft_weights, set_peft_model_state_dict

        weights = load_peft_weights(resume_from_checkpoint, device="cpu")
        network: Any = model or self.model
        set_peft_model_state_dict(network[0].model, weights)


class WeightedBatchSampler(MultiDatasetDefaultBatchSampler):
    """Mixes batches of several data sets by weight; each batch is from one data set.

    A data set with fewer batches than its share is repeated; one with more is sampled in another
    order every epoch.
    """

    def __init__(self, *arguments: Any, weights: Sequence[float]) -> None:
        super().__init__(*arguments)
        self._weights = weights

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the row indices of every batch of an epoch."""
        if self.generator is not None:
            self.generator.manual_seed(self.seed + self.epoch)
        sizes = [len(sampler) for sampler in self.batch_samplers]
        counts = batches_by_weight(sizes, self._weights)
        schedule = [at for at, count in enumerate(counts) for _ in range(count)]
        shuffled = torch.randperm(len(schedule), generator=self.generator).tolist()
        datasets: Any = self.dataset.datasets
        offsets = np.cumsum([0, *map(len, datasets)]).tolist()
        iterators = [iter(sampler) for sampler in self.batch_samplers]
        for step in shuffled:
            at = schedule[step]
            batch = next(iterators[at], None)
            if batch is None:
                iterators[at] = iter(self.batch_samplers[at])
                batch = next(iterators[at])
            yield [index + offsets[at] for index in batch]

    def __len__(self) -> int:
        """Return the number of batches per epoch."""
        return sum(len(sampler) for sampler in self.batch_samplers)


def batches_by_weight(sizes: Sequence[int], weights: Sequence[float]) -> list[int]:
    """Divide the total number of batches by weight, with the largest remainder method.

    `sizes` are the numbers of batches of the data sets; weights of 0 mean shares by size.
    """
    total, weight_sum = sum(sizes), sum(weights)
    if weight_sum == 0:
        return list(sizes)
    exact = [total * weight / weight_sum for weight in weights]
    counts = [int(share) for share in exact]
    order = sorted(range(len(exact)), key=lambda at: (counts[at] - exact[at], at))
    for at in order[: total - sum(counts)]:
        counts[at] += 1
    return counts
