"""InfoNCE, plain and with GradCache, for inputs with audio, on sentence-transformers.

Source: van den Oord et al., arXiv 1807.03748; Gao et al., arXiv 2101.06983.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from sentence_transformers.base.losses.gradcache import RandContext
from sentence_transformers.sentence_transformer.losses import (
    CachedMultipleNegativesRankingLoss,
    MultipleNegativesRankingLoss,
)

from wavrag.train.contrastive.options import LossOptions

AUDIO_KEYS = ("input_features", "feature_attention_mask")  # one row per recording, not per input
AUDIO_START = "<|audio_bos|>"


def contrastive_loss(model: Any, options: LossOptions) -> torch.nn.Module:
    """Build the loss of a run: cosine over temperature, against all passages of the batch."""
    scale = 1 / options.temperature
    is_distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    arguments: dict[str, Any] = {
        "scale": scale,
        "gather_across_devices": options.gather and is_distributed,
    }
    if not options.grad_cache:
        plain: torch.nn.Module = MultipleNegativesRankingLoss(model, **arguments)
        return plain
    return CachedSoundLoss(model, mini_batch_size=options.grad_cache, **arguments)


class CachedSoundLoss(CachedMultipleNegativesRankingLoss):
    """GradCache for inputs with several recordings, each a row of the audio features."""

    def embed_minibatch(  # noqa: PLR0917 (as the parent has it)
        self,
        sentence_feature: dict[str, Any],
        begin: int,
        end: int,
        with_grad: bool,
        copy_random_state: bool,
        random_state: Any = None,
    ) -> tuple[torch.Tensor, Any]:
        """Embed the inputs from `begin` to `end` with their recordings."""
        inputs = slice_features(sentence_feature, begin, end, self._audio_start())
        with random_state or nullcontext(), nullcontext() if with_grad else torch.no_grad():
            state = RandContext(*inputs.values()) if copy_random_state else None
            vectors = self.model(inputs)["sentence_embedding"]
        return vectors, state

    def _audio_start(self) -> int:
        model = getattr(self.model, "module", self.model)  # unwrap DistributedDataParallel
        token: int = model.tokenizer.convert_tokens_to_ids(AUDIO_START)
        return token


def slice_features(
    features: dict[str, Any], begin: int, end: int, audio_start: int
) -> dict[str, Any]:
    """Slice the features of a batch.

    The recordings of an input are found by the number of audio start tokens before it.
    """
    recordings = (features["input_ids"] == audio_start).sum(1).cumsum(0).tolist()
    first = recordings[begin - 1] if begin else 0
    last = recordings[min(end, len(recordings)) - 1]
    inputs = {}
    for name, value in features.items():
        if not isinstance(value, torch.Tensor):
            inputs[name] = value
        elif name not in AUDIO_KEYS:
            inputs[name] = value[begin:end]
        elif first < last:
            inputs[name] = value[first:last]
    return inputs
