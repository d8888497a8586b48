"""Ask with your voice, over documents and recordings.

The public names below are imported when they are first used: `import wavrag` loads no model, no
store and no numerical library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wavrag.answer import (
        AnswerOptions,
        AnswerStream,
        CitationCheckOptions,
        ContextOptions,
        ReasoningOptions,
        RetrievalResult,
    )
    from wavrag.embed import Embedder, load_embedder, load_reranker
    from wavrag.errors import (
        AudioError,
        DocumentError,
        DownloadError,
        EmbedderError,
        FilterError,
        GenerationError,
        IndexMismatchError,
        InputError,
        MissingExtraError,
        SpeechError,
        StoreError,
        WavRAGError,
    )
    from wavrag.generate import (
        GenerateOptions,
        Generator,
        StopSignal,
        Tool,
        ToolResult,
        load_generator,
    )
    from wavrag.kb import (
        AddReport,
        DocumentSpeaker,
        FileScan,
        KnowledgeBase,
        Progress,
        Removal,
        RepairReport,
        Retrieval,
        Segment,
        SourceChange,
        Transcript,
        UnreadFiles,
        UpgradeReport,
        find_files,
    )
    from wavrag.live import AsyncLiveTurn, LiveOptions, LiveTurn, Scheduler
    from wavrag.outline import Chapter, Summary, SummarySentence
    from wavrag.rag import AsyncAnswerStream, WavRAG
    from wavrag.store import StoredDocument
    from wavrag.types import (
        Abstention,
        Answer,
        Citation,
        Clip,
        Correction,
        Document,
        HistoryTurn,
        Hit,
        Passage,
        Query,
        ReasoningPath,
        Support,
        TimedWord,
        ToolCall,
        Usage,
    )
    from wavrag.web import DownloadOptions

# A test compares the three lists: type checkers follow the imports and `__all__` only.
_ROOMS = {
    "answer": (
        "AnswerOptions AnswerStream CitationCheckOptions ContextOptions ReasoningOptions "
        "RetrievalResult "
    ),
    "embed": "Embedder load_embedder load_reranker",
    "errors": (
        "AudioError DocumentError DownloadError EmbedderError FilterError GenerationError "
        "IndexMismatchError InputError MissingExtraError SpeechError StoreError WavRAGError "
    ),
    "generate": "GenerateOptions Generator StopSignal Tool ToolResult load_generator",
    "kb": (
        "AddReport DocumentSpeaker FileScan KnowledgeBase Progress Removal RepairReport "
        "Retrieval Segment SourceChange Transcript UnreadFiles UpgradeReport find_files "
    ),
    "live": "AsyncLiveTurn LiveOptions LiveTurn Scheduler",
    "outline": "Chapter Summary SummarySentence",
    "rag": "AsyncAnswerStream WavRAG",
    "store": "StoredDocument",
    "types": (
        "Abstention Answer Citation Clip Correction Document HistoryTurn Hit Passage Query "
        "ReasoningPath Support TimedWord ToolCall Usage "
    ),
    "web": "DownloadOptions",
}
_HOMES = {name: room for room, names in _ROOMS.items() for name in names.split()}

__all__ = [
    "Abstention", "AddReport", "Answer", "AnswerOptions", "AnswerStream", "AsyncAnswerStream",
    "AsyncLiveTurn", "AudioError", "Chapter", "Citation", "CitationCheckOptions", "Clip",
    "ContextOptions", "Correction", "Document", "DocumentError", "DocumentSpeaker",
    "DownloadError", "DownloadOptions", "Embedder", "EmbedderError", "FileScan", "FilterError",
    "GenerateOptions", "GenerationError", "Generator", "HistoryTurn", "Hit", "IndexMismatchError",
    "InputError", "KnowledgeBase", "LiveOptions", "LiveTurn", "MissingExtraError", "Passage",
    "Progress", "Query", "ReasoningOptions", "ReasoningPath", "Removal", "RepairReport",
    "Retrieval", "RetrievalResult", "Scheduler", "Segment", "SourceChange", "SpeechError",
    "StopSignal", "StoreError", "StoredDocument", "Summary", "SummarySentence", "Support",
    "TimedWord", "Tool", "ToolCall", "ToolResult", "Transcript", "UnreadFiles", "UpgradeReport",
    "Usage", "WavRAG", "WavRAGError", "find_files", "load_embedder", "load_generator",
    "load_reranker",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name == "__version__":
        # Most programs never ask for it, and importlib.metadata is half the time of the import.
        from importlib.metadata import version

        return version("wavrag")
    if name in _HOMES:
        return getattr(import_module(f"wavrag.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'wavrag' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
