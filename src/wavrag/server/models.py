"""`/v1/models`: the models behind the OpenAI-compatible endpoints, and their names."""

from __future__ import annotations

from fastapi import APIRouter

from wavrag.server.errors import COMMON_ERRORS, RequestError, error_responses
from wavrag.server.schemas import ModelShape, ModelsShape
from wavrag.server.session import Session, State
from wavrag.speech import Engine

CHAT_MODEL = "wavrag"  # answers from the knowledge base, with any generator

router = APIRouter(prefix="/v1", tags=["openai"], responses=COMMON_ERRORS)


@router.get("/models", response_model_exclude_none=True)
async def list_models(state: State) -> ModelsShape:
    """List the models for chat, embeddings, transcription and, if installed, speech."""
    return ModelsShape(data=_describe_models(state))


@router.get(
    "/models/{model:path}", response_model_exclude_none=True, responses=error_responses(404)
)
async def get_model(state: State, model: str) -> ModelShape:
    """Get a model."""
    models = {shape.id: shape for shape in _describe_models(state)}
    if model not in models:
        raise RequestError(404, f"there is no model {model[:100]!r} here: see /v1/models")
    return models[model]


def _describe_models(state: Session) -> list[ModelShape]:
    spec = state.rag.kb.embedder.spec
    models = [
        ModelShape(id=CHAT_MODEL, root=state.rag.generator.spec.name),
        ModelShape(
            id=spec.name, root=spec.revision, modalities=sorted(spec.modalities), dim=spec.dim
        ),
    ]
    recogniser = state.transcriber.recogniser.spec
    models.append(ModelShape(id=recogniser.name, root=recogniser.revision, modalities=["audio"]))
    engine = state.speech_engine
    if engine is not None:
        models.append(
            ModelShape(
                id=speech_model_name(engine), root=engine.revision, voices=list(engine.voices)
            )
        )
    return models


def speech_model_name(engine: Engine) -> str:
    """The model name of a speech engine; prefixed, because an embedder may have the same name."""
    return f"voice-{engine.name}"


def check_model(name: str, expected: str) -> None:
    """Reject a model name other than the expected one."""
    if name != expected:
        raise RequestError(404, f"there is no model {name[:100]!r} here: use {expected!r}")
