"""Files and documents to passages, ready to be embedded."""

from __future__ import annotations

import fnmatch
import hashlib
import json
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from wavrag import audio, text
from wavrag.audio import SAMPLE_RATE
from wavrag.errors import InputError
from wavrag.types import Clip, Document, EmbedInput, Float32, Metadata, NoteCallback, Passage

KNOWN_SUFFIXES = audio.AUDIO_SUFFIXES | text.TEXT_SUFFIXES
SPLIT_VERSION = "1"  # part of every content hash: another way of cutting indexes files again
HASH_BLOCK = 1 << 20  # bytes


@dataclass(frozen=True, slots=True)
class IngestOptions:
    """How documents become passages.

    Attributes:
        split: how texts are cut.
    """

    split: text.SplitOptions = field(default_factory=text.SplitOptions)


@dataclass(frozen=True, slots=True, eq=False)
class Unit:
    """A passage and what is embedded for it."""

    passage: Passage
    item: EmbedInput


@dataclass(frozen=True, slots=True)
class FileScan:
    """What a search for files gave: documents, and what could not be used with the reason."""

    documents: tuple[Document, ...]
    skipped: tuple[tuple[str, str], ...]


def find_files(
    paths: Sequence[str | os.PathLike[str]],
    globs: Sequence[str] = (),
    metadata: Metadata | None = None,
) -> FileScan:
    """Files to index, in a stable order, each once.

    A folder is searched whole for files with a known suffix, leaving out hidden ones. A file that
    is named is taken whatever its place; one of an unknown suffix is skipped with the reason.

    Args:
        paths: files and folders.
        globs: only files whose name or path matches one of them; empty for all.
        metadata: given to every document.
    """
    files: dict[str, None] = {}
    skipped: list[tuple[str, str]] = []
    for given in paths:
        path = os.path.abspath(os.fspath(given))
        if os.path.isdir(path):
            files.update(dict.fromkeys(_walk(path, skipped)))
        elif not os.path.lexists(path):
            skipped.append((path, "no such file or folder: check the path"))
        elif suffix(path) in KNOWN_SUFFIXES:
            files[path] = None
        else:
            known = " ".join(sorted(KNOWN_SUFFIXES))
            skipped.append((path, f"unknown kind of file: convert it to one of {known}"))
    documents = []
    for path in files:
        if globs and not any(_matches(path, glob) for glob in globs):
            continue
        if reason := _unusable(path):
            skipped.append((path.encode("utf-8", "replace").decode(), reason))
            continue
        documents.append(Document(id=path, path=path, metadata=metadata or {}))
    return FileScan(tuple(documents), tuple(skipped))


