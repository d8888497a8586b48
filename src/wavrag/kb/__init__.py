"""The knowledge base: index documents into a folder on disk, and search them.

`indexing.py` reads, embeds and stores documents; the store writes them to disk
(`wavrag/store/lance.py`). `knowledge_base.py` is the public class over embedder, store and search.
"""

from wavrag.kb.backend import (
    Backend,
    FolderBackend,
    is_kb_url,
    open_backend,
    tenant_address,
    tenant_of,
)
from wavrag.kb.backup import backup_kb, restore_kb
from wavrag.kb.bulk import BulkOptions, embed_bulk
from wavrag.kb.file_checks import FileChecks, OriginalFile, open_beside, open_blob
from wavrag.kb.files import FileScan, find_files
from wavrag.kb.kinds import detect_kind
from wavrag.kb.knowledge_base import KnowledgeBase
from wavrag.kb.originals import UPLOAD_PATTERN, UPLOADS, is_upload_name
from wavrag.kb.passages import (
    PendingPassage,
    digest_file,
    file_digest_of,
    load_passage_clip,
    split_document,
)
from wavrag.kb.relink import SourceChange
from wavrag.kb.repair import RepairReport, repair_kb
from wavrag.kb.report import (
    AddReport,
    Progress,
    ProgressCallback,
    Removal,
    Stage,
    UnreadFiles,
)  # fmt: skip
from wavrag.kb.retrieval import CANDIDATES, Retrieval
from wavrag.kb.speakers import DocumentSpeaker
from wavrag.kb.transcriber import Transcriber
from wavrag.kb.transcript import (
    TRANSCRIPT_FORMATS,
    Segment,
    Transcript,
    TranscriptFormat,
    format_clock,
)
from wavrag.kb.trust import confirm_embedder
from wavrag.kb.upgrade import UpgradeReport, upgrade_kb
from wavrag.kb.urls import FEED_ENTRIES, FetchCallback
from wavrag.kb.view import KnowledgeBaseView
from wavrag.kb.watch import check_folders

__all__ = [
    "CANDIDATES", "FEED_ENTRIES", "TRANSCRIPT_FORMATS", "UPLOADS", "UPLOAD_PATTERN", "AddReport",
    "Backend", "BulkOptions", "DocumentSpeaker", "FetchCallback", "FileChecks", "FileScan",
    "FolderBackend",
    "KnowledgeBase", "KnowledgeBaseView", "OriginalFile", "PendingPassage", "Progress",
    "ProgressCallback", "Removal", "RepairReport", "Retrieval", "Segment", "SourceChange", "Stage",
    "Transcriber", "Transcript", "TranscriptFormat", "UnreadFiles", "UpgradeReport", "backup_kb",
    "check_folders", "confirm_embedder", "detect_kind", "digest_file", "embed_bulk",
    "file_digest_of", "find_files", "format_clock", "is_kb_url", "is_upload_name",
    "load_passage_clip",
    "open_backend", "open_beside", "open_blob", "repair_kb", "restore_kb", "split_document",
    "tenant_address", "tenant_of", "upgrade_kb",
]  # fmt: skip
