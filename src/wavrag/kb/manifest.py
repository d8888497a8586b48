"""`kb.json`, the manifest of a knowledge base: its format and its embedder."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wavrag.disk import read_json, sync_folder, write_json
from wavrag.embed import EmbedderSpec
from wavrag.errors import IndexMismatchError, StoreError

FILE = "kb.json"
COPY = "kb.copy.json"  # without the manifest, nobody knows the embedder of the vectors
LOCK = "kb.lock"
LOCK_SECONDS = 60.0  # small files are changed in milliseconds
FORMAT = 1
INDENT = 2


@dataclass(frozen=True, slots=True)
class Manifest:
    """Content of `kb.json`."""

    format: int  # version of the folder's layout; other versions are rejected
    embedder: dict[str, Any]  # `name`, `revision` and `dim` of the embedder of the vectors
    created: str  # ISO 8601 time
    speakers: bool = False  # recordings are cut at changes of the speaker
    store: str = "store"  # folder of the passages; another one after an upgrade


def read(directory: Path) -> Manifest | None:
    """Read the manifest of a knowledge base; None if there is none.

    Raises:
        IndexMismatchError: the format is not supported.
        StoreError: it cannot be read, is damaged, or is missing beside passages.
    """
    path = directory / FILE
    try:
        manifest = _read_file(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        if (directory / COPY).exists() or any(directory.glob("store*/*.lance")):
            raise StoreError(
                f"{path} is missing, so the embedder of these passages is unknown: run"
                f" `wavrag kb repair --kb {directory}`, or restore a backup"
            ) from error
        return None
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise StoreError(
            f"{path} is damaged ({error}): run `wavrag kb repair --kb {directory}`, or restore a"
            " backup"
        ) from error
    return manifest


def _read_file(path: Path) -> Manifest:
    """Read and check a manifest; raises ValueError if it is damaged."""
    values = read_json(path, INDENT, checked=False)
    format = values.get("format")
    if type(format) is int and format != FORMAT:
        raise IndexMismatchError(
            f"{path.parent} has format {format} and this version of WavRAG reads format {FORMAT}:"
            " index again into another folder (--kb)"
        )
    keys = {field.name for field in fields(Manifest)}
    if unknown := sorted(values.keys() - keys):
        raise ValueError(f"unknown key {unknown[0]!r}")
    try:
        manifest = Manifest(**values)
        embedder = manifest.embedder
        types = [type(embedder[key]) for key in ("name", "revision", "dim")]
    except (TypeError, KeyError) as error:
        raise ValueError(f"a key is missing or has a wrong value: {error}") from error
    types += [type(manifest.format), type(manifest.speakers), type(manifest.store)]
    if types != [str, str, int, int, bool, str] or len(embedder) != 3:
        raise ValueError("a value has a wrong type")
    if Path(manifest.store).name != manifest.store or not manifest.store.startswith("store"):
        raise ValueError(f"the store {manifest.store!r} is outside the folder")
    return manifest


def repair(directory: Path) -> list[str]:
    """Restore the manifest from its copy, or the copy; return a sentence for each action.

    Raises:
        StoreError: both are missing or damaged.
    """
    manifests: dict[str, Manifest] = {}
    for name in (FILE, COPY):
        with suppress(OSError, ValueError):
            manifests[name] = _read_file(directory / name)
    manifest = manifests.get(FILE) or manifests.get(COPY)
    if manifest is None:
        raise StoreError(
            f"{directory / FILE} and its copy are missing or damaged: restore a backup, or index"
            " the files again into another folder (--kb)"
        )
    if manifests.get(FILE) == manifests.get(COPY):
        return []
    _write(directory, manifest)
    target = COPY if FILE in manifests else FILE
    return [f"{target} was missing, damaged or old: written again"]


def find_defects(directory: Path) -> list[str]:
    """Describe each defect of the manifest and its copy."""
    defects = []
    for name in (FILE, COPY):
        try:
            _read_file(directory / name)
        except (OSError, ValueError) as error:
            defects.append(f"{directory / name} is damaged ({error}): run `wavrag kb repair`")
    return defects


def create(directory: Path, spec: EmbedderSpec) -> Manifest:
    """Write the manifest of a new knowledge base, unless another process has just done so."""
    manifest = Manifest(FORMAT, identity(spec), datetime.now(UTC).isoformat(timespec="seconds"))
    try:
        directory.mkdir(parents=True, exist_ok=True)
        scratch = directory / f".kb-{secrets.token_hex(8)}.json"
        try:
            write_json(scratch, asdict(manifest), INDENT)
            _publish(scratch, directory / FILE)
        finally:
            scratch.unlink(missing_ok=True)
        sync_folder(directory)
        stored_manifest = read(directory)
        if stored_manifest is None:
            raise StoreError(f"{directory / FILE} vanished while it was created: try again")
        if not (directory / COPY).exists():
            write_json(directory / COPY, asdict(stored_manifest), INDENT)
    except OSError as error:
        raise StoreError(
            f"cannot create a knowledge base in {directory}: {error.strerror or error}. Choose"
            " another folder with --kb"
        ) from error
    return stored_manifest


def _publish(scratch: Path, path: Path) -> None:
    """Give a complete file its name, unless there is a file of that name."""
    try:
        # `link` fails if the target exists; `rename` would replace the other process's file.
        os.link(scratch, path)
    except FileExistsError:
        pass
    except OSError:
        # FAT, exFAT and some network shares have no hard links. The lock admits one process
        # between the check and the renaming.
        with lock_files(path.parent):
            if not path.exists():
                os.rename(scratch, path)


def update(directory: Path, **changes: Any) -> None:
    """Change fields of the manifest of a knowledge base in one step.

    Raises:
        StoreError: the folder is not writable.
    """
    with lock_files(directory):
        manifest = read(directory)
        if manifest is None:
            raise StoreError(f"{directory / FILE} vanished: restore it from a backup")
        _write(directory, replace(manifest, **changes))


def check_store(directory: Path, contents: Manifest) -> None:
    """Refuse to change the passages of a knowledge base that was opened before an upgrade.

    Args:
        directory: the folder.
        contents: its manifest when it was opened.

    Raises:
        StoreError: it was upgraded meanwhile, or its manifest vanished.
    """
    current = read(directory)
    if current is None or current.store != contents.store:
        raise StoreError(
            f"{directory} was upgraded to another revision of its embedder after this program has"
            " opened it, so nothing can be added or changed: start the program again, with the"
            " version of WavRAG that made the upgrade"
        )


@contextmanager
def lock_files(directory: Path) -> Iterator[None]:
    """Keep other threads and processes from changing the small files of a knowledge base.

    Raises:
        StoreError: the folder is not writable.
    """
    from filelock import FileLock

    lock = FileLock(directory / LOCK, timeout=LOCK_SECONDS)
    try:
        lock.acquire()
    except OSError as error:
        raise StoreError(
            f"cannot lock {directory}: {error.strerror or error}: make it writable"
        ) from error
    try:
        yield
    finally:
        lock.release()


def _write(directory: Path, manifest: Manifest) -> None:
    try:
        for name in (FILE, COPY):
            write_json(directory / name, asdict(manifest), INDENT)
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
    if stored != current and stored["name"] == current["name"]:
        raise IndexMismatchError(
            f"{directory} was made with the revision {stored['revision']} of {stored['name']}, and"
            f" this version of WavRAG has {current['revision']}: run `wavrag kb upgrade --kb"
            f" {directory}` to embed its documents again"
        )
    if stored != current:
        raise IndexMismatchError(
            f"{directory} was made with the embedder {stored['name']} ({stored['revision']}), not"
            f" with {current['name']} ({current['revision']}). Open it without naming an embedder,"
            " or index again into another folder (--kb)"
        )
