"""Which sound a model that hears is given, and what stands in for the rest.

A model hears only so much: seconds a clip, seconds and tokens in all. Pure functions decide which
clips fit: those of the question first, then those of the sources in the order of their numbers.
Nothing is cut: a clip that does not fit is given in words, or, where it has none, by its name.
Knows no model and no server beyond the table of their budgets.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import numpy as np

from wavrag.audio import SAMPLE_RATE, resample
from wavrag.errors import GenerationError
from wavrag.generate.base import AudioBudget, Message, Part, QuestionPart, SourcePart, TextPart
from wavrag.generate.prompts import label, render
from wavrag.types import Clip, Query, SourceForm

SHORTEST = 0.2  # seconds; a shorter clip ends in silence, as encoders need a few frames
CAPTION = "caption"  # key of a recording's metadata that says in words what can be heard in it


# Rates and lengths are those that the named pages state. Sums (`max_seconds`, `max_tokens`) are
# this project's: room for a question and a few passages, and for the words beside them.
#
# OpenAI: 1 token for 100 ms of sound that a user sends
#   (https://developers.openai.com/api/docs/guides/realtime-costs); a context of 128,000
#   (https://developers.openai.com/api/docs/models/gpt-4o-audio-preview). No longest clip is stated.
_GPT_AUDIO = AudioBudget(300.0, 300.0, 3_000, 10.0)
# Qwen2-Audio: a frame for every 40 ms (https://arxiv.org/abs/2407.10759, section 2), 30 s at a time
#   (`chunk_length` of its preprocessor_config.json), a context of 8,192
#   (`max_position_embeddings` of https://huggingface.co/Qwen/Qwen2-Audio-7B-Instruct, config.json).
QWEN2_AUDIO = AudioBudget(30.0, 120.0, 3_000, 25.0)
# Qwen2.5-Omni: as Qwen2-Audio a frame for every 40 ms (`position_id_per_seconds` of transformers'
#   processing_qwen2_5_omni.py); its extractor takes 300 s; a hosted one reads 30,720 tokens
#   (https://help.aliyun.com/document_detail/2975501.html).
_QWEN25_OMNI = AudioBudget(300.0, 300.0, 7_500, 25.0)
# Qwen3-Omni: 13 tokens for every 100 frames of 10 ms, nothing truncated
#   (`_get_feat_extract_output_lengths` of transformers' processing_qwen3_omni_moe.py).
_QWEN3_OMNI = AudioBudget(300.0, 300.0, 3_900, 13.0)
# Voxtral: 12.5 frames a second, up to 40 minutes in a context of 32,768
#   (https://arxiv.org/abs/2507.13264); a clip is padded to a multiple of 30 s
#   (`pad_to_multiple_of` of transformers' processing_voxtral.py).
_VOXTRAL = AudioBudget(300.0, 300.0, 6_000, 12.5, padded_seconds=30.0)

KNOWN: Mapping[str, AudioBudget] = {
    "gpt-4o-audio*": _GPT_AUDIO,
    "gpt-4o-mini-audio*": _GPT_AUDIO,
    "gpt-audio*": _GPT_AUDIO,
    "qwen2-audio*": QWEN2_AUDIO,
    "qwen2.5-omni*": _QWEN25_OMNI,
    "qwen3*-omni*": _QWEN3_OMNI,
    "voxtral*": _VOXTRAL,
}
"""Budgets of models that hear, by the pattern that the last part of their name has."""


@dataclass(frozen=True, slots=True, eq=False)
class GeneratorInput:
    """Messages as a generator is given them.

    Attributes:
        messages: a clip that is still in them goes in as sound.
        sources: how each source was given, by its number: its `sound`, its `words`, a `caption`, or
            `nothing` but its name and what was measured.
        question: the same of the last question; None where there is none.
        seconds: of all sound together.
        tokens: of all sound together, as the budget counts them.
    """

    messages: list[Message]
    sources: Mapping[int, SourceForm]
    question: SourceForm | None
    seconds: float
    tokens: int


def known_budget(model: str) -> AudioBudget | None:
    """The budget of a model that is known to hear, by its name; None for any other.

    Args:
        model: as a server calls it; of `ORG/NAME` the name counts, in any case.
    """
    name = model.rpartition("/")[2].lower()
    return next((budget for pattern, budget in KNOWN.items() if fnmatchcase(name, pattern)), None)


def fit_audio(
    messages: Sequence[Message], options: AudioBudget | None, query: Query | None = None
) -> GeneratorInput:
    """Decide what goes in as sound, and how everything else is given.

    A source whose clip fits goes in as sound, without its words. One whose clip does not fit, or
    that has none, goes in with its words; a recording without words with the caption in its
    metadata, if there is one. A question that goes in as sound keeps the words that were typed
    beside it. What is decided once is decided alike the next time.

    Args:
        messages: as `answer_messages` makes them.
        options: the budget; None for a generator that only reads, whose clips stay untouched.
        query: what was asked, which tells the words that were typed from those that were
            recognised in the clip; without it the question keeps all its words.

    Raises:
        GenerationError: a question is a recording that does not fit and has no words.
    """
    sound = _fitting(messages, options) if options is not None else _Fitting(frozenset(), 0.0, 0)
    sources: dict[int, SourceForm] = {}
    question: SourceForm | None = None
    given = []
    for at, message in enumerate(messages):
        parts: list[Part] = []
        for place, part in enumerate(message.parts):
            heard = (at, place) in sound.places
            match part:
                case QuestionPart():
                    changed, question = _question(part, heard, options, query)
                    parts.append(changed)
                case SourcePart():
                    source, sources[part.number] = _source(part, heard, options)
                    parts.append(source)
                case TextPart():
                    parts.append(part)
        given.append(Message(message.role, tuple(parts)))
    return GeneratorInput(given, sources, question, sound.seconds, sound.tokens)


def contents(parts: Sequence[Part]) -> list[str | Clip]:
    """What parts say, for a model that hears: words, and clips as they are to be heard.

    A clip stands directly after the words that name it, and in the place of its own; words that
    follow each other are one string, as `render` joins them.

    Args:
        parts: of which `fit_audio` has left only the clips that go in.

    Raises:
        AudioError: a clip has no samples, or samples that are not finite.
        GenerationError: a question has neither words nor a clip.
    """
    made: list[str | Clip] = []
    for part in parts:
        clip = None if isinstance(part, TextPart) else part.clip
        words = render([part]) if clip is None else _name(part)
        if made and isinstance(made[-1], str):
            made[-1] += f"\n\n{words}"
        else:
            made.append(words)
        if clip is not None:
            number = f"source [{part.number}]" if isinstance(part, SourcePart) else "the question"
            made.append(as_heard(replace(clip, source=clip.source or number)))
    return made


def as_heard(clip: Clip) -> Clip:
    """A clip at the rate that models hear, which ends in silence where it is too short for them.

    Raises:
        AudioError: it has no samples, or samples that are not finite.
    """
    heard = resample(clip, SAMPLE_RATE)
    missing = round(SHORTEST * SAMPLE_RATE) - len(heard.samples)
    return heard if missing <= 0 else replace(heard, samples=np.pad(heard.samples, (0, missing)))


def seconds_heard(clip: Clip) -> float:
    """Seconds that a clip lasts for a model, rounded up to a sample."""
    return max(
        math.ceil(len(clip.samples) * SAMPLE_RATE / clip.sample_rate) / SAMPLE_RATE, SHORTEST
    )


@dataclass(frozen=True, slots=True)
class _Fitting:
    """The places, message and part, of the clips that fit; their seconds and tokens."""

    places: frozenset[tuple[int, int]]
    seconds: float
    tokens: int


def _fitting(messages: Sequence[Message], options: AudioBudget) -> _Fitting:
    """The clips that fit, one after the other: questions, the last first, then sources."""
    asked: list[tuple[tuple[int, int], Clip]] = []
    found: list[tuple[int, tuple[int, int], Clip]] = []
    for at, message in enumerate(messages):
        for place, part in enumerate(message.parts):
            if isinstance(part, QuestionPart) and part.clip is not None:
                asked.append(((at, place), part.clip))
            elif isinstance(part, SourcePart) and part.clip is not None:
                found.append((part.number, (at, place), part.clip))
    found.sort(key=lambda one: one[:2])
    places: set[tuple[int, int]] = set()
    seconds, tokens = 0.0, 0
    for where, clip in [*reversed(asked), *(one[1:] for one in found)]:
        longer = seconds_heard(clip)
        more = options.tokens(longer)
        if (
            longer <= options.max_clip_seconds
            and seconds + longer <= options.max_seconds
            and tokens + more <= options.max_tokens
            and len(places) < options.max_clips
        ):
            places.add(where)
            seconds, tokens = seconds + longer, tokens + more
    return _Fitting(frozenset(places), seconds, tokens)


def _question(
    part: QuestionPart, heard: bool, options: AudioBudget | None, query: Query | None
) -> tuple[QuestionPart, SourceForm]:
    if heard:
        same = query is not None and query.clip is part.clip
        return replace(part, text=query.text if query and same else part.text), "sound"
    if part.clip is not None and options is not None:
        if not (part.text or "").strip():
            raise GenerationError(
                f"the question is a recording of {part.clip.duration:.1f} s without words, and this"
                f" generator hears up to {options.max_clip_seconds:g} s a clip,"
                f" {options.max_seconds:g} s and {options.max_tokens} tokens in all: ask a shorter"
                " question, or use an embedder that recognises words"
            )
        part = replace(part, clip=None)
    return part, "words" if part.text else "nothing"


def _source(
    part: SourcePart, heard: bool, options: AudioBudget | None
) -> tuple[SourcePart, SourceForm]:
    if heard:
        return part, "sound"
    if options is not None:
        part = replace(part, clip=None)
    passage = part.hit.passage
    if (passage.text or "").strip():
        return part, "words"
    caption = str(passage.metadata.get(CAPTION, "")).strip()
    if passage.modality != "audio" or not caption:
        return part, "nothing"
    told = replace(passage, text=f"caption: {caption}")
    return replace(part, hit=replace(part.hit, passage=told)), "caption"


def _name(part: Part) -> str:
    """The words that stand before a sound: a source's label, or `Question:` and what was typed."""
    if isinstance(part, QuestionPart):
        return render([replace(part, text=part.text or "")]).rstrip()
    if isinstance(part, SourcePart):
        return label(part)
    return render([part])
