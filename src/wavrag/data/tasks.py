"""Retrieval tasks in the BEIR layout, with audio.

A task is a folder:

    corpus.jsonl     one object per line: `_id`, and any of `title`, `text`, `audio`
    queries.jsonl    the same keys
    qrels/test.tsv   header line, then query id, corpus id and score, separated by tabs

`audio` is a path relative to the folder. `transcript` may hold the words spoken in the recording;
it is never embedded and serves to compute the word error rate. Other keys are ignored. Queries
without a relevant document are skipped, as BEIR does for the queries of other splits. A document
with the id of the query is never a hit, so clips can be both queries and corpus.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

from wavrag.errors import InputError
from wavrag.types import Modality

Judgements: TypeAlias = Mapping[str, float]  # corpus id to relevance score, for one query
Qrels: TypeAlias = Mapping[str, Judgements]  # query id to judgements


@dataclass(frozen=True, slots=True)
class TaskContent:
    """A line of the corpus or of the queries."""

    id: str  # unique in its file
    title: str = ""  # title, embedded with text and audio; empty if there is none
    text: str = ""  # text; empty if there is none
    audio: str | None = None  # absolute path of the recording; None if there is none
    where: str = ""  # file and line, for error messages
    transcript: str = ""  # known transcript of the recording; never embedded

    @property
    def words(self) -> str:
        """The text, or the title if there is no text."""
        return self.text or self.title


@dataclass(frozen=True, slots=True)
class Task:
    """Corpus, queries and relevance judgements.

    Attributes:
        name: name of the folder.
        corpus: documents by id, in the order of the file.
        queries: queries with a relevant document, by id, in the order of the file.
        qrels: judgements of each query, in the same order.
        query_modality: the only modality of queries in use; None for all.
        corpus_modality: the only modality of documents in use; None for all.
    """

    name: str
    corpus: Mapping[str, TaskContent]
    queries: Mapping[str, TaskContent]
    qrels: Qrels
    query_modality: Modality | None = None
    corpus_modality: Modality | None = None


def load_task(
    directory: str | os.PathLike[str],
    *,
    query_modality: Modality | None = None,
    corpus_modality: Modality | None = None,
) -> Task:
    """Read a task and validate all of it, before anything is embedded.

    Args:
        directory: folder of the task.
        query_modality: drop the other modality from every query.
        corpus_modality: drop the other modality from every document.

    Raises:
        InputError: a file is missing or malformed; the message names file and line.

    Example:
        >>> task = load_task("tasks/squad-spoken")  # doctest: +SKIP
        >>> len(task.queries), len(task.corpus)  # doctest: +SKIP
    """
    folder = Path(directory)
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder: name the folder of a task")
    corpus = _read_contents(folder / "corpus.jsonl")
    queries = _read_contents(folder / "queries.jsonl")
    qrels_file = folder / "qrels" / "test.tsv"
    judgements = _read_qrels(qrels_file, queries, corpus)
    qrels = {
        id: judgements[id]
        for id in queries
        if any(score > 0 for score in judgements.get(id, {}).values())
    }
    if not qrels:
        raise InputError(f"{qrels_file}: has no relevant pair: give at least one a score above 0")
    return Task(
        name=folder.resolve().name,
        corpus={id: _restrict(row, corpus_modality, "corpus") for id, row in corpus.items()},
        queries={id: _restrict(queries[id], query_modality, "query") for id in qrels},
        qrels=qrels,
        query_modality=query_modality,
        corpus_modality=corpus_modality,
    )


def _read_lines(path: Path) -> Iterator[tuple[str, str]]:
    """Yield location and text of every line that is not blank."""
    try:
        # Editors on Windows write a byte order mark, which would be part of the first line.
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield f"{path}, line {number}", line.rstrip("\r\n")
    except FileNotFoundError as error:
        raise InputError(
            f"{path}: no such file: a task needs corpus.jsonl, queries.jsonl and qrels/test.tsv"
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8: save it as UTF-8") from error
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}: make it readable") from error


def _read_contents(path: Path) -> dict[str, TaskContent]:
    contents: dict[str, TaskContent] = {}
    for where, line in _read_lines(path):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:  # deep nesting is a RecursionError
            raise InputError(
                f"{where}: is not JSON ({error}): write one object on each line"
            ) from error
        if not isinstance(row, dict):
            raise InputError(f'{where}: is no object: write it like {{"_id": "1", "text": "…"}}')
        content = _parse_content(row, where, path.parent)
        if (twin := contents.get(content.id)) is not None:
            raise InputError(
                f"{where}: _id {content.id!r} was given before ({twin.where}): give each its own"
            )
        contents[content.id] = content
    if not contents:
        raise InputError(f"{path}: is empty: give it at least one line")
    return contents


def _parse_content(row: dict[str, Any], where: str, folder: Path) -> TaskContent:
    keys = ("_id", "title", "text", "audio", "transcript")
    for key in keys:
        value = row.get(key)
        if value is not None and not isinstance(value, str):
            raise InputError(f"{where}: {key} is {value!r}: give a string")
    id, title, text, audio_path, transcript = (row.get(key) or "" for key in keys)
    # Ids are columns of the tab-separated qrels.
    if not id or set(id) & set("\t\r\n"):
        raise InputError(f"{where}: _id is {id!r}: give one without tabs and line breaks")
    audio = os.path.abspath(folder / audio_path) if audio_path else None
    if audio is not None and not os.path.isfile(audio):
        raise InputError(
            f"{where}: audio {audio_path!r} is not there ({audio}): give a path relative to"
            f" {folder}"
        )
    content = TaskContent(id, title.strip(), text.strip(), audio, where, transcript.strip())
    if not content.words and audio is None:
        raise InputError(
            f"{where}: {id!r} has no title, text or audio: give it one, or remove the line and its"
            " qrels"
        )
    return content


def _read_qrels(
    path: Path, queries: Mapping[str, TaskContent], corpus: Mapping[str, TaskContent]
) -> dict[str, dict[str, float]]:
    qrels: dict[str, dict[str, float]] = {}
    lines = _read_lines(path)
    where, header = next(lines, (str(path), ""))
    if len(columns := header.split("\t")) == 3 and _parse_score(columns[2]) is not None:
        raise InputError(f"{where}: is no header: begin with query-id, corpus-id, score")
    for where, line in lines:
        columns = line.split("\t")
        if len(columns) != 3:
            raise InputError(
                f"{where}: has {len(columns)} column(s): give query id, corpus id and score,"
                " separated by tabs"
            )
        query, document, score = columns[0], columns[1], _parse_score(columns[2])
        if query not in queries:
            raise InputError(f"{where}: query {query!r} is not in queries.jsonl: add or drop it")
        if document not in corpus:
            raise InputError(f"{where}: entry {document!r} is not in corpus.jsonl: add or drop it")
        if score is None:
            raise InputError(f"{where}: score {columns[2]!r} is no number: give 1 for relevant")
        if document in qrels.setdefault(query, {}):
            raise InputError(f"{where}: {query!r} and {document!r} were judged before: drop one")
        if query == document and score > 0:
            raise InputError(
                f"{where}: {query!r} would have to find itself, and hits of a query's own id do"
                " not count: give one of the two another _id, or drop the line"
            )
        qrels[query][document] = score
    return qrels


def _parse_score(text: str) -> float | None:
    try:
        score = float(text)
    except ValueError:
        return None
    return score if math.isfinite(score) else None


def _restrict(
    content: TaskContent, modality: Modality | None, collection: Literal["query", "corpus"]
) -> TaskContent:
    """Drop all but one modality of a content; keep both for None."""
    if modality is None:
        return content
    lacks_audio = modality == "audio" and content.audio is None
    if lacks_audio or (modality == "text" and not content.words):
        raise InputError(
            f"{content.where}: {content.id!r} has no {modality}: give it some, or leave out"
            f" --{collection}-modality {modality}"
        )
    if modality == "text":
        return replace(content, audio=None)
    return replace(content, title="", text="")
