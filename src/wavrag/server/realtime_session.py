"""The session of `/v1/realtime`: its options, in the format of OpenAI's Realtime API."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from wavrag.errors import InputError
from wavrag.generate import GenerateOptions
from wavrag.live import LiveOptions
from wavrag.server.limits import MAX_ANSWER_TOKENS, MAX_LIVE_SECONDS
from wavrag.server.models import CHAT_MODEL
from wavrag.server.requests import Filter, Text

SAMPLE_RATE = 24_000  # Hz; the only one of OpenAI's API for PCM


class PcmFormat(BaseModel):
    """Audio as 16-bit little-endian PCM."""

    type: Literal["audio/pcm"] = "audio/pcm"
    rate: Literal[24_000] = 24_000


class TurnDetection(BaseModel):
    """Detection of turns by voice activity; parameters without an effect are ignored."""

    type: Literal["server_vad", "semantic_vad"] = "server_vad"
    silence_duration_ms: float = Field(576, description="silence that ends a turn")
    create_response: bool = Field(True, description="answer without `response.create`")


class AudioInputBody(BaseModel):
    """Format of the audio, and detection of turns; null for turns that end with a commit."""

    format: PcmFormat = Field(default_factory=PcmFormat)
    turn_detection: TurnDetection | None = Field(
        default_factory=lambda: TurnDetection.model_validate({})
    )


class SessionAudio(BaseModel):
    """Audio of a session."""

    input: AudioInputBody = Field(default_factory=AudioInputBody)


class RealtimeSession(BaseModel):
    """Options of a session; parameters without an effect here are ignored."""

    type: Literal["realtime"] = "realtime"
    # Answers are text: a client speaks them with `/v1/audio/speech`.
    output_modalities: list[Literal["text"]] = Field(["text"], min_length=1, max_length=1)
    instructions: Text = ""
    audio: SessionAudio = Field(default_factory=SessionAudio)
    max_output_tokens: int | Literal["inf"] = 256
    where: Filter | None = Field(None, description="metadata filter; an extension")

    @property
    def turn_detection(self) -> TurnDetection | None:
        """Detection of turns by voice; None if they end with a commit."""
        return self.audio.input.turn_detection

    def updated(self, changes: dict[str, Any]) -> RealtimeSession:
        """The session with some options changed.

        Raises:
            ValidationError: one of them is not valid.
        """
        return RealtimeSession.model_validate(_merge(self.model_dump(), changes))

    def live_options(self) -> LiveOptions:
        """Options of the live turn.

        Raises:
            InputError: one of them is out of range.
        """
        detection, tokens = self.turn_detection, self.max_output_tokens
        if tokens == "inf":
            tokens = MAX_ANSWER_TOKENS
        if not 1 <= tokens <= MAX_ANSWER_TOKENS:
            raise InputError(f"max_output_tokens is {tokens}: set it from 1 to {MAX_ANSWER_TOKENS}")
        return LiveOptions(
            mode="push-to-talk" if detection is None else "hands-free",
            sample_rate=SAMPLE_RATE,
            silence_ms=576.0 if detection is None else detection.silence_duration_ms,
            max_seconds=MAX_LIVE_SECONDS,
            where=self.where,
            generate=GenerateOptions(max_tokens=tokens, instructions=self.instructions.strip()),
        )

    def describe(self, id: str) -> dict[str, Any]:
        """The session in events."""
        head = {"id": id, "object": "realtime.session", "model": CHAT_MODEL, "tools": []}
        return {**head, **self.model_dump()}


def _merge(old: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Replace values of nested objects; null replaces an object as well."""
    merged = dict(old)
    for key, value in changes.items():
        before = old.get(key)
        is_nested = isinstance(before, dict) and isinstance(value, dict)
        merged[key] = _merge(before, value) if is_nested and before is not None else value
    return merged
