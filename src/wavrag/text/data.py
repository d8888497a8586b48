"""Parse JSON, JSON Lines and Jupyter notebooks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, TextIO

from wavrag.errors import DocumentError
from wavrag.text.captions import parse_transcript
from wavrag.text.document import PIECE_CHARS, ParsedText, TextBuilder, shorten
from wavrag.text.markdown import parse_markdown

MAX_DEPTH = 6  # of headings and keys; deeper values are left out
LONG_VALUE = 200  # characters of a value that becomes a paragraph of its own
LINE_CHARS = 1 << 26  # of a record in JSON Lines
OUTPUT_CHARS = 5_000  # of the output of a cell
MAX_KEY_CHARS = 100  # longer keys are cut, because each value below repeats them
_TITLES = ("title", "name", "subject")


def parse_json(text: str) -> ParsedText:
    """Parse JSON: keys become headings or labels, and each record of a list becomes a line.

    Transcripts of Whisper and its relatives become passages with times.

    Raises:
        DocumentError: it is not JSON.
    """
    data = _load(text)
    transcript = parse_transcript(data)
    if transcript is not None:
        return transcript
    builder = TextBuilder()
    _add_value(builder, data, 1)
    title = ""
    if isinstance(data, dict):
        title = next((data[key] for key in _TITLES if isinstance(data.get(key), str)), "")
    return builder.build(title)


def parse_jsonl(file: TextIO) -> Iterator[ParsedText]:
    """Parse JSON Lines: a line for each record, in pieces.

    Raises:
        DocumentError: a line is not JSON.
    """
    numbered = enumerate(iter(lambda: file.readline(LINE_CHARS), ""), 1)
    lines = ((number, line) for number, line in numbered if line.strip())
    records = _take_records(lines)
    if parse_transcript(records) is not None:
        # Its cues are merged across records; a day of speech is a few MB.
        records += [_load(line, number) for number, line in lines]
        if (transcript := parse_transcript(records)) is not None:
            yield transcript
            return
    builder = TextBuilder()
    while records:
        _add_value(builder, records, 1)
        yield builder.take()
        records = _take_records(lines)


def _take_records(lines: Iterator[tuple[int, str]]) -> list[Any]:
    """The next records, as many as fit into a piece."""
    records: list[Any] = []
    chars = 0
    while chars < PIECE_CHARS and (entry := next(lines, None)) is not None:
        number, line = entry
        records.append(_load(line, number))
        chars += len(line)
    return records


def parse_notebook(text: str) -> ParsedText:
    """Parse the cells of a Jupyter notebook, and the text of their output.

    Raises:
        DocumentError: it is not a notebook.
    """
    data = _load(text)
    cells = data.get("cells") if isinstance(data, dict) else None
    if not isinstance(cells, list):
        raise DocumentError("is not a notebook of version 4: save it again with Jupyter")
    builder = TextBuilder()
    for cell in filter(lambda cell: isinstance(cell, dict), cells):
        source = _join(cell.get("source"))
        match cell.get("cell_type"):
            case "markdown":
                builder.extend(parse_markdown(source))
            case "code":
                builder.add(source, "code")
                for output in cell.get("outputs") or ():
                    if isinstance(output, dict):
                        builder.add(_output(output)[:OUTPUT_CHARS], "code")
            case _:
                builder.add(source)
    return builder.build("")


def _load(text: str, line: int = 0) -> Any:
    try:
        return json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError) as error:
        location = f"line {line}: " if line else ""
        raise DocumentError(f"is not readable JSON ({location}{error}): correct it") from error


def _join(source: Any) -> str:
    lines = source if isinstance(source, list) else [source or ""]
    return "".join(line for line in lines if isinstance(line, str))


def _output(output: Mapping[str, Any]) -> str:
    data = output.get("data")
    return _join(output.get("text") or (data.get("text/plain") if isinstance(data, dict) else ""))


def _add_value(builder: TextBuilder, value: Any, level: int) -> None:
    if isinstance(value, list):
        builder.add("\n".join(" | ".join(_labelled(entry)) for entry in value), "table")
    elif isinstance(value, dict):
        short = {key: v for key, v in value.items() if not _is_long(v)}
        builder.add("\n".join(line for line in _labelled(short)), "table")
        for key, nested in value.items():
            if key not in short and level <= MAX_DEPTH:
                builder.add(str(key), "heading", level)
                _add_value(builder, nested, level + 1)
    elif value is not None:
        builder.add(str(value))


def _is_long(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) > LONG_VALUE
    return isinstance(value, dict) or (
        isinstance(value, list) and any(isinstance(entry, dict | list) for entry in value)
    )


def _labelled(value: Any, label: str = "", depth: int = 0) -> Iterator[str]:
    """Yield `key: value` for each leaf, with the keys of nested objects joined by spaces."""
    start = f"{label}: " if label else ""
    if depth > MAX_DEPTH or value is None:
        return
    if isinstance(value, dict):
        for key, nested in value.items():
            yield from _labelled(
                nested, f"{label} {shorten(str(key), MAX_KEY_CHARS)}".strip(), depth + 1
            )
    elif isinstance(value, list):
        if any(isinstance(entry, dict | list) for entry in value):
            for entry in value:
                yield from _labelled(entry, label, depth + 1)
        elif value:
            yield start + ", ".join(str(entry) for entry in value if entry is not None)
    else:
        yield start + " ".join(str(value).split())
