"""Check arguments of the public API: a wrong type is an `InputError`, never an `AttributeError`."""

from __future__ import annotations

import operator
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from types import UnionType
from typing import Any, get_args

from wavrag.errors import InputError
from wavrag.types import Channels, Clip, Document, Query


def check_type(value: Any, expected: type | UnionType, name: str) -> None:
    """Check the type of an argument.

    Args:
        value: the argument.
        expected: a class, or several with `|`.
        name: the argument in the message.

    Raises:
        InputError: the value has another type.
    """
    if not isinstance(value, expected):
        classes = get_args(expected) or (expected,)
        names = ["None" if kind is type(None) else kind.__name__ for kind in classes]
        raise InputError(f"{name} is {describe_type(value)}: give {' or '.join(names)}")


def check_query(query: Any) -> Query:
    """Return a query as it is, and a string as a query of this text.

    Raises:
        InputError: it is of another type, or one of its fields is.
    """
    if isinstance(query, str):
        return Query(text=query)
    check_type(query, str | Query, "the query")
    check_type(query.text, str | None, "Query.text")
    check_type(query.where, str | None, "the filter")
    check_type(query.clip, Clip | None, "Query.clip")
    if query.clip is not None:
        _check_clip(query.clip)
    checked: Query = query
    return checked


def check_count(k: Any) -> int:
    """Return a number of hits as an int; numpy's integers pass.

    Raises:
        InputError: it is not a whole number from 1.
    """
    # A bool has an index too, but `k=True` is a mistake.
    count = None
    if not isinstance(k, bool):
        with suppress(TypeError):  # of an array, which has the method too
            count = operator.index(k)
    if count is None:
        raise InputError(f"k is {describe_type(k)}: give a whole number from 1")
    if count < 1:
        raise InputError(f"k is {count}: give a whole number from 1")
    return count


def check_documents(documents: Any) -> list[Document]:
    """Return documents as a list.

    Raises:
        InputError: it is no iterable of documents, or a field of one has a wrong type.
    """
    if isinstance(documents, str | bytes | Document) or not isinstance(documents, Iterable):
        raise InputError(f"documents are {describe_type(documents)}: give a list of Document")
    result = list(documents)
    for document in result:
        if not isinstance(document, Document):
            raise InputError(
                f"a document is {describe_type(document)}: give a Document; `find_files` makes them"
                " of paths, and `WavRAG.add` takes both"
            )
        _check_fields(document)
    return result


def _check_fields(document: Document) -> None:
    check_type(document.id, str, "Document.id")
    if not document.id:
        raise InputError("Document.id is empty: give each document an id")
    name = f"of the document {document.id!r}"
    check_type(document.text, str | None, f"the text {name}")
    check_type(document.path, str | os.PathLike | None, f"the path {name}")
    check_type(document.clip, Clip | None, f"the clip {name}")
    check_type(document.title, str, f"the title {name}")
    check_type(document.metadata, Mapping, f"the metadata {name}")
    if document.channels not in (values := get_args(Channels)):
        raise InputError(
            f"the channels {name} are {document.channels!r}: choose {', '.join(values)}"
        )


def _check_clip(clip: Clip) -> None:
    shape = getattr(clip.samples, "shape", None)
    if shape is None or len(shape) != 1:
        state = describe_type(clip.samples) if shape is None else f"of shape {shape}"
        raise InputError(f"Clip.samples are {state}: give float32 samples, shape = (n_samples,)")
    if isinstance(clip.sample_rate, bool) or not hasattr(clip.sample_rate, "__index__"):
        raise InputError(
            f"Clip.sample_rate is {describe_type(clip.sample_rate)}: give Hz, such as 16000"
        )


def check_ids(document_ids: Any) -> Sequence[str]:
    """Return ids as a list.

    Raises:
        InputError: it is a string, whose letters would be taken for ids, or an id is no string.
    """
    if isinstance(document_ids, str | bytes) or not isinstance(document_ids, Iterable):
        raise InputError(f"document ids are {describe_type(document_ids)}: give a list of strings")
    return [check_id(document_id) for document_id in document_ids]


def check_id(document_id: Any) -> str:
    """Return the id of a document as it is.

    Raises:
        InputError: it is no string.
    """
    check_type(document_id, str, "a document id")
    checked: str = document_id
    return checked


def check_paths(paths: Any) -> Sequence[str | os.PathLike[str]]:
    """Return paths as a list.

    Raises:
        InputError: it is a single path, whose letters would be taken for paths, or a path is
            neither a string nor a `Path`.
    """
    if isinstance(paths, str | bytes) or not isinstance(paths, Iterable):
        raise InputError(f"paths are {describe_type(paths)}: give a list of paths")
    result = list(paths)
    for path in result:
        if not isinstance(path, str | os.PathLike):
            raise InputError(f"a path is {describe_type(path)}: give a string or a Path")
    return result


def describe_type(value: object) -> str:
    """The type of an argument, for the message of an error."""
    return "None" if value is None else f"of type {type(value).__name__}"
