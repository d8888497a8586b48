"""The paper's recipe: contrastive training of a retriever on Qwen2-Audio (arXiv 2502.14727).

`options` reads recipes, `data` builds batches from records, `model` builds the retriever, `loss`
has the contrastive loss, `run` trains, and `tiny` builds a small random base model for tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wavrag.train.contrastive.options import load_recipe

if TYPE_CHECKING:
    from wavrag.train.contrastive.run import push_model, train_retriever

__all__ = ["load_recipe", "push_model", "train_retriever"]


def __getattr__(name: str) -> Any:
    # Torch takes seconds to import; reading a recipe does not need it.
    if name in {"push_model", "train_retriever"}:
        from wavrag.train.contrastive import run

        return getattr(run, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
