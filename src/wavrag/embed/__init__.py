"""Speech, other audio and text become vectors here: the embedder seam and all embedders.

`base` defines the seam, and `registry` loads embedders and recognisers by name. `wavretriever`, the
default, recognises questions with the vocabulary of the knowledge base (`hearing`); `cascade`
transcribes speech with any recogniser and embeds the transcript.
"""

from wavrag.embed.base import Embedder, EmbedderSpec, EmbedResult, check_inputs, unit_rows
from wavrag.embed.cross_encoder import CrossEncoder
from wavrag.embed.ctc import BLANK, LETTER_INDEX, LETTERS, word_spans
from wavrag.embed.diarisation import Diarisation, SpeakerTurn, diarise
from wavrag.embed.fake import FakeEmbedder, FakeReranker
from wavrag.embed.hearing import SpeechCorrector
from wavrag.embed.language import LanguageScore, english_score, is_foreign, read_common_words
from wavrag.embed.lexicon import Lexicon
from wavrag.embed.minilm import MiniLM
from wavrag.embed.model_specs import ModelSpec, write_spec
from wavrag.embed.moonshine import ENCODER_FILE, MIN_SAMPLES, WAVRETRIEVER_WEIGHTS
from wavrag.embed.moonshine_decoder import MOONSHINE_WEIGHTS
from wavrag.embed.presets import QUALITIES, Quality, preset
from wavrag.embed.recogniser import Recogniser
from wavrag.embed.registry import (
    is_stored_name,
    load_embedder,
    load_recogniser,
    load_reranker,
    needs_consent,
)
from wavrag.embed.runtime import Workers, load_session
from wavrag.embed.sentence_network import (
    END_OF_TEXT,
    PADDING_FRAMES,
    audio_inputs,
    build_network,
    token_spans,
    trim_padding,
)
from wavrag.embed.span_reader import READER_WEIGHTS, AnswerSpan, SpanReader, SpanScores
from wavrag.embed.speaker_encoder import (
    SPAN_SAMPLES,
    SPEAKER_DIM,
    SPEAKER_REVISION,
    SPEAKER_WEIGHTS,
    SpeakerEncoder,
    speaker_mels,
)  # fmt: skip
from wavrag.embed.wavretriever import LETTERS_FILE, LEXICON_FILE, WAVRETRIEVER_SPEC, WavRetriever
from wavrag.embed.word_times import WordAligner

__all__ = [
    "BLANK", "ENCODER_FILE", "END_OF_TEXT", "LETTERS", "LETTERS_FILE", "LETTER_INDEX",
    "LEXICON_FILE", "MIN_SAMPLES", "MOONSHINE_WEIGHTS", "PADDING_FRAMES", "QUALITIES",
    "READER_WEIGHTS", "SPAN_SAMPLES",
    "SPEAKER_DIM", "SPEAKER_REVISION", "SPEAKER_WEIGHTS", "WAVRETRIEVER_SPEC",
    "WAVRETRIEVER_WEIGHTS", "AnswerSpan", "CrossEncoder", "Diarisation", "EmbedResult", "Embedder",
    "EmbedderSpec", "FakeEmbedder", "FakeReranker", "LanguageScore", "Lexicon", "MiniLM",
    "ModelSpec", "Quality", "Recogniser", "SpanReader", "SpanScores", "SpeakerEncoder",
    "SpeakerTurn", "SpeechCorrector", "WavRetriever", "WordAligner", "Workers", "audio_inputs",
    "build_network", "check_inputs", "diarise", "english_score", "is_foreign", "is_stored_name",
    "load_embedder", "load_recogniser", "load_reranker", "load_session",
    "needs_consent", "preset", "read_common_words", "speaker_mels",
    "token_spans", "trim_padding", "unit_rows", "word_spans", "write_spec",
]  # fmt: skip
