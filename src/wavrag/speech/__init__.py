"""Text to speech: engines behind one method, the style they speak in, and answers said aloud."""

from wavrag.speech.answers import SpokenAnswer, speak, speak_stream, write_answer
from wavrag.speech.base import NEUTRAL, UNSPEAKABLE, Engine, Style, reason
from wavrag.speech.engines import Espeak
from wavrag.speech.fake import FakeEngine
from wavrag.speech.kokoro import Kokoro
from wavrag.speech.piper import Piper, voice_settings
from wavrag.speech.registry import ENGINES, best_engine, load_engine
from wavrag.speech.service import Endpoint, Service
from wavrag.speech.spoken import spoken_text
from wavrag.speech.style import Follow, style_from

__all__ = [
    "ENGINES",
    "NEUTRAL",
    "UNSPEAKABLE",
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
    "best_engine",
    "load_engine",
    "reason",
    "speak",
    "speak_stream",
    "spoken_text",
    "style_from",
    "voice_settings",
    "write_answer",
]
