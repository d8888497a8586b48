"""The audio behind retrieved recordings: clips, descriptions and transcripts for a generator."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from wavrag.audio import describe_clip, describe_sound
from wavrag.errors import AudioError
from wavrag.kb import KnowledgeBase
from wavrag.types import Clip, Hit, Passage

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class SourceAudio:
    """The audio of each hit."""

    # the samples of each recording; None for text, and if they were not decoded
    clips: tuple[Clip | None, ...]
    # content, duration and loudness of each recording; empty for text
    descriptions: tuple[str, ...]


def load_source_audio(kb: KnowledgeBase, hits: Sequence[Hit], *, decode: bool) -> SourceAudio:
    """Describe the recordings among the hits, and decode them if the generator takes audio.

    Without `decode`, only passages of knowledge bases that do not store measurements are decoded,
    in order to measure them. A recording that can no longer be read has no clip; a warning goes to
    the log.
    """
    clips, descriptions = [], []
    for hit in hits:
        passage, clip = hit.passage, None
        if passage.modality == "audio" and (decode or passage.level is None):
            try:
                clip = kb.load_clip(passage)
            except AudioError as error:
                logger.warning("a recording cannot be read: %s", error)
        clips.append(clip)
        descriptions.append(_describe(passage, clip))
    return SourceAudio(tuple(clips), tuple(descriptions))


def add_transcripts(
    kb: KnowledgeBase, hits: Sequence[Hit], audio: SourceAudio, needed: Sequence[bool]
) -> list[Hit]:
    """Give recordings a transcript that can be quoted, recognising speech where necessary.

    Only hits marked in `needed` change. A recording that can no longer be read keeps the text that
    it has.
    """
    output = []
    for hit, clip, need in zip(hits, audio.clips, needed, strict=True):
        passage = hit.passage
        # Where indexing found no speech there is nothing to recognise, so no file is decoded.
        if need and passage.modality == "audio" and passage.speech is not False:
            try:
                passage = replace(passage, text=kb.transcribe(passage, clip) or passage.text)
            except AudioError as error:
                logger.warning("a recording cannot be transcribed: %s", error)
        output.append(replace(hit, passage=passage))
    return output


def _describe(passage: Passage, clip: Clip | None) -> str:
    if passage.level is not None and passage.start is not None and passage.end is not None:
        return describe_sound(passage.speech, passage.end - passage.start, passage.level)
    return describe_clip(clip) if clip is not None else ""
