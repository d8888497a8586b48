"""Speakers of recordings: their names, and the voice prints that are kept."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import Field

from wavrag.server.documents import read_document
from wavrag.server.errors import COMMON_ERRORS, RequestError, error_responses
from wavrag.server.requests import StrictBody, Text
from wavrag.server.schemas import SpeakerShape, SpeakersShape, VoicesShape
from wavrag.server.session import Session, State

router = APIRouter(prefix="/v1", tags=["documents"], responses=COMMON_ERRORS)


class SpeakerBody(StrictBody):
    """A new name of a speaker."""

    speaker: Text = Field(description="the current name, such as `speaker 2`")
    name: Text = Field(description="the new name; that of another speaker joins the two")
    remember: bool = Field(
        False,
        description="keep a voice print, to recognise the speaker in recordings added later:"
        " personal data, so ask the speaker first",
    )


@router.get("/documents/{document_id:path}/speakers", responses=error_responses(404))
async def list_speakers(state: State, document_id: str) -> SpeakersShape:
    """List the speakers of a recording; none if they were not looked for."""
    await read_document(state, state.rag.kb.head, document_id)
    return await _describe_speakers(state, document_id)


@router.patch("/documents/{document_id:path}/speakers", responses=error_responses(404))
async def name_speaker(state: State, document_id: str, body: SpeakerBody) -> SpeakersShape:
    """Rename a speaker of a recording."""
    await read_document(state, state.rag.kb.head, document_id)

    def rename() -> None:
        state.rag.kb.name_speaker(document_id, body.speaker, body.name, remember=body.remember)

    await state.run_in_thread("transcribe" if body.remember else "get", rename)
    return await _describe_speakers(state, document_id)


async def _describe_speakers(state: Session, document_id: str) -> SpeakersShape:
    rows = await state.run_in_thread("get", state.rag.kb.speakers, document_id)
    return SpeakersShape(speakers=[SpeakerShape.model_validate(row) for row in rows])


@router.get("/voices")
async def list_voices(state: State) -> VoicesShape:
    """List the speakers whose voice prints are kept."""
    return VoicesShape(voices=await state.run_in_thread("get", state.rag.kb.known_voices))


@router.delete("/voices/{name:path}", responses=error_responses(404))
async def forget_voice(state: State, name: str) -> VoicesShape:
    """Delete the voice print of a speaker; passages keep the name."""
    if not await state.run_in_thread("get", state.rag.kb.forget_speaker, name):
        raise RequestError(404, f"there is no voice print of {name}: see /v1/voices")
    return await list_voices(state)
