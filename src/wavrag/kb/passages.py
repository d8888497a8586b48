"""Read documents and split them into passages, ready for the embedder."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from io import BufferedReader
from itertools import chain
from pathlib import Path

from wavrag import audio, text
from wavrag.audio import SAMPLE_RATE
from wavrag.errors import InputError
from wavrag.kb.kinds import find_recording, is_recording, suffix
from wavrag.store import labels_of, without_labels
from wavrag.types import Clip, Document, EmbedInput, NoteCallback, Passage
from wavrag.where import compose

# Part of every content hash: raising it makes the next `add` index all documents again. Raise it
# whenever texts or recordings are split differently.
SPLIT_VERSION = "4"


_FILE = "-"  # precedes the digest of a file in a content hash
_LABELS = "+"  # precedes that of access labels


@dataclass(frozen=True, slots=True, eq=False)
class PendingPassage:
    """A passage before embedding, with the input of the embedder."""

    passage: Passage
    embed_input: EmbedInput


def check_document(document: Document) -> None:
    """Reject a document before it is read.

    Raises:
        InputError: its metadata is not flat, or its clip is not mono floating point.
    """
    for key, value in document.metadata.items():
        if not isinstance(key, str) or not isinstance(value, str | int | float | bool):
            raise InputError(
                f"document {document.id}: metadata {key!r} is {value!r}: give strings, numbers or"
                " booleans under string keys"
            )
        if isinstance(value, float) and not math.isfinite(value):
            raise InputError(f"document {document.id}: metadata {key!r} is {value}: leave it out")
    clip = document.clip
    if clip is not None and (clip.samples.ndim != 1 or clip.samples.dtype.kind != "f"):
        raise InputError(
            f"document {document.id}: its clip has samples of {clip.samples.dtype} and shape"
            f" {clip.samples.shape}: give mono float32 samples in [-1, 1]"
        )


def content_hash(document: Document, *, speakers: bool = False) -> str:
    """Hex digest of everything that determines a document's passages, except the path of a file.

    A digest of the access labels follows, so that `relabel` can replace them alone; for a file also
    the digest of its bytes, so that `relink.py` can recognise it.

    Args:
        document: a document.
        speakers: True if recordings are cut at changes of the speaker.

    Raises:
        InputError: its file cannot be read.
    """
    digest = hashlib.blake2b(digest_size=16)
    metadata = without_labels(document.metadata)
    settings = [SPLIT_VERSION, document.title, sorted(metadata.items())]
    if document.chapters:
        settings.append([list(chapter) for chapter in document.chapters])
    if document.channels != "auto":
        settings.append(document.channels)
    if speakers and _has_audio(document):
        settings.append("speakers")
    if document.path is not None:
        # The suffix decides how a text is read: the words of a .txt are headings in a .md.
        settings.append(suffix(document.path))
    digest.update(json.dumps(settings).encode())
    if document.text is not None:
        # Lone surrogates occur in file names and broken JSON; hashing must not fail on them.
        digest.update(document.text.encode("utf-8", "surrogatepass"))
    if document.clip is not None:
        digest.update(str(document.clip.sample_rate).encode())
        digest.update(document.clip.samples.tobytes())
    text = digest.hexdigest() + _digest_labels(labels_of(document.metadata))
    return text if document.path is None else f"{text}{_FILE}{digest_file(document.path)}"


def relabel(content_hash: str, labels: Collection[str]) -> str:
    """The content hash of a document with other access labels."""
    settings, separator, file = content_hash.partition(_FILE)
    return settings.partition(_LABELS)[0] + _digest_labels(labels) + separator + file


def _digest_labels(labels: Collection[str]) -> str:
    if not labels:
        return ""
    digest = hashlib.blake2b(",".join(sorted(labels)).encode(), digest_size=8)
    return f"{_LABELS}{digest.hexdigest()}"


def file_digest_of(content_hash: str) -> str:
    """The digest of the file in a content hash; empty for a document without a file."""
    return content_hash.partition(_FILE)[2]


def _has_audio(document: Document) -> bool:
    if document.clip is not None or document.text is not None or document.path is None:
        return document.clip is not None
    return _is_recording(document)


def path_key(path: str) -> str:
    """Equal for the names of a file that some disk or system does not distinguish."""
    return compose(path).casefold()


def digest_file(path: str) -> str:
    """Hex digest of the bytes of a file.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return digest_content(file)
    except OSError as error:
        raise InputError(
            f"{path}: {error.strerror or error}: make it readable or leave it out"
        ) from error


