"""Training of WavRetriever-mini, stage by stage; `recipe` runs the stages in order."""
