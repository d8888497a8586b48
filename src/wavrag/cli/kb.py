"""`wavrag kb`: inspects and maintains a knowledge base."""

from __future__ import annotations

import argparse
import json
import os
import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from wavrag.cli.command import Command, UsageError
from wavrag.cli.options import JSON, KB, Option
from wavrag.cli.output import format_count, format_duration, note, print_json, short_path
from wavrag.errors import InputError, StoreError

if TYPE_CHECKING:
    from wavrag.kb import KnowledgeBase, SourceChange


def _open_kb(arguments: argparse.Namespace) -> Any:
    # create=False: a mistyped --kb must not leave an empty knowledge base behind.
    from wavrag.kb import KnowledgeBase

    return KnowledgeBase.open(arguments.kb, create=False)


def _kb_address(arguments: argparse.Namespace) -> str:
    from wavrag import config

    return arguments.kb or config.kb_address()


def info(arguments: argparse.Namespace) -> int:
    """Print the embedder, the counts and the size on disk."""
    with _open_kb(arguments) as kb:
        documents = kb.documents()
        spec = kb.embedder.spec
        address, directory = kb.address, kb.directory
    recordings = [document for document in documents if document.modality == "audio"]
    files = directory.rglob("*") if directory else ()
    size = sum(path.stat().st_size for path in files if path.is_file())
    facts = {
        "kb": address,
        "embedder": spec.name,
        "revision": spec.revision,
        "dim": spec.dim,
        "documents": len(documents),
        "recordings": len(recordings),
        "passages": sum(document.passages for document in documents),
        "audio_seconds": round(sum(document.seconds for document in recordings), 1),
        "bytes": size if directory else None,
    }
    if arguments.json:
        print_json(facts)
        return 0
    print(address)
    print(f"  embedder    {spec.name} ({spec.revision}, {spec.dim} dimensions)")
    texts = len(documents) - len(recordings)
    print(
        f"  documents   {len(documents):,}: {format_count(len(recordings), 'recording')}"
        f" ({format_duration(facts['audio_seconds'])}), {format_count(texts, 'text')}"
    )
    print(f"  passages    {facts['passages']:,}")
    if directory:
        print(f"  on disk     {size / 1e6:.1f} MB")
    return 0


def trust(arguments: argparse.Namespace) -> int:
    """Confirm the embedder that the knowledge base names."""
    from wavrag.config import redact_url
    from wavrag.kb import confirm_embedder

    address = _kb_address(arguments)
    name = confirm_embedder(address)
    note(f"confirmed: {redact_url(address)} uses the embedder {name}")
    return 0


def list_documents(arguments: argparse.Namespace) -> int:
    """Print every document with its length and number of passages."""
    with _open_kb(arguments) as kb:
        documents = kb.documents()
    if arguments.json:
        from wavrag.shapes import DocumentShape

        print_json([DocumentShape.dump(document) for document in documents])
        return 0
    for document in documents:
        length = format_duration(document.seconds) if document.modality == "audio" else ""
        passages = format_count(document.passages, "passage")
        print(f"{document.modality:5}  {length:>9}  {passages:>14}  {short_path(document.source)}")
    return 0


def remove(arguments: argparse.Namespace) -> int:
    """Remove documents by path, id or folder; exit code 1 if one is not in the knowledge base."""
    with _open_kb(arguments) as kb:
        removal = kb.remove_sources(arguments.sources)
    if arguments.json:
        print_json({"removed": removal.removed, "kept": removal.kept, "passages": removal.passages})
        return 0
    if removal.kept:
        note(f"{format_count(len(removal.kept), 'document')} kept: copies are at other paths")
    passages = format_count(removal.passages, "passage")
    print(f"{format_count(len(removal.removed), 'document')} removed ({passages})")
    return 0


def access(arguments: argparse.Namespace) -> int:
    """Replace the access labels of a document."""
    from wavrag.store import parse_labels

    labels = parse_labels(arguments.labels)
    with _open_kb(arguments) as kb:
        kb.set_access(_find_document(kb, arguments.document), labels)
    return 0


