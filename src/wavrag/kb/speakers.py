"""Speakers of recordings: passages are cut where the speaker changes, and carry the speaker's name.

Speakers are numbered by their first words, unless the knowledge base remembers their voices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from wavrag import audio
from wavrag.audio import SAMPLE_RATE
from wavrag.embed import SPEAKER_DIM, SpeakerEncoder, diarise, unit_rows
from wavrag.kb.passages import PendingPassage
from wavrag.types import Clip, Document, EmbedInput, Float32, Passage, as_float32

# From which a voice is that of a remembered speaker. Chosen with
# `python benchmarks/known_voices.py DATA --tune`: lower values accept strangers, higher ones miss
# the speaker in noise.
KNOWN_COSINE = 0.7
VOICE_SECONDS = 60.0  # of speech for a voice print
LEAD_SECONDS = 0.2  # a passage begins this much before the first word, if there is a pause
SHORT_SECONDS, MAX_SECONDS = 5.0, 24.0  # a shorter piece joins a neighbour of the same speaker
CONTIGUOUS_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class DocumentSpeaker:
    """A speaker of a recording.

    Attributes:
        name: `speaker 1`, or the name given.
        seconds: length of the passages.
        passages: number of passages.
        start: start of the first passage in seconds.
    """

    name: str
    seconds: float
    passages: int
    start: float


@dataclass(frozen=True, slots=True)
class NamedTurn:
    """A span of speech of one speaker, in seconds."""

    start: float
    end: float
    speaker: str


class SpeakerSplitter:
    """Cuts passages of recordings where the speaker changes.

    Args:
        voices: unit vectors of remembered speakers by name.
    """

    def __init__(self, voices: Mapping[str, Float32] | None = None) -> None:
        self._voices = dict(voices or {})
        self._encoder = SpeakerEncoder()

    def split(
        self, document: Document, passages: Iterable[PendingPassage]
    ) -> Iterator[PendingPassage]:
        """Cut the passages of a document, and set their speakers.

        A channel with a speaker of its own is truth: nothing is cut there.
        """
        passages = self._cut(document, passages)
        for ordinal, piece in enumerate(join_pieces(passages)):
            yield replace(piece, passage=replace(piece.passage, ordinal=ordinal))

    def _cut(
        self, document: Document, passages: Iterable[PendingPassage]
    ) -> Iterator[PendingPassage]:
        turns: dict[int | None, list[NamedTurn]] = {}
        for pending in passages:
            passage = pending.passage
            if pending.embed_input.clip is None or not passage.speech:
                yield pending
            elif passage.channel is not None:
                number = number_speaker(passage.track, passage.channel)
                yield replace(pending, passage=replace(passage, speaker=number))
            else:
                # Each track is read once more, before its first speech is embedded.
                if passage.track not in turns:
                    turns[passage.track] = self._find_turns(document, passage.track)
                yield from cut_passage(pending, turns[passage.track])

    def _find_turns(self, document: Document, track: int | None) -> list[NamedTurn]:
        if document.clip is not None:
            blocks: Iterable[Float32] = [audio.resample(document.clip, SAMPLE_RATE).samples]
        else:
            assert document.path is not None  # a document with clips is a recording
            blocks = audio.stream(document.path, SAMPLE_RATE, track=track)
        result = diarise(blocks, self._encoder)
        names = recognise_voices(result.voices, self._voices)
        return [
            NamedTurn(
                turn.start,
                turn.end,
                names.get(turn.speaker) or number_speaker(track, turn.speaker + 1),
            )
            for turn in result.turns
        ]


def number_speaker(track: int | None, number: int) -> str:
    """Name of a speaker without one; recordings of several tracks have speakers in each."""
    return f"speaker {number}" if track is None else f"speaker {track}.{number}"


def recognise_voices(voices: Float32, known: Mapping[str, Float32]) -> dict[int, str]:
    """Names of the voices that are similar to a known one, each name at most once.

    Args:
        voices: unit vectors, shape = (n_speakers, dim).
        known: unit vectors by name.

    Returns:
        Names by index of the voice.
    """
    if not known or not len(voices):
        return {}
    cosines = voices @ np.stack(list(known.values())).T
    names, matches = list(known), {}
    while cosines.max() >= KNOWN_COSINE:
        voice, name = np.unravel_index(int(cosines.argmax()), cosines.shape)
        matches[int(voice)] = names[int(name)]
        cosines[voice], cosines[:, name] = -1.0, -1.0
    return matches


def cut_passage(pending: PendingPassage, turns: Sequence[NamedTurn]) -> Iterator[PendingPassage]:
    """Cut a passage of speech at the changes of its speaker."""
    clip = pending.embed_input.clip
    assert clip is not None
    inside = [turn for turn in turns if turn.start < clip.end and turn.end > clip.start]
    if not inside:
        yield pending
        return
    start, speaker = clip.start, inside[0].speaker
    for before, after in pairwise(inside):
        if after.speaker != before.speaker:
            cut = max(after.start - LEAD_SECONDS, (before.end + after.start) / 2)
            yield with_clip(pending, slice_clip(clip, start, cut), speaker)
            start, speaker = cut, after.speaker
    yield with_clip(pending, slice_clip(clip, start, clip.end), speaker)


def slice_clip(clip: Clip, start: float, end: float) -> Clip:
    """A span of a clip; `start` and `end` are seconds of the recording."""
    first, last = (round((time - clip.start) * clip.sample_rate) for time in (start, end))
    return replace(clip, samples=clip.samples[first:last], start=start)


def with_clip(pending: PendingPassage, clip: Clip, speaker: str | None) -> PendingPassage:
    """The passage of another span, with its speaker."""
    passage = replace(
        pending.passage,
        start=round(clip.start, 3),
        end=round(clip.end, 3),
        level=audio.measure_level(clip.samples),
        speaker=speaker,
    )
    return PendingPassage(passage, EmbedInput(pending.embed_input.text, clip))


def join_pieces(pieces: Iterable[PendingPassage]) -> Iterator[PendingPassage]:
    """Join short pieces with the next or previous one of the same turn."""
    last: PendingPassage | None = None
    for piece in pieces:
        joined = None if last is None else join_pair(last, piece)
        if joined is None and last is not None:
            yield last
        last = joined or piece
    if last is not None:
        yield last


def join_pair(first: PendingPassage, second: PendingPassage) -> PendingPassage | None:
    """Join two passages of the same turn if one is short; None if they stay apart."""
    clips = [pending.embed_input.clip for pending in (first, second)]
    before, after = first.passage, second.passage
    if clips[0] is None or clips[1] is None or before.speaker is None:
        return None
    keys = ("speaker", "track", "channel", "section")
    if any(getattr(before, key) != getattr(after, key) for key in keys):
        return None
    gap = clips[1].start - clips[0].end
    short = min(clips[0].duration, clips[1].duration) < SHORT_SECONDS
    if abs(gap) > CONTIGUOUS_SECONDS or not short or clips[1].end - clips[0].start > MAX_SECONDS:
        return None
    overlap = max(0, round(-gap * clips[0].sample_rate))
    samples = np.concatenate([clips[0].samples, clips[1].samples[overlap:]])
    return with_clip(first, replace(clips[0], samples=samples), before.speaker)


def embed_speaker(passages: Iterable[Passage], load_clip: Callable[[Passage], Clip]) -> Float32:
    """Unit vector of a speaker, from up to a minute of its longest passages."""
    encoder, seconds, total = SpeakerEncoder(), 0.0, np.zeros(SPEAKER_DIM, np.float32)
    by_length = sorted(passages, key=lambda p: (p.start or 0.0) - (p.end or 0.0))
    for passage in by_length:
        clip = audio.resample(load_clip(passage), SAMPLE_RATE)
        total += clip.duration * encoder.embed_voice(clip.samples)
        seconds += clip.duration
        if seconds >= VOICE_SECONDS:
            break
    return as_float32(unit_rows(total[None])[0])


def list_speakers(passages: Iterable[Passage]) -> list[DocumentSpeaker]:
    """Speakers of a document's passages, in the order of their first words."""
    speakers: dict[str, DocumentSpeaker] = {}
    for passage in passages:
        if passage.speaker is not None:
            seconds = (passage.end or 0.0) - (passage.start or 0.0)
            speaker = speakers.get(passage.speaker)
            speakers[passage.speaker] = DocumentSpeaker(
                passage.speaker,
                round(seconds + (speaker.seconds if speaker else 0.0), 3),
                1 + (speaker.passages if speaker else 0),
                speaker.start if speaker else passage.start or 0.0,
            )
    return list(speakers.values())
