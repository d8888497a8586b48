"""One folder that knows recordings and texts: `KnowledgeBase` = embedder + store + search."""

from wavrag.kb.ingest import FileScan, IngestOptions, clip_of, find_files
from wavrag.kb.knowledge_base import KnowledgeBase, Retrieval
from wavrag.kb.report import AddReport, Progress, ProgressSink, document_dict

__all__ = [
    "AddReport",
    "Found",
    "IngestOptions",
    "KnowledgeBase",
    "Progress",
    "ProgressSink",
    "Retrieval",
    "clip_of",
    "document_dict",
    "find_files",
]
