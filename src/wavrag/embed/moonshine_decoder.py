"""Greedy decoding of Moonshine tiny, for one clip or several at once.

`tools/convert_moonshine.py` writes the graphs and their weights from the published ones. Keys and
values of the encoder states are computed once per clip, the self-attention caches are updated in
place, and the most likely token is chosen in the graph.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from wavrag.embed.runtime import load_session
from wavrag.errors import EmbedderError
from wavrag.types import Float32

MOONSHINE_WEIGHTS = Path(__file__).parent / "weights" / "moonshine"
WEIGHTS = "decoder.bin"
# The graphs find each matrix by its offset: in another file they would read other numbers.
WEIGHTS_CRC = 0x462C3406
LAYERS, HEADS, HEAD_SIZE = 6, 8, 36
MAX_TOKENS = 256  # length of the table of positions
BEGIN, END = 1, 2  # tokens


def check_weights(path: Path, checksum: int) -> None:
    """Raise `EmbedderError` if a file is missing or has another CRC-32."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise EmbedderError(f"model file {path} is missing: reinstall wavrag") from error
    if zlib.crc32(content) != checksum:
        raise EmbedderError(f"{path} is damaged: reinstall wavrag")


class MoonshineDecoder:
    """Decodes encoder states to tokens. Thread-safe."""

    def __init__(self, folder: Path = MOONSHINE_WEIGHTS) -> None:
        """Use the graphs and weights in a folder; `EmbedderError` for other weights."""
        check_weights(folder / WEIGHTS, WEIGHTS_CRC)
        self._folder = folder
        self._cross = load_session(folder / "cross.onnx")
        self._step = load_session(folder / "step.onnx")

    @cached_property
    def _batch_step(self) -> Any:
        # Each graph holds a packed copy of the weights, 19 MB. Questions never load this one.
        return load_session(self._folder / "batch_step.onnx")

    def decode(self, frames: Sequence[Float32], limits: Sequence[int]) -> list[list[int]]:
        """Decode encoder states, shape = (1, n_frames, 288), to `limits` tokens at most."""
        state = _State([self._cross.run(None, {"frames": clip}) for clip in frames], max(limits))
        session = self._step if len(frames) == 1 else self._batch_step
        tokens: list[list[int]] = [[] for _ in frames]
        rows = list(range(len(frames)))  # clip of each row
        binding = state.bind(session, len(rows))
        while rows:
            session.run_with_iobinding(binding)
            state.advance()
            # From the last row, so that a removal moves no row that is still to be visited.
            for row in reversed(range(len(rows))):
                clip, token = rows[row], int(state.tokens[row, 0])
                if token != END:
                    tokens[clip].append(token)
                if token == END or len(tokens[clip]) == limits[clip]:
                    state.move(len(rows) - 1, row)
                    rows[row] = rows[-1]
                    rows.pop()
                    binding = None
            if binding is None and rows:
                binding = state.bind(session, len(rows))
        return tokens


class _State:
    """Buffers of the clips that are being decoded, one row each."""

    def __init__(self, cross: list[list[Float32]], limit: int) -> None:
        # `cross`: keys and values of each clip and layer, shape = (1, 8, n_frames, 36).
        rows, lengths = len(cross), [clip[0].shape[2] for clip in cross]
        self.tokens = np.full((rows, 1), BEGIN, np.int64)
        self._position, self._length = np.zeros(1, np.int64), np.zeros(1, np.int32)
        self._mask = (np.arange(max(lengths)) < np.array(lengths)[:, None]).astype(np.int32)
        self._cross = cross[0] if rows == 1 else [_pad(layer) for layer in zip(*cross, strict=True)]
        shape = rows, HEADS, limit, HEAD_SIZE
        self._past = [np.zeros(shape, np.float32) for _ in range(2 * LAYERS)]

    def bind(self, session: Any, rows: int) -> Any:
        """Bind the first rows to the inputs and outputs of a step."""
        binding = session.io_binding()
        names = [f"{kind}_{i}" for i in range(LAYERS) for kind in ("key", "value")]
        inputs: dict[str, Any] = {"token": self.tokens[:rows], "mask": self._mask[:rows]}
        inputs |= {"position": self._position, "length": self._length}
        outputs: dict[str, Any] = {"next_token": self.tokens[:rows]}
        for name, past, cross in zip(names, self._past, self._cross, strict=True):
            inputs |= {name: past[:rows], f"cross_{name}": cross[:rows]}
            outputs[f"new_{name}"] = past[:rows]
        for bind, arrays in ((binding.bind_input, inputs), (binding.bind_output, outputs)):
            for name, array in arrays.items():
                bind(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
        return binding

    def advance(self) -> None:
        """Go to the next position."""
        self._position += 1
        self._length += 1

    def move(self, source: int, target: int) -> None:
        """Overwrite a row with another."""
        if source != target:
            arrays: tuple[Any, ...] = self.tokens, self._mask, *self._cross, *self._past
            for array in arrays:
                array[target] = array[source]


def _pad(clips: Sequence[Float32]) -> Float32:
    """Stack the keys or values of several clips, padded with zeros."""
    padded = np.zeros(
        (len(clips), HEADS, max(clip.shape[2] for clip in clips), HEAD_SIZE), np.float32
    )
    for row, clip in zip(padded, clips, strict=True):
        row[:, : clip.shape[2]] = clip[0]
    return padded
