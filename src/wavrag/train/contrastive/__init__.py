"""The paper's recipe: contrastive training of a retriever on Qwen2-Audio (arXiv 2502.14727).

`options` says what a recipe is, `data` makes batches of records, `model` builds what is trained,
`loss` compares, `run` puts them together, `tiny` makes a small random base to run it all on.
"""
