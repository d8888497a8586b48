"""Training of WavRetriever in stages; `recipe` runs them in order."""

from wavrag.train.mini.recipe import ENGINES, MiniOptions, train_mini

__all__ = ["ENGINES", "MiniOptions", "train_mini"]
