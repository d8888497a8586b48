"""`kb.json`: what a knowledge base remembers about itself, above all which embedder made it."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wavrag.embed import EmbedderSpec
from wavrag.errors import IndexMismatchError, StoreError

FILE = "kb.json"
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Manifest:
    """What `kb.json` holds.

    Attributes:
        format: of the folder; another format is refused.
        embedder: `name`, `revision` and `dim` of the embedder that made the vectors.
        created: ISO 8601 time.
    """

    format: int
    embedder: dict[str, Any]
    created: str

    @property
    def embedder_name(self) -> str:
        """As `load_embedder` takes it."""
        return str(self.embedder["name"])


def read(directory: Path) -> Manifest | None:
    """The manifest of a knowledge base, None where there is none.

    Raises:
        IndexMismatchError: it is of another format.
        StoreError: it cannot be read.
    """
    path = directory / FILE
    try:
        manifest = Manifest(**json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, TypeError) as error:
        raise StoreError(
            f"{path} is damaged ({error}): restore it from a backup, or remove {directory} and"
            " index again"
        ) from error
    if manifest.format != FORMAT:
        raise IndexMismatchError(
            f"{directory} has format {manifest.format} and this version of WavRAG reads format"
            f" {FORMAT}: index again into another folder (--kb)"
        )
    return manifest


def create(directory: Path, spec: EmbedderSpec) -> Manifest:
    """Write the manifest of a new knowledge base, unless another process was first.

    Raises:
        StoreError: the folder cannot be made or written.
    """
    manifest = Manifest(FORMAT, identity(spec), datetime.now(UTC).isoformat(timespec="seconds"))
    try:
        directory.mkdir(parents=True, exist_ok=True)
        handle, scratch = tempfile.mkstemp(dir=directory, prefix=".kb-", suffix=".json")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(asdict(manifest), file, indent=2)
                file.flush()
                os.fsync(file.fileno())
            os.link(scratch, directory / FILE)
        except FileExistsError:
            pass
        finally:
            os.unlink(scratch)
    except OSError as error:
        raise StoreError(
            f"cannot make a knowledge base in {directory}: {error.strerror or error}. Choose"
            " another folder with --kb"
        ) from error
    written = read(directory)
    if written is None:
        raise StoreError(f"{directory / FILE} vanished while it was made: try again")
    return written


def identity(spec: EmbedderSpec) -> dict[str, Any]:
    """What makes two embedders' vectors comparable."""
    return {"name": spec.name, "revision": spec.revision, "dim": spec.dim}


def check_embedder(manifest: Manifest, spec: EmbedderSpec, directory: Path) -> None:
    """Refuse an embedder other than the one that made the knowledge base.

    Raises:
        IndexMismatchError: it is another one.
    """
    theirs, ours = manifest.embedder, identity(spec)
    if theirs != ours:
        raise IndexMismatchError(
            f"{directory} was made with the embedder {theirs['name']} ({theirs['revision']}), not"
            f" with {ours['name']} ({ours['revision']}). Open it without naming an embedder, or"
            " index again into another folder (--kb)"
        )
