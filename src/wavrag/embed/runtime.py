"""ONNX Runtime sessions and worker threads, shared by all packaged models."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from wavrag.errors import EmbedderError
from wavrag.types import Clip

# Beyond eight clips, decoding gains little. A second of a clip takes 0.6 MB of keys and values.
BATCH_CLIPS, BATCH_SECONDS = 8, 100.0

Input = TypeVar("Input")
Result = TypeVar("Result")


def load_session(
    path: Path, threads: int = 1, data_folder: Path | None = None, *, arena: bool = True
) -> Any:
    """Open an `.onnx` or `.ort` file as an `onnxruntime.InferenceSession`.

    Batches run as parallel single-threaded calls (`Workers`), one per input. So the vector of an
    input does not depend on the rest of the batch. Several threads per call only help a single
    query.

    `data_folder` has the external data of the model (default: the folder of `path`).

    Raises:
        EmbedderError: the file is missing or is not a model.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.enable_cpu_mem_arena = arena
    options.inter_op_num_threads = 1  # the graphs run sequentially
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # errors only: warnings go to the user's terminal otherwise
    if not path.is_file():
        raise EmbedderError(f"model file {path} is missing: reinstall the package that ships it")
    model: str | bytes = str(path)
    if data_folder is not None:
        # Only a model in memory can have its external data in another folder.
        model = path.read_bytes()
        options.add_session_config_entry(
            "session.model_external_initializers_file_folder_path", str(data_folder)
        )
    try:
        return ort.InferenceSession(
            model,
            options,
            providers=["CPUExecutionProvider"],
            # The fused kernel is slower than the two kernels it replaces.
            disabled_optimizers=["SkipLayerNormFusion"],
        )
    except Exception as error:
        raise EmbedderError(f"model file {path} cannot be loaded: {error}") from error


class Workers:
    """Thread pool that maps a function over inputs in order. ONNX Runtime releases the GIL."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._pool: ThreadPoolExecutor | None = None

    def map(self, function: Callable[[Input], Result], inputs: Iterable[Input]) -> list[Result]:
        """Like `list(map(function, inputs))`; a single input stays on the caller's thread."""
        inputs = list(inputs)
        if len(inputs) < 2 or self._threads < 2:
            return list(map(function, inputs))
        # Created on first use, so that loading an embedder starts no threads.
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="wavrag-model")
        return list(self._pool.map(function, inputs))


def split_clips(clips: Mapping[int, Clip], threads: int) -> list[dict[int, Clip]]:
    """Split clips into batches of similar lengths, longest first, at least one per thread."""
    size = min(BATCH_CLIPS, -(-len(clips) // threads))
    batches: list[dict[int, Clip]] = []
    for index, clip in sorted(clips.items(), key=lambda item: -item[1].duration):
        batch = batches[-1] if batches else {}
        longest = max((member.duration for member in batch.values()), default=0.0)
        if not batch or len(batch) == size or (len(batch) + 1) * longest > BATCH_SECONDS:
            batches.append(batch := {})
        batch[index] = clip
    return batches
