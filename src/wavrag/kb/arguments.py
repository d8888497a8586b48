"""Check arguments of the public API: a wrong type is an `InputError`, never an `AttributeError`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

from wavrag.errors import InputError
from wavrag.types import Clip, Document, Query


def check_query(query: Any) -> Query:
    """Return a query as it is, and a string as a query of this text.

    Raises:
        InputError: it is of another type, or one of its fields is.
    """
    if isinstance(query, str):
        return Query(text=query)
    if not isinstance(query, Query):
        raise InputError(f"a query is a string or a Query, not {_kind(query)}")
    if query.text is not None and not isinstance(query.text, str):
        raise InputError(f"Query.text is {_kind(query.text)}: give a string or None")
    if query.clip is not None and not isinstance(query.clip, Clip):
        raise InputError(
            f"Query.clip is {_kind(query.clip)}: give a Clip, such as wavrag.audio.load(PATH)"
        )
    if query.where is not None and not isinstance(query.where, str):
        raise InputError(f'the filter is {_kind(query.where)}: give a string like "year >= 2020"')
    return query


def check_count(k: Any) -> int:
    """Return a number of hits as an int; numpy's integers pass.

    Raises:
        InputError: it is not a whole number from 1.
    """
    # A bool has an index too, but `k=True` is a mistake.
    if isinstance(k, bool) or not hasattr(k, "__index__"):
        raise InputError(f"k is {_kind(k)}: give a whole number from 1")
    count = int(k)
    if count < 1:
        raise InputError(f"k is {count}: give a whole number from 1")
    return count


def check_documents(documents: Any) -> list[Document]:
    """Return documents as a list.

    Raises:
        InputError: it is no iterable of documents, or one of them has an id that is no string.
    """
    if isinstance(documents, str | bytes | Document) or not isinstance(documents, Iterable):
        raise InputError(f"documents are {_kind(documents)}: give a list of Document")
    result = list(documents)
    for document in result:
        if not isinstance(document, Document):
            raise InputError(
                f"a document is {_kind(document)}: give a Document; `find_files` makes them of"
                " paths, and `WavRAG.add` takes both"
            )
        if not isinstance(document.id, str):
            raise InputError(f"Document.id is {_kind(document.id)}: give a string")
    return result


def check_ids(document_ids: Any) -> Sequence[str]:
    """Return ids as a list.

    Raises:
        InputError: it is a string, whose letters would be taken for ids, or an id is no string.
    """
    if isinstance(document_ids, str | bytes) or not isinstance(document_ids, Iterable):
        raise InputError(f"document ids are {_kind(document_ids)}: give a list of strings")
    return [check_id(document_id) for document_id in document_ids]


def check_id(document_id: Any) -> str:
    """Return the id of a document as it is.

    Raises:
        InputError: it is no string.
    """
    if not isinstance(document_id, str):
        raise InputError(f"a document id is {_kind(document_id)}: give a string")
    return document_id


def check_paths(paths: Any) -> Sequence[str | os.PathLike[str]]:
    """Return paths as a list.

    Raises:
        InputError: it is a single path, whose letters would be taken for paths, or a path is
            neither a string nor a `Path`.
    """
    if isinstance(paths, str | bytes) or not isinstance(paths, Iterable):
        raise InputError(f"paths are {_kind(paths)}: give a list of paths")
    result = list(paths)
    for path in result:
        if not isinstance(path, str | os.PathLike):
            raise InputError(f"a path is {_kind(path)}: give a string or a Path")
    return result


def _kind(value: object) -> str:
    return "None" if value is None else f"of type {type(value).__name__}"
