"""The library: the list of documents, their original files, watched folders and suggestions."""

from __future__ import annotations

from pathlib import PurePath
from typing import Annotated, Literal, TypeAlias

from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import BaseModel, Field

from wavrag.server.documents import missing_file, read_document
from wavrag.server.errors import COMMON_ERRORS, error_responses
from wavrag.server.file_types import MEDIA_TYPES
from wavrag.server.files import modification_time, name_file, original_response
from wavrag.server.limits import MAX_LISTED, MAX_URL_CHARS
from wavrag.server.schemas import DocumentsShape, FileShape, SuggestionsShape, WatchShape
from wavrag.server.session import Session, State
from wavrag.store import StoredDocument

File: TypeAlias = dict[str, str]  # name, folder and kind

# Kinds that browsers show and that cannot run scripts; any other file is downloaded.
INLINE_TYPES = {
    **MEDIA_TYPES,
    ".pdf": "application/pdf",
    ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif",
    ".webp": "image/webp",
    **dict.fromkeys(
        (".txt", ".text", ".md", ".rst", ".org", ".log", ".csv", ".tsv", ".srt", ".vtt", ".json"),
        "text/plain",
    ),
}  # fmt: skip

router = APIRouter(prefix="/v1", tags=["documents"], responses=COMMON_ERRORS)


class DocumentFilter(BaseModel):
    """Which documents to list, and in which order."""

    q: str = Field("", max_length=200, description="pattern of title or source")
    modality: Literal["text", "audio"] | None = None
    folder: str | None = Field(
        None, max_length=MAX_URL_CHARS, description="a folder, with those below it"
    )
    kind: str | None = Field(None, max_length=20, description="suffix, such as pdf")
    id: list[str] = Field(default=[], max_length=100, description="only these documents")
    sort: Literal["title", "newest", "folder", "kind"] = "title"
    offset: int = Field(0, ge=0, lt=2**31)
    limit: int = Field(100, ge=1, le=MAX_LISTED)

    def accepts(self, document: StoredDocument, file: File) -> bool:
        """True if a document matches."""
        pattern = self.q.casefold()
        return (
            (not self.id or document.id in self.id)
            and self.modality in (None, document.modality)
            and (self.folder is None or is_in_folder(file["folder"], self.folder))
            and self.kind in (None, file["kind"])
            and (pattern in document.title.casefold() or pattern in document.source.casefold())
        )


@router.get("/documents")
async def list_documents(
    state: State, filter: Annotated[DocumentFilter, Query()]
) -> DocumentsShape:
    """List documents."""
    return await state.run_in_thread("list", _list, state, filter)


def is_in_folder(folder: str, root: str) -> bool:
    """True if a folder is another one, or below it."""
    return folder == root or (root != "" and folder.startswith((f"{root}/", f"{root}\\")))


def _list(state: Session, filter: DocumentFilter) -> DocumentsShape:
    pairs = [
        (document, name_file(document.source, document.metadata))
        for document in state.rag.kb.documents()
    ]
    rows = [row for row in pairs if filter.accepts(*row)]
    rows.sort(key=lambda row: (row[0].title.casefold(), row[0].id))
    if filter.sort == "newest":
        rows.sort(key=lambda row: modification_time(state, row[0].source) or "", reverse=True)
    elif filter.sort != "title":
        rows.sort(key=lambda row: row[1][filter.sort])
    files = [file for _, file in pairs]
    return DocumentsShape(
        documents=[
            # Times of the rows sent only: each needs a look at the disk.
            FileShape.model_validate(
                FileShape.read(document)
                | file
                | {"modified": modification_time(state, document.source)}
            )
            for document, file in rows[filter.offset : filter.offset + filter.limit]
        ],
        total=len(rows),
        folders=sorted({file["folder"] for file in files}),
        kinds=sorted({file["kind"] for file in files}),
    )


@router.get(
    "/documents/{document_id:path}/original",
    response_class=Response,
    responses={
        **error_responses(404),
        200: {"content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}},
    },
)
async def get_original(state: State, document_id: str) -> Response:
    """Get the file of a document: shown by the browser if it cannot run scripts, else saved."""
    passage = await read_document(state, state.rag.kb.head, document_id)
    original = await state.run_in_thread("get", state.open_original, passage)
    if original is None:
        raise missing_file(document_id, "file")
    name = name_file(passage.source, passage.metadata)["name"]
    suffix = (PurePath(name).suffix or original.path.suffix).lower()
    return original_response(
        original,
        media_type=INLINE_TYPES.get(suffix, "application/octet-stream"),
        filename=name,
        content_disposition_type="inline" if suffix in INLINE_TYPES else "attachment",
    )


@router.get("/suggestions")
async def get_suggestions(state: State) -> SuggestionsShape:
    """Get questions that the knowledge base can answer, from its headings and names."""
    questions = await state.run_in_thread("suggest", state.suggester.suggest)
    return SuggestionsShape(questions=questions)


@router.get("/watch")
async def get_watch(state: State) -> WatchShape:
    """Get the state of the watched folders (`wavrag serve --watch`)."""
    # On a thread, because it looks for each file on the disk.
    return await state.run_in_thread("list", state.describe_watch)
