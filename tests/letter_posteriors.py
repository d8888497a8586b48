"""Letter probabilities for tests."""

import numpy as np

from wavrag.embed.ctc import LETTER_INDEX, LETTERS
from wavrag.types import Float32


def posteriors(frames: str, sure: float = 0.9, other: dict[int, str] | None = None) -> Float32:
    """A frame a character, `_` for a blank; `other` names second best letters of frames."""
    table = np.full((len(frames), len(LETTERS) + 1), (1 - sure) / len(LETTERS))
    for at, letter in enumerate(frames):
        table[at, LETTER_INDEX.get(letter, 0)] = sure
        if other and at in other:
            table[at, LETTER_INDEX[other[at]]] = sure * 0.8
    table /= table.sum(1, keepdims=True)
    return np.log(table).astype(np.float32)
