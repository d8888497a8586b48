"""Retrieval tasks in the BEIR layout, with sound.

A task is a folder:

    corpus.jsonl     a line an entry: `_id`, and any of `title`, `text`, `audio`
    queries.jsonl    a line a query: the same keys
    qrels/test.tsv   a header line, then query id, corpus id and score, separated by tabs

`audio` is a path relative to the folder. `transcript` may hold the words spoken in the recording;
it is never embedded and serves to compute the word error rate. Other keys are ignored. Queries
without a relevant corpus entry are skipped, as BEIR does for the queries of other splits. A corpus
entry with the id of the query is never a hit, so clips can be both queries and corpus.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from wavrag.errors import InputError
from wavrag.types import Modality

Judgements: TypeAlias = Mapping[str, float]  # of one query: corpus id to how relevant it is
Qrels: TypeAlias = Mapping[str, Judgements]  # of each query id


@dataclass(frozen=True, slots=True)
class TaskContent:
    """A line of the corpus or of the queries.

    Attributes:
        id: unique in its file.
        title: embedded along with text and sound; empty if there is none.
        text: its words; empty if there are none.
        audio: path of its recording; None if there is none.
        where: file and line, for messages.
        said: the words that are spoken in its recording, where they are known; never embedded.
    """

    id: str
    title: str = ""
    text: str = ""
    audio: str | None = None
    where: str = ""
    transcript: str = ""

    @property
    def words(self) -> str:
        """Its text, or its title where that is all it has in words."""
        return self.text or self.title


@dataclass(frozen=True, slots=True)
class Task:
    """What is searched, for what, and what should be found.

    Attributes:
        name: name of its folder.
        corpus: entries by id, in the order of the file.
        queries: those with a relevant entry, by id, in the order of the file.
        qrels: judgements of each of these queries, in the same order.
        query_modality: the part of queries that is used; None for all that there is.
        corpus_modality: the part of entries that is used; None for all that there is.
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
    """Read a task and check all of it, before anything is embedded.

    Args:
        directory: its folder.
        query_modality: use only this part of every query.
        corpus_modality: use only this part of every entry.

    Raises:
        InputError: a file is missing or malformed; the message names file and line.
    """
    folder = Path(directory)
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder: name the folder of a task")
    corpus = _entries(folder / "corpus.jsonl")
    queries = _entries(folder / "queries.jsonl")
    qrels_file = folder / "qrels" / "test.tsv"
    judged = _qrels(qrels_file, queries, corpus)
    qrels = {
        id: judged[id] for id in queries if any(score > 0 for score in judged.get(id, {}).values())
    }
    if not qrels:
        raise InputError(f"{qrels_file}: has no relevant pair: give at least one a score above 0")
    used = {id: _restricted(queries[id], query_modality, "query") for id in qrels}
    return Task(
        name=folder.resolve().name,
        corpus={id: _restricted(e, corpus_modality, "corpus") for id, e in corpus.items()},
        queries=used,
        qrels=qrels,
        query_modality=query_modality,
        corpus_modality=corpus_modality,
    )


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """Place and text of every line that is not empty."""
    try:
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


def _entries(path: Path) -> dict[str, TaskContent]:
    entries: dict[str, TaskContent] = {}
    for where, line in _lines(path):
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(
                f"{where}: is not JSON ({error}): write one object on each line"
            ) from error
        if not isinstance(fields, dict):
            raise InputError(f'{where}: is no object: write it like {{"_id": "1", "text": "…"}}')
        entry = _entry(fields, where, path.parent)
        if (twin := entries.get(entry.id)) is not None:
            raise InputError(
                f"{where}: _id {entry.id!r} was given before ({twin.where}): give each its own"
            )
        entries[entry.id] = entry
    if not entries:
        raise InputError(f"{path}: is empty: give it at least one line")
    return entries


def _entry(fields: dict[str, Any], where: str, folder: Path) -> TaskContent:
    for key in ("_id", "title", "text", "audio", "transcript"):
        value = fields.get(key)
        if value is not None and not isinstance(value, str):
            raise InputError(f"{where}: {key} is {value!r}: give a string")
    id, title, text, transcript = (
        fields.get(key) or "" for key in ("_id", "title", "text", "transcript")
    )
    if not id or set(id) & set("\t\r\n"):
        raise InputError(f"{where}: _id is {id!r}: give one without tabs and line breaks")
    audio = None
    if given := fields.get("audio"):
        audio = os.path.abspath(folder / given)
        if not os.path.isfile(audio):
            raise InputError(
                f"{where}: audio {given!r} is not there ({audio}): give a path relative to {folder}"
            )
    entry = TaskContent(id, title.strip(), text.strip(), audio, where, transcript.strip())
    if not entry.words and audio is None:
        raise InputError(
            f"{where}: {id!r} has no title, text or audio: give it one, or remove the line and its"
            " qrels"
        )
    return entry


def _qrels(
    path: Path, queries: Mapping[str, TaskContent], corpus: Mapping[str, TaskContent]
) -> dict[str, dict[str, float]]:
    qrels: dict[str, dict[str, float]] = {}
    lines = _lines(path)
    where, header = next(lines, (str(path), ""))
    if len(columns := header.split("\t")) == 3 and _score(columns[2]) is not None:
        raise InputError(f"{where}: is no header: begin with query-id, corpus-id, score")
    for where, line in lines:
        columns = line.split("\t")
        if len(columns) != 3:
            raise InputError(
                f"{where}: has {len(columns)} column(s): give query id, corpus id and score,"
                " separated by tabs"
            )
        query, entry, score = columns[0], columns[1], _score(columns[2])
        if query not in queries:
            raise InputError(f"{where}: query {query!r} is not in queries.jsonl: add or drop it")
        if entry not in corpus:
            raise InputError(f"{where}: entry {entry!r} is not in corpus.jsonl: add or drop it")
        if score is None:
            raise InputError(f"{where}: score {columns[2]!r} is no number: give 1 for relevant")
        if entry in qrels.setdefault(query, {}):
            raise InputError(f"{where}: {query!r} and {entry!r} were judged before: drop one")
        if query == entry and score > 0:
            raise InputError(
                f"{where}: {query!r} would have to find itself, and hits of a query's own id do"
                " not count: give one of the two another _id, or drop the line"
            )
        qrels[query][entry] = score
    return qrels


def _score(text: str) -> float | None:
    try:
        score = float(text)
    except ValueError:
        return None
    return score if math.isfinite(score) else None


def _restricted(entry: TaskContent, modality: Modality | None, side: str) -> TaskContent:
    """The entry with only the part that is asked for."""
    if modality is None:
        return entry
    if (modality == "audio" and entry.audio is None) or (modality == "text" and not entry.words):
        raise InputError(
            f"{entry.where}: {entry.id!r} has no {modality}: give it some, or leave out"
            f" --{side}-modality {modality}"
        )
    if modality == "text":
        return replace(entry, audio=None)
    return replace(entry, title="", text="")
