"""Parse e-mail: single messages (eml, msg) and mailboxes (mbox)."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from email.utils import parsedate_to_datetime
from typing import IO

from wavrag.errors import DocumentError
from wavrag.text.document import ParsedText, TextBuilder, one_line
from wavrag.text.html import parse_html
from wavrag.text.plain import add_plain, decode

# Of one message with its attachments, which takes five times as much memory; mail servers accept
# 25 to 50 MB.
MAX_MESSAGE_BYTES = 64 << 20
NOTE_NAMES = 5  # of attachments in a note
_FROM = re.compile(rb"From \S.*\d")
_FIELDS = ("From", "To", "Cc", "Date")


def parse_eml(data: bytes, name: str) -> ParsedText:
    """Parse a message: its subject is the title, and its fields are text and metadata.

    Raises:
        DocumentError: it is damaged.
    """
    builder = TextBuilder()
    message = _parse(data)
    for field, key in (("From", "author"), ("To", "to"), ("Date", "date")):
        builder.add_metadata({key: _field(message, field)})
    attachments = add_message(builder, message)
    add_attachment_note(builder, attachments, len(attachments))
    return builder.build(_field(message, "Subject"))


def parse_mbox(file: IO[bytes], name: str) -> Iterator[ParsedText]:
    """Parse a mailbox in pieces: each message is a section under its subject.

    Messages are read one by one, so that memory does not grow with their number.
    """
    builder = TextBuilder()
    names: list[str] = []
    count = 0
    for data in split_mbox(file):
        message = _parse(data)
        builder.add(_field(message, "Subject") or "Without subject", "heading", 2)
        attachments = add_message(builder, message)
        names = (names + attachments)[:NOTE_NAMES]
        count += len(attachments)
        if builder.is_full:
            yield builder.take()
    add_attachment_note(builder, names, count)
    yield builder.take()


def split_mbox(file: IO[bytes]) -> Iterator[bytes]:
    """Yield the messages of a mailbox; a message larger than the limit is cut there."""
    lines: list[bytes] = []
    size, after_empty = 0, True
    for line in iter(lambda: file.readline(1 << 20), b""):
        if after_empty and _FROM.match(line):
            if lines:
                yield b"".join(lines)
            lines, size = [], 0
            continue
        after_empty = not line.strip()
        size += len(line)
        if size <= MAX_MESSAGE_BYTES:
            # `>From` protects lines of the text.
            lines.append(line[1:] if re.match(rb">+From ", line) else line)
    if lines:
        yield b"".join(lines)


def _parse(data: bytes) -> EmailMessage:
    return BytesParser(EmailMessage, policy=policy.default).parse(io.BytesIO(data))


def _field(message: EmailMessage, name: str) -> str:
    """A header field; empty if it is missing or cannot be parsed."""
    try:
        value = one_line(str(message.get(name, "")))
        return parsedate_to_datetime(value).isoformat() if name == "Date" and value else value
    except (ValueError, TypeError, AttributeError, IndexError, KeyError, OverflowError):
        # The parser of the standard library raises all of these for malformed fields.
        return ""


def add_message(builder: TextBuilder, message: EmailMessage) -> list[str]:
    """Append the fields, the text and the names of the attachments, which are returned."""
    fields = [(field, _field(message, field)) for field in _FIELDS]
    builder.add("\n".join(f"{field}: {value}" for field, value in fields if value))
    attachments: list[str] = []
    plain: list[str] = []
    html: list[str] = []
    for part in message.walk():
        if part.is_multipart():
            continue
        filename = part.get_filename()
        kind = part.get_content_type()
        if filename or kind not in ("text/plain", "text/html"):
            attachments.append(one_line(filename or kind))
            continue
        payload = part.get_payload(decode=True)
        words = _decode(payload if isinstance(payload, bytes) else b"", part)
        (plain if kind == "text/plain" else html).append(words)
    if any(words.strip() for words in plain):
        for words in plain:
            add_plain(builder, words, headings=False)
    else:
        for words in html:
            builder.extend(parse_html(words), below=2)
    add_attachments(builder, attachments)
    return attachments


def add_attachments(builder: TextBuilder, names: Sequence[str]) -> None:
    """Append the names of attachments."""
    if names:
        builder.add(f"Attachments: {', '.join(names)}")


def add_attachment_note(builder: TextBuilder, names: Sequence[str], count: int) -> None:
    """Note that attachments are not read, with some of their names."""
    if count:
        more = f" and {count - NOTE_NAMES} more" if count > NOTE_NAMES else ""
        builder.add_note(
            f"attachments are not read, save them beside it: {', '.join(names[:NOTE_NAMES])}{more}"
        )


def _decode(data: bytes, part: EmailMessage) -> str:
    charset = part.get_content_charset("")
    # ASCII and UTF-8 are checked first: senders declare wrong encodings more often than not.
    try:
        return decode(data, "", charset)[0] if data else ""
    except DocumentError:
        return data.decode("latin-1")


_PROPERTIES = {"Subject": "0037", "From": "0C1A", "To": "0E04", "Cc": "0E03", "Body": "1000"}


def parse_msg(data: bytes, name: str) -> ParsedText:
    """Parse a message of Outlook.

    Raises:
        DocumentError: it is damaged.
    """
    import olefile

    builder = TextBuilder()
    try:
        with olefile.OleFileIO(io.BytesIO(data)) as file:
            fields = {field: _property(file, id) for field, id in _PROPERTIES.items()}
            html = _read_stream(file, "__substg1.0_10130102")
            headers = _property(file, "007D")
            folders = sorted(
                {entry[0] for entry in file.listdir() if entry[0].startswith("__attach")}
            )
            files = [
                _property(file, "3707", f"{folder}/") or _property(file, "3704", f"{folder}/")
                for folder in folders
            ]
    except (OSError, ValueError, IndexError, KeyError, AttributeError) as error:
        raise DocumentError(f"is not a readable message ({error}): save it again") from error
    date = _field(_parse(headers.encode("utf-8", "replace")), "Date") if headers else ""
    builder.add_metadata({"author": fields["From"], "to": fields["To"], "date": date})
    lines = {**{field: fields[field] for field in ("From", "To", "Cc")}, "Date": date}
    builder.add("\n".join(f"{field}: {value}" for field, value in lines.items() if value))
    if fields["Body"].strip():
        add_plain(builder, fields["Body"], headings=False)
    elif html:
        builder.extend(parse_html(decode(html, "")[0]), below=2)
    names = list(filter(None, files))
    add_attachments(builder, names)
    add_attachment_note(builder, names, len(names))
    return builder.build(one_line(fields["Subject"]))


def _property(file: object, id: str, folder: str = "") -> str:
    wide = _read_stream(file, f"{folder}__substg1.0_{id}001F")
    if wide:
        return wide.decode("utf-16-le", "replace").rstrip("\0")
    narrow = _read_stream(file, f"{folder}__substg1.0_{id}001E")
    return decode(narrow, "")[0].rstrip("\0") if narrow else ""


def _read_stream(file: object, path: str) -> bytes:
    exists, open_stream = getattr(file, "exists"), getattr(file, "openstream")  # noqa: B009
    return bytes(open_stream(path).read()) if exists(path) else b""