def digest_content(file: BufferedReader) -> str:
    """Hex digest of the bytes of an open file, from its position."""
    return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def split_document(
    document: Document, sample_rate: int, on_note: NoteCallback, max_hours: float | None = None
) -> Iterator[PendingPassage]:
    """Read a document and split it into passages.

    Args:
        document: with a text, a clip or a path.
        sample_rate: Hz of the embedder's input.
        on_note: called with remarks about defects that do not prevent reading, such as a
            truncated file.
        max_hours: of a recording; None for a limit in proportion to the size of its file.

    Raises:
        InputError: it is empty or cannot be read.
    """
    if document.clip is not None:
        clip = audio.resample(document.clip, SAMPLE_RATE)
        clips = audio.windows([clip.samples], source=document.origin)
        yield from _split_recording(
            document, audio.Recording(), map(audio.RecordingWindow, clips), sample_rate
        )
    elif document.text is not None:
        yield from _split_text(document, iter([text.parse(document.text, "txt")]))
    elif document.path is None:
        raise InputError(f"document {document.id} is empty: give it a text, a clip or a path")
    elif _is_recording(document):
        recording = audio.inspect_recording(document.path)
        max_seconds = None if max_hours is None else 3600 * max_hours
        windows = audio.split_recording(
            document.path, recording.tracks, document.channels, on_note, max_seconds
        )
        yield from _split_recording(document, recording, windows, sample_rate)
    else:
        yield from _split_text(document, text.read_pieces(document.path, on_note=on_note))


def _is_recording(document: Document) -> bool:
    try:
        return is_recording(document.path or "")
    except (OSError, ValueError) as error:  # ValueError: null character in the name
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{document.path}: {reason}: make it readable or leave it out") from error


def _split_recording(
    document: Document,
    recording: audio.Recording,
    windows: Iterable[audio.RecordingWindow],
    sample_rate: int,
) -> Iterator[PendingPassage]:
    source = document.origin
    if sample_rate != SAMPLE_RATE:
        raise InputError(
            f"{source}: recordings are split at {SAMPLE_RATE} Hz, but the embedder needs"
            f" {sample_rate} Hz: index recordings with another, such as cascade"
        )
    tags = recording.tags
    title = document.title or tags.title or compose(Path(document.path or source).stem)
    # A file must not label itself: its labels decide who may see it.
    metadata = {**without_labels(tags.metadata), **document.metadata}
    base = Passage(
        document.id, 0, source=source, title=title, metadata=metadata, copies=document.copies
    )
    ordinal = 0
    for ordinal, (clip, track, channel) in enumerate(windows, 1):
        names = (
            recording.tracks[track - 1].title if track else "",
            tags.section(clip.start, clip.end) or _find_chapter(document, clip),
        )
        passage = replace(
            base,
            ordinal=ordinal - 1,
            start=round(clip.start, 3),  # milliseconds are finer than any window boundary
            end=round(clip.end, 3),
            section=" > ".join(filter(None, names)),
            speech=clip.speech,
            level=audio.measure_level(clip.samples),
            track=track,
            channel=channel,
        )
        headings = filter(None, (readable(title), passage.section))
        yield PendingPassage(passage, EmbedInput(text=": ".join(headings), clip=clip))
    # Lyrics and notes are searched as text, after the passages of the recording.
    for heading, content in tags.texts:
        for passage in text.split(text.parse(content, "txt"), base):
            embed_input = EmbedInput(text=f"{readable(title)}: {heading}\n{passage.text}")
            titled = replace(passage, ordinal=ordinal, section=heading)
            yield PendingPassage(titled, embed_input)
            ordinal += 1


def _find_chapter(document: Document, clip: Clip) -> str:
    """The title of the chapter in the middle of a clip; empty if there is none."""
    middle = (clip.start + clip.end) / 2
    titles = [title for start, title in document.chapters if start <= middle]
    return titles[-1] if titles else ""


def _split_text(document: Document, pieces: Iterator[text.ParsedText]) -> Iterator[PendingPassage]:
    parsed = next(pieces)
    title = document.title or compose(parsed.title)
    metadata = {**without_labels(parsed.metadata), **document.metadata}
    base = Passage(
        document.id, 0, source=document.origin, title=title, metadata=metadata,
        copies=document.copies,
    )  # fmt: skip
    if document.path is not None and any(block.times for block in parsed.blocks):
        base = replace(base, recording=find_recording(document.path))
    for passage in text.split_pieces(chain([parsed], pieces), base):
        yield PendingPassage(passage, EmbedInput(text=embedded_text(passage)))


def embedded_text(passage: Passage) -> str:
    """The words of a passage of a text for the embedder: title, section, speaker and text."""
    # Title and headings name the topic, which a passage's own words may never mention.
    names = (readable(passage.title), passage.section, passage.speaker)
    return f"{': '.join(dict.fromkeys(filter(None, names)))}\n{passage.text or ''}"


def lexical_text(passage: Passage) -> str:
    """The words of a passage for the full-text index: its title, section and text."""
    return "\n".join(filter(None, (passage.title, passage.section, passage.text)))


def readable(title: str) -> str:
    """A title as words: `board_meeting-03` becomes `board meeting 03`."""
    return " ".join(title.replace("_", " ").replace("-", " ").split())


def load_passage_clip(passage: Passage, sample_rate: int, path: str | None = None) -> Clip:
    """Decode the audio of a recording's passage from its source, or from a copy of it."""
    return audio.load(
        path or passage.source, sample_rate, passage.start or 0.0, passage.end,
        track=passage.track, channel=passage.channel,
    )  # fmt: skip
