"""A projector in closed form: frames of the encoder to the embeddings of the words spoken in them.

Each frame should become the token embedding of its word: ridge regression. A random projector
needs thousands of steps of alignment to get there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from wavrag.embed import WordAligner, token_spans
from wavrag.errors import InputError
from wavrag.types import Clip, Int64

FRAME_SECONDS = 0.04  # stride of the encoder
UNKNOWN = -1  # token of a frame that the fit leaves out
SILENCE = " "  # the target of frames without a word
RIDGE = 1e-3  # share of the mean variance of a feature
CHUNK = 65_536  # frames


def align_tokens(
    aligner: WordAligner, tokenizer: Any, clip: Clip, words: str, n_frames: int
) -> Int64:
    """Find the token that is spoken in each frame, with the word times of forced alignment.

    The tokens of a word share its time by their numbers of characters.

    Returns:
        Tokens, shape = (n_frames,); that of a space where no word is spoken.
    """
    (silence,) = tokenizer(SILENCE, add_special_tokens=False)["input_ids"]
    tokens = np.full(n_frames, silence, np.int64)
    for number, word in enumerate(aligner.align(clip, words)):
        text = " " + word.text if number else word.text
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        for token, (first, last) in zip(ids, token_spans(tokenizer, text), strict=True):
            edges = word.start + (word.end - word.start) * np.array([first, last]) / len(text)
            start, end = np.rint(edges / FRAME_SECONDS).astype(int)
            tokens[start : max(start + 1, end)] = token
    return tokens


def fit_projector(
    frames: npt.NDArray[np.floating[Any]], tokens: Int64, embeddings: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Fit the projector by ridge regression.

    The norms of its outputs are scaled to those of the embeddings, around their mean: a regression
    shrinks its outputs, which the language model would take for no word at all.

    Args:
        frames: shape = (n_frames, width), float16 or float32; may be a memory map.
        tokens: shape = (n_frames,).
        embeddings: of the language model, shape = (n_tokens, dim).

    Returns:
        `linear.weight`, shape = (dim, width), and `linear.bias`, shape = (dim,), float32.

    Raises:
        InputError: all frames have the same token.
    """
    used, inverse, counts = np.unique(tokens, return_inverse=True, return_counts=True)
    if len(used) == 1:
        raise InputError(
            "`align.fit_words`: no transcript could be aligned with its recording; check that they"
            " belong together and are English"
        )
    targets = embeddings.detach()[used].float().cpu().numpy()
    target_mean = (counts @ targets) / len(tokens)
    targets = targets - target_mean
    width = frames.shape[1]
    mean = np.zeros(width)
    for at in range(0, len(frames), CHUNK):
        mean += frames[at : at + CHUNK].sum(0, dtype=np.float64) / len(frames)
    covariance, cross = np.zeros((width, width)), np.zeros((width, targets.shape[1]))
    for at in range(0, len(frames), CHUNK):
        block = frames[at : at + CHUNK].astype(np.float32) - mean.astype(np.float32)
        covariance += block.T @ block
        cross += block.T @ targets[inverse[at : at + CHUNK]]
    penalty = RIDGE * np.trace(covariance) / width
    weight = np.linalg.solve(covariance + penalty * np.eye(width), cross)
    outputs = sum(
        float(np.linalg.norm((frames[at : at + CHUNK] - mean) @ weight, axis=1).sum())
        for at in range(0, len(frames), CHUNK)
    )
    weight *= float(counts @ np.linalg.norm(targets, axis=1)) / outputs
    arrays = {"linear.weight": weight.T, "linear.bias": target_mean - mean @ weight}
    return {name: torch.tensor(value, dtype=torch.float32) for name, value in arrays.items()}
