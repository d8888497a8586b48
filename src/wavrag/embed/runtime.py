"""ONNX Runtime sessions, set up the same way for every model in the package."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from wavrag.errors import EmbedderError

A = TypeVar("A")
B = TypeVar("B")


def load_session(path: Path, threads: int = 1) -> Any:
    """An `onnxruntime.InferenceSession`.

    Throughput comes from calls running side by side (`Workers`) on one thread each, and a call of
    its own gives every item the same vector whatever else is in the batch. More threads a call are
    for a query that comes alone.

    Args:
        path: `.onnx` or `.ort` file.
        threads: that one call computes on.

    Raises:
        EmbedderError: the file is missing or is not a model.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if not path.is_file():
        raise EmbedderError(f"model file {path} is missing: reinstall the package that ships it")
    try:
        return ort.InferenceSession(
            str(path),
            options,
            providers=["CPUExecutionProvider"],
            # The fused kernel is slower than the two that it replaces.
            disabled_optimizers=["SkipLayerNormFusion"],
        )
    except Exception as error:
        raise EmbedderError(f"model file {path} cannot be loaded: {error}") from error


class Workers:
    """Runs a function over items on a few threads, in order. ONNX Runtime releases the GIL."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._pool: ThreadPoolExecutor | None = None

    def map(self, function: Callable[[A], B], items: Iterable[A]) -> list[B]:
        """Like `list(map(function, items))`; a single item stays on the caller's thread."""
        items = list(items)
        if len(items) < 2 or self._threads < 2:
            return [function(item) for item in items]
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="wavrag-model")
        return list(self._pool.map(function, items))
