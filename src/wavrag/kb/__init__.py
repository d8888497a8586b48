"""One folder that knows recordings and texts: `KnowledgeBase` = embedder + store + search."""

from wavrag.kb.ingest import FileScan, IngestOptions, Unit, clip_of, find_files, passages_of
from wavrag.kb.knowledge_base import CANDIDATES, KnowledgeBase, Retrieval
from wavrag.kb.report import AddReport, Progress, ProgressSink

__all__ = [
    "CANDIDATES",
    "AddReport",
    "FileScan",
    "IngestOptions",
    "KnowledgeBase",
    "Progress",
    "ProgressSink",
    "Retrieval",
    "Unit",
    "clip_of",
    "find_files",
    "passages_of",
]
