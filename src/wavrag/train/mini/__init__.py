"""Training of WavRetriever-mini, stage by stage; `recipe` runs the stages in order."""

from wavrag.train.mini.recipe import ENGINES, MiniOptions, train_mini

__all__ = ["ENGINES", "MiniOptions", "train_mini"]