def speakers(arguments: argparse.Namespace) -> int:
    """Print the speakers of a recording with the length of their speech."""
    with _open_kb(arguments) as kb:
        rows = kb.speakers(_find_document(kb, arguments.document))
    if arguments.json:
        print_json([asdict(row) for row in rows])
        return 0
    if not rows:
        note(f"{arguments.document} has no speakers: index it with `wavrag index --speakers`")
    for row in rows:
        passages = format_count(row.passages, "passage")
        print(f"{format_duration(row.seconds):>9}  {passages:>14}  {row.name}")
    return 0


def name_speaker(arguments: argparse.Namespace) -> int:
    """Rename a speaker of a recording."""
    with _open_kb(arguments) as kb:
        document_id = _find_document(kb, arguments.document)
        passages = kb.name_speaker(
            document_id, arguments.speaker, arguments.name, remember=arguments.remember
        )
    print(f"{format_count(passages, 'passage')} of {arguments.name}")
    if arguments.remember:
        note(f"the voice of {arguments.name} is kept: `wavrag kb forget-speaker` deletes it")
    return 0


def forget_speaker(arguments: argparse.Namespace) -> int:
    """Delete a voice print; exit code 1 if there is none."""
    with _open_kb(arguments) as kb:
        voices = kb.known_voices()
        if not kb.forget_speaker(arguments.name):
            names = ", ".join(voices) or "no voice"
            raise InputError(f"the voice of {arguments.name} is not kept: {names} is")
    print(f"the voice of {arguments.name} is deleted; passages keep the name")
    return 0


def _find_document(kb: KnowledgeBase, source: str) -> str:
    """The id of a document by its path or id."""
    for document_id in (source, os.path.abspath(source)):
        if kb.head(document_id) is not None:
            return document_id
    path = os.path.abspath(source)
    for document in kb.documents():
        if path in document.paths:  # a copy
            return document.id
    raise InputError(f"{source} is not in the knowledge base: see `wavrag kb list`")


def verify(arguments: argparse.Namespace) -> int:
    """Read all data and the original files back; exit code 1 if there are defects."""
    share = arguments.sample / 100
    if not 0 < share <= 1:
        raise UsageError("--sample is a percentage above 0, at most 100")
    with _open_kb(arguments) as kb:
        defects = kb.verify(share)
        passages = kb.count()
        changes = kb.check_sources() if share == 1 else []
    if arguments.json:
        sources = [asdict(change) for change in changes]
        print_json({"passages": passages, "defects": defects, "sources": sources})
    else:
        for change in changes:
            _note_change(change)
        if changes:
            note("wavrag kb relink updates the paths of moved files; wavrag index reads others")
        for defect in defects:
            note(f"defect: {defect}")
        extent = "" if share == 1 else f", {arguments.sample:g} % of the data read"
        print(
            f"{format_count(passages, 'passage')}{extent or ' read'},"
            f" {format_count(len(defects), 'defect')}"
        )
    return 1 if defects else 0


def repair(arguments: argparse.Namespace) -> int:
    """Repair damage from copies and originals; exit code 1 if a document is lost."""
    from wavrag.kb import repair_kb

    report = repair_kb(_kb_address(arguments))
    if arguments.json:
        print_json(asdict(report))
        return 1 if report.losses else 0
    for action in report.actions:
        note(action)
    for source in report.reindexed:
        note(f"indexed again: {short_path(source)}")
    for source, reason in report.losses:
        note(f"lost: {short_path(source)}: {reason}")
    if not (report.actions or report.reindexed or report.losses):
        print("nothing was damaged")
    else:
        print(
            f"repaired: {format_count(len(report.reindexed), 'document')} indexed again,"
            f" {len(report.losses)} lost"
        )
    return 1 if report.losses else 0


def backup(arguments: argparse.Namespace) -> int:
    """Copy the knowledge base, also while it is in use."""
    from wavrag.kb import backup_kb

    size = backup_kb(_kb_address(arguments), arguments.folder)
    print(f"{short_path(arguments.folder)}: {size / 1e6:.1f} MB copied")
    return 0


