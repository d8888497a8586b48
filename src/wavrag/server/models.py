"""`/v1/models`: what the OpenAI-compatible part serves, and under which names."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse, Response

from wavrag.server.problems import RequestError
from wavrag.server.room import Room, room_of
from wavrag.server.shapes import ModelsShape, problems
from wavrag.speech import Engine

CHAT = "wavrag"  # name of the model that answers from the knowledge base
OWNER = "wavrag"

router = APIRouter(prefix="/v1", tags=["openai"])


@router.get("/models", response_model=ModelsShape, responses=problems())
async def models(room: Annotated[Room, Depends(room_of)]) -> Response:
    """Names for `/v1/chat/completions`, `/v1/embeddings` and, where there is a voice, speech."""
    spec = room.rag.kb.embedder.spec
    listed = [
        _entry(CHAT, root=room.rag.generator.spec.name),
        _entry(spec.name, root=spec.revision, modalities=sorted(spec.modalities), dim=spec.dim),
    ]
    voice = room.voice
    if voice is not None:
        listed.append(_entry(speech_model(voice), root=voice.revision, voices=list(voice.voices)))
    return JSONResponse({"object": "list", "data": listed})


def speech_model(engine: Engine) -> str:
    """The model's name of an engine; an embedder may have the engine's own."""
    return f"voice-{engine.name}"


def _entry(id: str, **more: Any) -> dict[str, Any]:
    return {"id": id, "object": "model", "created": 0, "owned_by": OWNER, **more}


def check_model(given: str, wanted: str) -> None:
    """Refuse another model than the one that is served.

    Raises:
        RequestError: it is another one.
    """
    if given != wanted:
        raise RequestError(404, f"there is no model {given[:100]!r} here: ask for {wanted!r}")
