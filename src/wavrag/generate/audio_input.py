"""Audio in the input of a generator: choice of the clips within its budget, and preparation.

Clips are chosen within an `AudioBudget`: the question first, then the sources by rank. Nothing is
cut: a recording beyond the budget goes in as its transcript, its caption, or its name. Pure
functions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import numpy as np

from wavrag.audio import SAMPLE_RATE, resample
from wavrag.errors import GenerationError
from wavrag.generate.base import (
    AudioBudget,
    Message,
    MessagePart,
    QuestionPart,
    SourcePart,
    TextPart,
)
from wavrag.generate.prompts import label, render
from wavrag.types import Clip, Query, SourceForm

MIN_CLIP_SECONDS = 0.2  # convolutional encoders fail on a few samples: pad shorter clips
CAPTION_KEY = "caption"  # metadata key of a recording with a description of its sounds

# Rates and lengths are from the sources named here. The totals (`max_seconds`, `max_tokens`) are
# this project's choice: a question, a few passages, and the text beside them.
#
# OpenAI: 1 token per 100 ms of user audio
#   (https://developers.openai.com/api/docs/guides/realtime-costs); a context of 128,000
#   (https://developers.openai.com/api/docs/models/gpt-4o-audio-preview). No maximum is documented.
_GPT_AUDIO = AudioBudget(300.0, 300.0, 3_000, 10.0)
# Qwen2-Audio: a frame per 40 ms (https://arxiv.org/abs/2407.10759, section 2), 30 s at a time
#   (`chunk_length` of its preprocessor_config.json), a context of 8,192
#   (`max_position_embeddings` of https://huggingface.co/Qwen/Qwen2-Audio-7B-Instruct, config.json).
QWEN2_AUDIO = AudioBudget(30.0, 120.0, 3_000, 25.0)
# Qwen2.5-Omni: like Qwen2-Audio a frame per 40 ms (`position_id_per_seconds` of transformers'
#   processing_qwen2_5_omni.py); its extractor takes 300 s; a hosted one reads 30,720 tokens
#   (https://help.aliyun.com/document_detail/2975501.html).
_QWEN25_OMNI = AudioBudget(300.0, 300.0, 7_500, 25.0)
# Qwen3-Omni: 13 tokens per 100 frames of 10 ms, nothing truncated
#   (`_get_feat_extract_output_lengths` of transformers' processing_qwen3_omni_moe.py).
_QWEN3_OMNI = AudioBudget(300.0, 300.0, 3_900, 13.0)
# Voxtral: 12.5 frames a second, up to 40 minutes in a context of 32,768
#   (https://arxiv.org/abs/2507.13264); a clip is padded to a multiple of 30 s
#   (`pad_to_multiple_of` of transformers' processing_voxtral.py).
_VOXTRAL = AudioBudget(300.0, 300.0, 6_000, 12.5, padded_seconds=30.0)

MODEL_BUDGETS: Mapping[str, AudioBudget] = {
    "gpt-4o-audio*": _GPT_AUDIO,
    "gpt-4o-mini-audio*": _GPT_AUDIO,
    "gpt-audio*": _GPT_AUDIO,
    "qwen2-audio*": QWEN2_AUDIO,
    "qwen2.5-omni*": _QWEN25_OMNI,
    "qwen3*-omni*": _QWEN3_OMNI,
    "voxtral*": _VOXTRAL,
}
"""Budgets of models that hear, by pattern of the model name."""


@dataclass(frozen=True, slots=True, eq=False)
class GeneratorInput:
    """Messages with audio within the budget, and a record of the form of each source."""

    messages: list[Message]  # clips in them go in as audio
    # form of each source, by number: `sound`, `words`, `caption`, or `nothing` but its name and
    # measurements
    source_forms: Mapping[int, SourceForm]
    question_form: SourceForm | None  # form of the last question; None without a question
    seconds: float  # total duration of the audio
    tokens: int  # total audio tokens by the budget


def find_audio_budget(model: str) -> AudioBudget | None:
    """Budget of a model family; None for other models.

    Args:
        model: name on the server; of `ORG/NAME` only the name counts, in any case.
    """
    name = model.rpartition("/")[2].lower()
    budgets = MODEL_BUDGETS.items()
    return next((budget for pattern, budget in budgets if fnmatchcase(name, pattern)), None)


def fit_audio(
    messages: Sequence[Message], budget: AudioBudget | None, query: Query | None = None
) -> GeneratorInput:
    """Choose the audio clips within the budget, and the form of all other sources.

    A source within the budget goes in as audio, without its transcript. Others go in with their
    transcript, or with the caption in their metadata. A question in audio keeps only its
    typed text. The result is a fixed point: applied again, nothing changes.

    Args:
        messages: messages of `answer_messages`.
        budget: limits; None for a text-only generator; its clips stay untouched.
        query: the question as asked, to tell typed text from recognised text; without it the
            question keeps all its text.

    Raises:
        GenerationError: the question is a recording beyond the budget without a transcript.
    """
    positions, seconds, tokens = _choose_clips(messages, budget) if budget else (set(), 0.0, 0)
    source_forms: dict[int, SourceForm] = {}
    question_form: SourceForm | None = None
    output = []
    for row, message in enumerate(messages):
        message_parts: list[MessagePart] = []
        for column, part in enumerate(message.parts):
            as_audio = (row, column) in positions
            match part:
                case QuestionPart():
                    question, question_form = _fit_question(part, as_audio, budget, query)
                    message_parts.append(question)
                case SourcePart():
                    source, source_forms[part.number] = _fit_source(part, as_audio, budget)
                    message_parts.append(source)
                case TextPart():
                    message_parts.append(part)
        output.append(Message(message.role, tuple(message_parts)))
    return GeneratorInput(output, source_forms, question_form, seconds, tokens)


def render_with_audio(parts: Sequence[MessagePart]) -> list[str | Clip]:
    """Render message parts as text and prepared clips, in order.

    A clip directly follows its label, instead of a transcript. Consecutive texts are one string,
    joined as by `render`.

    Raises:
        AudioError: a clip has no samples, or NaN or infinite ones.
        GenerationError: a question has neither text nor a clip.
    """
    contents: list[str | Clip] = []
    for part in parts:
        clip: Clip | None = None
        match part:
            case SourcePart(clip=Clip() as clip):
                text, name = label(part), f"source [{part.number}]"
            case QuestionPart(clip=Clip() as clip):
                text = render([replace(part, text=part.text or "")]).rstrip()
                name = "the question"
            case _:
                text = render([part])
        if contents and isinstance(contents[-1], str):
            contents[-1] += f"\n\n{text}"
        else:
            contents.append(text)
        if clip is not None:
            contents.append(prepare_clip(replace(clip, source=clip.source or name)))
    return contents


def prepare_clip(clip: Clip) -> Clip:
    """Resample a clip to 16 kHz, and pad a very short one with silence.

    Raises:
        AudioError: it has no samples, or NaN or infinite ones.
    """
    clip = resample(clip, SAMPLE_RATE)
    missing = round(MIN_CLIP_SECONDS * SAMPLE_RATE) - len(clip.samples)
    return clip if missing <= 0 else replace(clip, samples=np.pad(clip.samples, (0, missing)))


def prepared_seconds(clip: Clip) -> float:
    """Duration of a clip after `prepare_clip`, without resampling it."""
    samples = math.ceil(len(clip.samples) * SAMPLE_RATE / clip.sample_rate)
    return max(samples / SAMPLE_RATE, MIN_CLIP_SECONDS)


def _choose_clips(
    messages: Sequence[Message], budget: AudioBudget
) -> tuple[set[tuple[int, int]], float, int]:
    """Take clips greedily: questions, the last one first, then sources by number.

    Returns:
        Positions (message, part) of the clips within the budget, their seconds and their tokens.
    """
    candidates: list[tuple[tuple[int, ...], tuple[int, int], Clip]] = []
    for row, message in enumerate(messages):
        for column, part in enumerate(message.parts):
            if isinstance(part, QuestionPart) and part.clip is not None:
                candidates.append(((0, -row, -column), (row, column), part.clip))
            elif isinstance(part, SourcePart) and part.clip is not None:
                # Not by position: the second best source comes last in a prompt.
                candidates.append(((1, part.number), (row, column), part.clip))
    candidates.sort(key=lambda candidate: candidate[:2])
    positions: set[tuple[int, int]] = set()
    seconds, tokens = 0.0, 0
    for _, position, clip in candidates:
        clip_seconds = prepared_seconds(clip)
        clip_tokens = budget.tokens(clip_seconds)
        if (
            clip_seconds <= budget.max_clip_seconds
            and seconds + clip_seconds <= budget.max_seconds
            and tokens + clip_tokens <= budget.max_tokens
            and len(positions) < budget.max_clips
        ):
            positions.add(position)
            seconds, tokens = seconds + clip_seconds, tokens + clip_tokens
    return positions, seconds, tokens


def _fit_question(
    question: QuestionPart, as_audio: bool, budget: AudioBudget | None, query: Query | None
) -> tuple[QuestionPart, SourceForm]:
    if as_audio:
        is_query = query is not None and query.clip is question.clip
        return replace(question, text=query.text if query and is_query else question.text), "sound"
    if question.clip is not None and budget is not None:
        if not (question.text or "").strip():
            raise GenerationError(
                f"the question is a recording of {question.clip.duration:.1f} s without words, and"
                f" this generator hears up to {budget.max_clip_seconds:g} s a clip,"
                f" {budget.max_seconds:g} s and {budget.max_tokens} tokens in all: ask a shorter"
                " question, or use an embedder that recognises words"
            )
        question = replace(question, clip=None)
    return question, "words" if question.text else "nothing"


def _fit_source(
    source: SourcePart, as_audio: bool, budget: AudioBudget | None
) -> tuple[SourcePart, SourceForm]:
    if as_audio:
        return source, "sound"
    if budget is not None:
        source = replace(source, clip=None)
    passage = source.hit.passage
    if (passage.text or "").strip():
        return source, "words"
    caption = str(passage.metadata.get(CAPTION_KEY, "")).strip()
    if passage.modality != "audio" or not caption:
        return source, "nothing"
    passage = replace(passage, text=f"caption: {caption}")
    return replace(source, hit=replace(source.hit, passage=passage)), "caption"
