"""Embedding of archives on a Ray cluster, into Parquet files."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wavrag.embed import load_embedder
from wavrag.errors import InputError, MissingExtraError
from wavrag.kb.parquet import embed_to_table
from wavrag.types import Document

if TYPE_CHECKING:
    import pyarrow as pa

DOCUMENTS = 16  # embedded in one call: bounds the work that a killed node loses


@dataclass(frozen=True, slots=True)
class BulkOptions:
    """How a cluster embeds documents.

    Attributes:
        embedder: name of the embedder, which every node can load.
        workers: processes with the embedder, each on a processor; None for all processors but one,
            which reads and writes.
        gpus: GPUs of each worker.
        address: address of the cluster; None for a new one on this machine.
    """

    embedder: str
    workers: int | None = None
    gpus: float = 0.0
    address: str | None = None


class _Worker:
    """Holds the embedder in a process of the cluster."""

    def __init__(self, embedder: str) -> None:
        self._embedder = load_embedder(embedder)
        self._embedder.load()

    def __call__(self, table: pa.Table) -> pa.Table:
        """Embed the documents of a batch."""
        documents = [_read_document(text) for text in table["document"].to_pylist()]
        with tempfile.TemporaryDirectory() as folder:
            return embed_to_table(documents, self._embedder, Path(folder))


def embed_bulk(documents: Sequence[Document], out: Path, options: BulkOptions) -> None:
    """Embed documents on all nodes of a Ray cluster; a killed node's work is repeated by others.

    Every node needs WavRAG, the models, and the files under the same paths.

    Args:
        documents: files, with distinct ids.
        out: folder for Parquet files, which all nodes can write.
        options: embedder and processes.

    Raises:
        MissingExtraError: Ray is not installed.
        InputError: the folder is not empty, or the cluster has too few processors.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would call its makers
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingExtraError("embedding on a cluster", "ray") from error
    if out.exists() and any(out.iterdir()):
        raise InputError(f"{out} is not empty: name another folder (--out)")
    ray.init(address=options.address, ignore_reinit_error=True, log_to_driver=False)
    processors = int(ray.cluster_resources().get("CPU", 0))
    workers = options.workers or max(1, processors - 1)
    # Workers keep their processors until the end. If they took all, the tasks that read and write
    # would wait for ever.
    if workers >= processors:
        raise InputError(
            f"{workers} workers leave no processor of {processors} for reading and writing: start"
            f" fewer (--workers), or a cluster with at least {workers + 1} processors"
        )
    items = [{"document": json.dumps(asdict(document))} for document in documents]
    blocks = max(1, -(-len(items) // DOCUMENTS))
    dataset = ray.data.from_items(items, override_num_blocks=min(blocks, len(items)))
    resources: dict[str, Any] = {"num_gpus": options.gpus} if options.gpus else {}
    embedded = dataset.map_batches(
        _Worker,
        fn_constructor_args=(options.embedder,),
        batch_format="pyarrow",
        batch_size=DOCUMENTS,
        compute=ray.data.ActorPoolStrategy(size=workers),
        num_cpus=1,
        **resources,
    )
    out.mkdir(parents=True, exist_ok=True)
    embedded.write_parquet(os.fspath(out.absolute()))


def _read_document(text: str) -> Document:
    values = json.loads(text)
    values["chapters"] = tuple((start, title) for start, title in values["chapters"])
    return Document(**{**values, "copies": tuple(values["copies"])})