def restore(arguments: argparse.Namespace) -> int:
    """Check a backup and copy it to a new folder."""
    from wavrag.kb import restore_kb

    target = _kb_address(arguments)
    size = restore_kb(arguments.folder, target)
    print(f"{short_path(target)}: {size / 1e6:.1f} MB restored and checked")
    return 0


def upgrade(arguments: argparse.Namespace) -> int:
    """Embed the documents again if the embedder has a new revision."""
    from wavrag.kb import upgrade_kb

    def show(count: int, total: int) -> None:
        if sys.stderr.isatty():
            print(f"\r{count:,} of {total:,} documents", end="", file=sys.stderr, flush=True)

    report = upgrade_kb(_kb_address(arguments), on_progress=show)
    for source, remark in report.notes:
        note(f"{short_path(source)}: {remark}")
    print(
        f"{report.embedder} ({report.revision}):"
        f" {format_count(report.documents, 'document')} embedded again"
    )
    return 0


def _note_change(change: SourceChange) -> None:
    location = f": found at {short_path(change.found_at)}" if change.found_at else ""
    note(f"{change.state}: {short_path(change.path)}{location}")


def relink(arguments: argparse.Namespace) -> int:
    """Update the paths of moved files; exit code 1 if a file is still missing."""
    with _open_kb(arguments) as kb:
        changes = kb.relink(arguments.folders)
    updated = {change.document_id for change in changes if change.found_at}
    missing = [change for change in changes if not change.found_at]
    if arguments.json:
        print_json({"relinked": sorted(updated), "sources": [asdict(change) for change in changes]})
    else:
        for change in changes:
            _note_change(change)
        print(
            f"{format_count(len(updated), 'document')} relinked,"
            f" {format_count(len(missing), 'file')} not found"
        )
    return 1 if missing else 0


def export(arguments: argparse.Namespace) -> int:
    """Write every passage as a line of JSON, and the vectors if --vectors is given."""
    import numpy as np

    from wavrag.shapes import PassageShape

    vectors = []
    try:
        with _open_kb(arguments) as kb, _open_output(arguments.out) as file:
            dim = kb.embedder.spec.dim
            for record in kb.scan():
                print(json.dumps(PassageShape.dump(record.passage), ensure_ascii=False), file=file)
                if arguments.vectors:
                    # Kept in memory, as the header of a .npy file states the number of rows.
                    vectors.append(record.vector)
        if arguments.vectors:
            with Path(arguments.vectors).open("wb") as file:
                np.save(file, np.stack(vectors) if vectors else np.empty((0, dim), np.float32))
    except BrokenPipeError:
        raise  # an OSError that `run_command` handles: the reader of the pipe has enough
    except OSError as error:
        raise StoreError(f"cannot write {error.filename}: {error.strerror}") from error
    return 0


def _open_output(path: str | None) -> AbstractContextManager[TextIO]:
    if path is None:
        return nullcontext(sys.stdout)  # `with` would close it
    return Path(path).open("w", encoding="utf-8", errors="backslashreplace")


DOCUMENT = Option("document", "DOCUMENT", "path or id of a recording")

