"""Messages of the process that parses documents: JSON, of which every field is checked.

A hostile document may have taken the process over, so nothing is unpickled or taken on trust.
"""

from __future__ import annotations

import json
import math
from typing import Any, get_args

from wavrag.text.document import Block, BlockKind, ParsedText

LENGTH_BYTES = 8  # before each message


def encode_message(kind: str, content: Any) -> bytes:
    """A message with its length."""
    data = json.dumps([kind, content], separators=(",", ":")).encode()
    return len(data).to_bytes(LENGTH_BYTES, "big") + data


def encode_piece(parsed: ParsedText) -> dict[str, Any]:
    """A piece as JSON."""
    blocks = [[b.start, b.end, b.kind, b.level, b.page, b.times, b.speaker] for b in parsed.blocks]
    return {
        "title": parsed.title, "text": parsed.text, "blocks": blocks, "metadata": parsed.metadata,
        "offset": parsed.offset,
    }  # fmt: skip


def decode_message(data: bytes) -> tuple[str, Any, bool]:
    """The kind and the content of a message, and whether the process waits for a request then.

    Args:
        data: the message without its length.

    Raises:
        ValueError: it is none that `encode_message` could have made for a document.
    """
    match json.loads(data):
        case ["alive", None]:
            return "alive", None, False
        case ["piece", fields]:
            return "piece", _decode_piece(fields), False
        case ["end", {"content": [*notes], "is_last": bool(is_last)}] if _are_strings(notes):
            return "end", notes, not is_last
        case ["error", {"content": str(reason), "is_last": bool(is_last)}]:
            return "error", reason, not is_last
    raise ValueError("a message of an unknown form")


def _decode_piece(fields: Any) -> ParsedText:
    """The inverse of `encode_piece`."""
    match fields:
        case {
            "title": str(title), "text": str(text), "blocks": [*rows], "metadata": metadata,
            "offset": offset,
        } if len(fields) == 5 and _is_count(offset) and _is_metadata(metadata):  # fmt: skip
            blocks = tuple(_decode_block(row, offset + len(text)) for row in rows)
            return ParsedText(title, text, blocks, metadata, offset=offset)
    raise ValueError("a piece of an unknown form")


def _decode_block(fields: Any, text_end: int) -> Block:
    match fields:
        case [start, end, kind, level, page, times, str() | None as speaker] if (
            all(map(_is_count, (start, end, level)))
            and start <= end <= text_end
            and kind in get_args(BlockKind)
            and (page is None or _is_count(page))
        ):
            return Block(start, end, kind, level, page, _decode_times(times), speaker)
    raise ValueError("a block of an unknown form")


def _decode_times(times: Any) -> tuple[float, float] | None:
    match times:
        case None:
            return None
        case [float() | int() as start, float() | int() as end] if math.isfinite(start + end):
            return start, end
    raise ValueError("times of an unknown form")


def _are_strings(values: list[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_metadata(values: Any) -> bool:
    return isinstance(values, dict) and all(
        isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))
        for value in values.values()
    )