def _walk(folder: str, skipped: list[tuple[str, str]]) -> Iterator[str]:
    def refuse(error: OSError) -> None:
        reason = f"{error.strerror}: allow reading it (chmod) or leave it out"
        skipped.append((str(error.filename), reason))

    seen: set[tuple[int, int]] = set()
    for root, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        here = os.stat(root)
        if (here.st_dev, here.st_ino) in seen:
            # A link back to a folder that was searched already.
            folders.clear()
            continue
        seen.add((here.st_dev, here.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if suffix(name) in KNOWN_SUFFIXES and not name.startswith("."):
                yield os.path.join(root, name)


def _unusable(path: str) -> str | None:
    """Why a path cannot be indexed; None if nothing speaks against it."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return "its name is not valid UTF-8: rename it"
    if os.path.exists(path) and not os.path.isfile(path):
        return "is a pipe or a device, not a file: leave it out"
    return None


def _matches(path: str, glob: str) -> bool:
    return fnmatch.fnmatch(os.path.basename(path), glob) or fnmatch.fnmatch(path, glob)


def suffix(path: str) -> str:
    """Lower-case suffix with its dot."""
    return os.path.splitext(path)[1].lower()


def check_document(document: Document) -> None:
    """Refuse what cannot be stored or embedded, before anything is read.

    Raises:
        InputError: metadata that is not flat, or a clip that is not mono floating point.
    """
    for key, value in document.metadata.items():
        if not isinstance(key, str) or not isinstance(value, str | int | float | bool):
            raise InputError(
                f"document {document.id}: metadata {key!r} is {value!r}: give strings, numbers or"
                " truth values under string keys"
            )
        if isinstance(value, float) and not math.isfinite(value):
            raise InputError(f"document {document.id}: metadata {key!r} is {value}: leave it out")
    clip = document.clip
    if clip is not None and (clip.samples.ndim != 1 or clip.samples.dtype.kind != "f"):
        raise InputError(
            f"document {document.id}: its clip has samples of {clip.samples.dtype} and shape"
            f" {clip.samples.shape}: give mono float32 samples in [-1, 1]"
        )


def content_hash(document: Document, options: IngestOptions) -> str:
    """Hex digest of all that its passages are made from.

    Raises:
        InputError: its file cannot be read.
    """
    digest = hashlib.blake2b(digest_size=16)
    settings = [SPLIT_VERSION, asdict(options), document.title, sorted(document.metadata.items())]
    digest.update(json.dumps(settings).encode())
    if document.path is not None:
        try:
            with open(document.path, "rb") as file:
                while block := file.read(HASH_BLOCK):
                    digest.update(block)
        except OSError as error:
            raise InputError(
                f"{document.path}: {error.strerror or error}: make it readable or leave it out"
            ) from error
    if document.text is not None:
        digest.update(document.text.encode("utf-8", "surrogatepass"))
    if document.clip is not None:
        digest.update(str(document.clip.sample_rate).encode())
        digest.update(document.clip.samples.tobytes())
    return digest.hexdigest()


def passages_of(
    document: Document, sample_rate: int, options: IngestOptions, on_note: NoteCallback
) -> Iterator[Unit]:
    """Cut a document into passages.

    Args:
        document: with a text, a clip or a path.
        sample_rate: Hz that the embedder hears.
        options: how to cut.
        on_note: told what is worth knowing but no reason to stop, such as a damaged end.

    Raises:
        InputError: it cannot be read, or holds nothing.
    """
    if document.clip is not None:
        clip = audio.resample(document.clip, sample_rate)
        yield from _audio_units(document, [clip.samples], sample_rate, options)
    elif document.text is not None:
        yield from _text_units(document, text.parse(document.text, "txt"), options)
    elif document.path is None:
        raise InputError(f"document {document.id} is empty: give it a text, a clip or a path")
    elif suffix(document.path) in audio.AUDIO_SUFFIXES:
        blocks = audio.stream(document.path, sample_rate, on_note=on_note)
        yield from _audio_units(document, blocks, sample_rate, options)
    else:
        yield from _text_units(document, text.read(document.path, on_note=on_note), options)


def _audio_units(
    document: Document, blocks: Iterable[Float32], sample_rate: int, options: IngestOptions
) -> Iterator[Unit]:
    source = document.path or document.id
    if sample_rate != SAMPLE_RATE:
        raise InputError(
            f"{source}: recordings are cut at {SAMPLE_RATE} Hz, and the embedder hears"
            f" {sample_rate} Hz: index recordings with another, such as cascade"
        )
    title = document.title or Path(source).stem
    base = Passage(document.id, 0, source=source, title=title, metadata=document.metadata)
    for ordinal, clip in enumerate(audio.windows(blocks, sample_rate, source)):
        passage = replace(
            base,
            ordinal=ordinal,
            start=round(clip.start, 3),
            end=round(clip.end, 3),
            speech=clip.speech,
            level=audio.measure_level(clip.samples),
        )
        yield Unit(passage, EmbedInput(text=readable(title), clip=clip))


def _text_units(
    document: Document, parsed: text.ParsedText, options: IngestOptions
) -> Iterator[Unit]:
    title = document.title or parsed.title
    base = Passage(
        document.id,
        0,
        source=document.path or document.id,
        title=title,
        metadata=document.metadata,
    )
    for ordinal, chunk in enumerate(text.split(parsed, options.split)):
        passage = replace(
            base,
            ordinal=ordinal,
            text=chunk.text,
            char_start=chunk.char_start,
            char_end=chunk.char_end,
            section=chunk.section,
            page=chunk.page,
        )
        # Headings say what a passage is about where its own words do not.
        above = dict.fromkeys(part for part in (readable(title), chunk.section) if part)
        yield Unit(passage, EmbedInput(text=f"{': '.join(above)}\n{chunk.text}"))


def readable(title: str) -> str:
    """A title as words: `board_meeting-03` reads `board meeting 03`."""
    return " ".join(title.replace("_", " ").replace("-", " ").split())


def clip_of(passage: Passage, sample_rate: int) -> Clip:
    """The sound of a recording's passage, decoded from its source.

    Raises:
        AudioError: the source cannot be read.
    """
    return audio.load(passage.source, sample_rate, passage.start or 0.0, passage.end)