COMMAND = Command(
    "kb",
    "inspect and maintain a knowledge base",
    examples=("wavrag kb info", "wavrag kb list --kb my-kb", "wavrag kb remove talks/old.mp3"),
    subcommands={"commands": (
        Command("info", "show size, embedder and counts of the knowledge base", info, (KB, JSON),
            ("wavrag kb info", "wavrag kb info --kb my-kb --json")),
        Command("list", "list the documents", list_documents, (KB, JSON),
            ("wavrag kb list", "wavrag kb list --kb my-kb --json")),
        Command("remove", "remove documents", remove,
            (Option("sources", "SOURCE", "path or id of a document, or a folder", nargs="+"), KB,
                JSON),
            ("wavrag kb remove talks/old.mp3", "wavrag kb remove --kb my-kb talks/ notes.md")),
        Command("access", "replace the access labels of a document", access,
            (Option("document", "DOCUMENT", "path or id of a document"),
                Option("labels", "LABELS", "labels, separated by commas; `public` for everybody"),
                KB),
            ("wavrag kb access contract.pdf legal,hr", "wavrag kb access contract.pdf public"),
            details="Nothing is embedded again."),
        Command("speakers", "list the speakers of a recording", speakers,
            (DOCUMENT, KB, JSON),
            ("wavrag kb speakers meeting.mp3", "wavrag kb speakers meeting.mp3 --json")),
        Command("name-speaker", "give a speaker of a recording a name", name_speaker,
            (DOCUMENT, Option("speaker", "SPEAKER", "its current name, such as 'speaker 2'"),
                Option("name", "NAME", "its new name"),
                Option("--remember", help="keep a voice print in the knowledge base, by which"
                    " recordings added later recognise the speaker: personal data, so ask first"),
                KB),
            ("wavrag kb name-speaker meeting.mp3 'speaker 2' Ada",
                "wavrag kb name-speaker meeting.mp3 'speaker 2' Ada --remember"),
            details="Nothing is embedded again."),
        Command("forget-speaker", "delete the voice print of a speaker", forget_speaker,
            (Option("name", "NAME", "name of the speaker"), KB),
            ("wavrag kb forget-speaker Ada", "wavrag kb forget-speaker Ada --kb my-kb")),
        Command("verify", "read all data and the original files back, and report defects", verify,
            (Option("--sample", "PERCENT", "share of the data to read, at random; less than 100"
                " also skips the original files", default=100.0, minimum=0), KB, JSON),
            ("wavrag kb verify", "wavrag kb verify --sample 5",
                "wavrag kb verify --kb my-kb --json")),
        Command("repair", "repair damage from copies and the original files", repair, (KB, JSON),
            ("wavrag kb repair", "wavrag kb repair --kb my-kb --json"),
            details="Damaged passages are removed, and their documents indexed again. The exit code"
                " is 1 if an original is missing."),
        Command("backup", "copy the knowledge base, also while it is in use", backup,
            (Option("folder", "FOLDER", "new folder for the copy"), KB),
            ("wavrag kb backup /backups/monday", "wavrag kb backup --kb my-kb /backups/monday"),
            details="Searches go on meanwhile, and changes wait. Files that were indexed in place"
                " are not part of the copy."),
        Command("restore", "check a backup and copy it to a new folder", restore,
            (Option("folder", "FOLDER", "folder of `wavrag kb backup`"), KB),
            ("wavrag kb restore /backups/monday", "wavrag kb restore --kb my-kb /backups/monday")),
        Command("upgrade", "embed the documents again with a new revision of the embedder", upgrade,
            (KB,), ("wavrag kb upgrade", "wavrag kb upgrade --kb my-kb"),
            details="The earlier vectors stay until all new ones are there; an interrupted upgrade"
                " resumes."),
        Command("trust", "confirm the embedder of a knowledge base that you received", trust, (KB,),
            ("wavrag kb trust", "wavrag kb trust --kb received-kb"),
            details="Needed once if it is a server or a model outside the package, unless you named"
                " it yourself. A server receives your questions and documents, and the key in"
                " $WAVRAG_API_KEY. Kept in ~/.config/wavrag, or in $WAVRAG_CONFIG."),
        Command("relink", "find moved files by their content and update their paths", relink,
            (Option("folders", "FOLDER", "folder to search", nargs="*",
                unset="the folders of all documents"), KB, JSON),
            ("wavrag kb relink", "wavrag kb relink archive/ --kb my-kb")),
        Command("export", "write all passages as JSON lines", export,
            (Option("--out", "FILE.jsonl", "file to write", unset="standard output"),
                Option("--vectors", "FILE.npy", "also write the vectors, one row per passage in the"
                    " same order"),
                KB),
            ("wavrag kb export > passages.jsonl",
                "wavrag kb export --out passages.jsonl --vectors vectors.npy")),
    )},
)  # fmt: skip
