"""Text to speech: engines behind one method, the style they speak in, and answers said aloud."""

from wavrag.speech.answers import SpokenAnswer, speak, speak_stream, write_answer
from wavrag.speech.base import Engine, Style
from wavrag.speech.fake import FakeEngine
from wavrag.speech.registry import ENGINES, best_engine, load_engine
from wavrag.speech.service import Endpoint
from wavrag.speech.spoken import spoken_text
from wavrag.speech.style import Follow, style_from

__all__ = [
    "ENGINES",
    "Endpoint",
    "Engine",
    "FakeEngine",
    "Follow",
    "SpokenAnswer",
    "Style",
    "best_engine",
    "load_engine",
    "speak",
    "speak_stream",
    "spoken_text",
    "style_from",
    "write_answer",
]
