"""The paper's recipe: contrastive training of a retriever on Qwen2-Audio (arXiv 2502.14727).

`options` says what a recipe is, `data` makes batches of records, `model` builds what is trained,
`loss` compares, `run` puts them together, `tiny` makes a small random base to run it all on.
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
