"""Training of WavRetriever-mini, stage by stage; `recipe` runs the stages in order."""

from wavrag.train.mini.recipe import ENGINES, MiniOptions, run

__all__ = ["ENGINES", "MiniOptions", "run"]
