"""`kb.json`, the manifest of a knowledge base: its format and its embedder."""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wavrag.embed import EmbedderSpec
from wavrag.errors import IndexMismatchError, StoreError

FILE = "kb.json"
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Manifest:
    """Content of `kb.json`."""

    format: int  # version of the folder's layout; other versions are rejected
    embedder: dict[str, Any]  # `name`, `revision` and `dim` of the embedder of the vectors
    created: str  # ISO 8601 time
    speakers: bool = False  # recordings are cut at changes of the speaker


def read(directory: Path) -> Manifest | None:
    """Read the manifest of a knowledge base; None if there is none.

    Raises:
        IndexMismatchError: the format is not supported.
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
    """Write the manifest of a new knowledge base, unless another process has just done so."""
    manifest = Manifest(FORMAT, identity(spec), datetime.now(UTC).isoformat(timespec="seconds"))
    try:
        directory.mkdir(parents=True, exist_ok=True)
        handle, scratch = tempfile.mkstemp(dir=directory, prefix=".kb-", suffix=".json")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(asdict(manifest), file, indent=2)
                file.flush()
                os.fsync(file.fileno())
            _publish(scratch, directory / FILE)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(scratch)
    except OSError as error:
        raise StoreError(
            f"cannot create a knowledge base in {directory}: {error.strerror or error}. Choose"
            " another folder with --kb"
        ) from error
    stored_manifest = read(directory)
    if stored_manifest is None:
        raise StoreError(f"{directory / FILE} vanished while it was created: try again")
    return stored_manifest


def _publish(scratch: str, path: Path) -> None:
    """Give a complete file its name, unless there is a file of that name."""
    try:
        # `link` fails if the target exists; `rename` would replace the other process's file.
        os.link(scratch, path)
    except FileExistsError:
        pass
    except OSError:
        # FAT, exFAT and some network shares have no hard links. The lock admits one process
        # between the check and the renaming.
        from filelock import FileLock

        with FileLock(path.with_suffix(".lock")):
            if not path.exists():
                os.rename(scratch, path)


def update(directory: Path, *, speakers: bool) -> None:
    """Change the manifest of a knowledge base in one step.

    Raises:
        StoreError: the folder is not writable.
    """
    manifest = read(directory)
    if manifest is None:
        raise StoreError(f"{directory / FILE} vanished: restore it from a backup")
    try:
        handle, scratch = tempfile.mkstemp(dir=directory, prefix=".kb-", suffix=".json")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(asdict(replace(manifest, speakers=speakers)), file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        os.replace(scratch, directory / FILE)
    except OSError as error:
        raise StoreError(
            f"cannot write {directory / FILE}: {error.strerror or error}: make it writable"
        ) from error


def identity(spec: EmbedderSpec) -> dict[str, Any]:
    """The fields of an embedder that must be equal for vectors to be comparable."""
    return {"name": spec.name, "revision": spec.revision, "dim": spec.dim}


def check_embedder(manifest: Manifest, spec: EmbedderSpec, directory: Path) -> None:
    """Reject an embedder, or a revision of it, that did not create the knowledge base."""
    stored, current = manifest.embedder, identity(spec)
    if stored != current:
        raise IndexMismatchError(
            f"{directory} was made with the embedder {stored['name']} ({stored['revision']}), not"
            f" with {current['name']} ({current['revision']}). Open it without naming an embedder,"
            " or index again into another folder (--kb)"
        )
