"""Text to speech: engines with one method, styles of speech, and spoken answers."""

from wavrag.speech.answers import SpokenAnswer, speak, speak_stream, write_answer
from wavrag.speech.base import NEUTRAL, SPEECH_ERRORS, Engine, Style, Synthesiser, describe_error
from wavrag.speech.fake import FakeEngine
from wavrag.speech.kokoro import Kokoro
from wavrag.speech.piper import Piper, voice_settings
from wavrag.speech.programs import Espeak
from wavrag.speech.registry import ENGINES, PROGRAMS, best_engine, find_defect, load_engine
from wavrag.speech.sentence_stream import spoken_text
from wavrag.speech.service import Endpoint, Service
from wavrag.speech.spoken_sources import name_sources
from wavrag.speech.style import Follow, match_style, measure_voice

__all__ = [
    "ENGINES",
    "NEUTRAL",
    "PROGRAMS",
    "SPEECH_ERRORS",
    "Endpoint",
    "Engine",
    "Espeak",
    "FakeEngine",
    "Follow",
    "Kokoro",
    "Piper",
    "Service",
    "SpokenAnswer",
    "Style",
    "Synthesiser",
    "best_engine",
    "describe_error",
    "find_defect",
    "load_engine",
    "match_style",
    "measure_voice",
    "name_sources",
    "speak",
    "speak_stream",
    "spoken_text",
    "voice_settings",
    "write_answer",
]  # fmt: skip
