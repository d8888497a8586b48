"""`kb.json`, the manifest of a knowledge base: its format and its embedder."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wavrag.disk import dump_json, load_json
from wavrag.embed import EmbedderSpec
from wavrag.errors import IndexMismatchError, StoreError
from wavrag.kb.backend import Backend, FolderBackend

FILE = "kb.json"
COPY = "kb.copy.json"
RECORD = ("manifest", "kb")  # kind and key
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


def read(backend: Backend) -> Manifest | None:
    """Read the manifest of a knowledge base; None if there is none.

    Raises:
        IndexMismatchError: the format is not supported.
        StoreError: it cannot be read, is damaged, or is missing beside passages.
    """
    data = backend.records.get(*RECORD)
    if data is None:
        if backend.has_remains():
            raise StoreError(
                f"{backend.manifest_name} is missing, so the embedder of these passages is unknown:"
                f" {backend.remedy}"
            )
        return None
    return _load(backend, data)


def _load(backend: Backend, data: bytes) -> Manifest:
    try:
        return _parse(data, backend.address)
    except ValueError as error:
        raise StoreError(
            f"{backend.manifest_name} is damaged ({error}): {backend.remedy}"
        ) from error


def _parse(data: bytes, address: str) -> Manifest:
    """Check the content of a manifest; raises ValueError if it is damaged."""
    values = load_json(data, INDENT, checked=False)
    format = values.get("format")
    if type(format) is int and format != FORMAT:
        raise IndexMismatchError(
            f"{address} has format {format} and this version of WavRAG reads format {FORMAT}:"
            " index again into another knowledge base (--kb)"
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
    """Restore the manifest of a folder from its copy, or the copy; return a sentence per action.

    Raises:
        StoreError: both are missing or damaged.
    """
    manifests: dict[str, Manifest] = {}
    for name in (FILE, COPY):
        with suppress(OSError, ValueError):
            manifests[name] = _parse((directory / name).read_bytes(), str(directory))
    manifest = manifests.get(FILE) or manifests.get(COPY)
    if manifest is None:
        raise StoreError(
            f"{directory / FILE} and its copy are missing or damaged: restore a backup, or index"
            " the files again into another folder (--kb)"
        )
    if manifests.get(FILE) == manifests.get(COPY):
        return []
    FolderBackend(directory).records.put(*RECORD, _dump(manifest))
    target = COPY if FILE in manifests else FILE
    return [f"{target} was missing, damaged or old: written again"]


def find_defects(directory: Path) -> list[str]:
    """Describe each defect of the manifest of a folder and its copy."""
    defects = []
    for name in (FILE, COPY):
        try:
            _parse((directory / name).read_bytes(), str(directory))
        except (OSError, ValueError) as error:
            defects.append(f"{directory / name} is damaged ({error}): run `wavrag kb repair`")
    return defects


def create(backend: Backend, spec: EmbedderSpec) -> Manifest:
    """Write the manifest of a new knowledge base, unless another process has just done so."""
    manifest = Manifest(FORMAT, identity(spec), datetime.now(UTC).isoformat(timespec="seconds"))
    try:
        backend.records.create(*RECORD, _dump(manifest))
    except StoreError as error:
        raise StoreError(
            f"cannot create a knowledge base in {backend.address}: {error}. Choose another one"
            " with --kb"
        ) from error
    stored_manifest = read(backend)
    if stored_manifest is None:
        raise StoreError(f"{backend.manifest_name} vanished while it was created: try again")
    return stored_manifest


def update(backend: Backend, **changes: Any) -> None:
    """Change fields of the manifest of a knowledge base in one step.

    Raises:
        StoreError: it is not writable.
    """

    def change(data: bytes | None) -> bytes:
        if data is None:
            raise StoreError(f"{backend.manifest_name} vanished: restore it from a backup")
        return _dump(replace(_load(backend, data), **changes))

    backend.records.update(*RECORD, change)


def check_store(backend: Backend, contents: Manifest) -> None:
    """Refuse to change the passages of a knowledge base that was opened before an upgrade.

    Args:
        backend: the place of the knowledge base.
        contents: its manifest when it was opened.

    Raises:
        StoreError: it was upgraded meanwhile, or its manifest vanished.
    """
    current = read(backend)
    if current is None or current.store != contents.store:
        raise StoreError(
            f"{backend.address} was upgraded to another revision of its embedder after this program"
            " has opened it, so nothing can be added or changed: start the program again, with the"
            " version of WavRAG that made the upgrade"
        )


def _dump(manifest: Manifest) -> bytes:
    return dump_json(asdict(manifest), INDENT)


def identity(spec: EmbedderSpec) -> dict[str, Any]:
    """The fields of an embedder that must be equal for vectors to be comparable."""
    return {"name": spec.name, "revision": spec.revision, "dim": spec.dim}


def check_embedder(manifest: Manifest, spec: EmbedderSpec, address: str) -> None:
    """Reject an embedder, or a revision of it, that did not create the knowledge base."""
    stored, current = manifest.embedder, identity(spec)
    if stored != current and stored["name"] == current["name"]:
        raise IndexMismatchError(
            f"{address} was made with the revision {stored['revision']} of {stored['name']}, and"
            f" this version of WavRAG has {current['revision']}: run `wavrag kb upgrade --kb"
            f" {address}` to embed its documents again"
        )
    if stored != current:
        raise IndexMismatchError(
            f"{address} was made with the embedder {stored['name']} ({stored['revision']}), not"
            f" with {current['name']} ({current['revision']}). Open it without naming an embedder,"
            " or index again into another one (--kb)"
        )
