"""Write docs/live-protocol.md: the messages of `/v1/live`, from their AsyncAPI description.

.venv/bin/python tools/live_protocol.py
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from wavrag.server.live_protocol import describe_protocol

TARGET = Path(__file__).parent.parent / "docs" / "live-protocol.md"
HEAD = """# The protocol of `/v1/live`

`tools/live_protocol.py` generates this page from the AsyncAPI 3.0 description, which the server has
at `/asyncapi.json`.

A WebSocket at `/v1/live` serves one speaker, turn after turn ([Live voice turns](live.md)):

1. The client connects and sends `LiveStart`, a JSON object.
2. The server sends `ready`.
3. The client sends audio as binary messages, and `LiveControl` as JSON, in any order.
4. The server sends events. Each `turn_ended` is followed by exactly one `hits`, or by `failed`.
5. After `finish` the server completes the last turn and closes the connection with code 1000. If a
   message is not valid, it sends `error` and closes with 1007; without a valid token, or after 10 s
   without any message while a turn is open, with 1008; with too many connections, with 1013.

In Python, `wavrag.client.LiveClient` is a client:

<!-- needs: a service; tests/test_server_docs.py runs this block against one -->
```python
import asyncio

from wavrag.audio import load
from wavrag.client import LiveClient
from wavrag.demo import DATA

clip = load(DATA / "questions" / "spare-key.opus")  # stands in for a microphone


async def ask() -> None:
    async with LiveClient("http://127.0.0.1:8321", mode="push-to-talk") as live:
        await live.begin()
        await live.push(clip.samples)
        await live.end()
        await live.finish()
        async for event in live:
            if event["event"] == "answer":
                print(event["answer"]["answer"])


asyncio.run(ask())
```

For web pages there is [`live-client.js`](../src/wavrag/server/static/live-client.js), which the
page of the server uses.
"""


def type_name(schema: dict[str, Any]) -> str:
    """A short name of a JSON type."""
    if "$ref" in schema:
        return f"`{schema['$ref'].rpartition('/')[2]}`"
    if "const" in schema:
        return f'`"{schema["const"]}"`'
    if "enum" in schema:
        return ", ".join(f'`"{value}"`' for value in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(type_name(option) for option in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {type_name(schema.get('items', {}))}"
    if schema.get("type") == "object":
        return "object"
    return str(schema.get("type", "any"))


def render_fields(schema: dict[str, Any]) -> list[str]:
    """A table of the fields of a JSON object."""
    lines = ["| field | type | meaning |", "|---|---|---|"]
    for name, field in schema["properties"].items():
        default = field.get("default")
        default = "" if default is None else f" (default: `{json.dumps(default)}`)"
        meaning = f"{field.get('description', '')}{default}".replace("|", "\\|")
        lines.append(f"| `{name}` | {type_name(field)} | {meaning} |")
    return lines


def render_page() -> str:
    """The text of docs/live-protocol.md."""
    description = describe_protocol()
    messages, schemas = (description["components"][name] for name in ("messages", "schemas"))
    lines = [HEAD]
    for title, operation in (("From the client", "speak"), ("From the server", "report")):
        lines += [f"## {title}", ""]
        for reference in description["operations"][operation]["messages"]:
            name = reference["$ref"].rpartition("/")[2]
            payload = messages[name]["payload"].get("$ref", "").rpartition("/")[2]
            event = schemas.get(payload, {}).get("properties", {}).get("event", {}).get("const")
            lines += [f"### {f'`{event}`' if event else name}", "", messages[name]["summary"], ""]
            if payload:
                lines += [*render_fields(schemas[payload]), ""]
    lines += ["## Objects in messages", ""]
    shown = {message["payload"].get("$ref", "").rpartition("/")[2] for message in messages.values()}
    for name, schema in schemas.items():
        if name not in shown:
            summary = schema.get("description", "").partition("\n\n")[0].replace("\n", " ")
            lines += [f"### {name}", "", summary, "", *render_fields(schema), ""]
    return "\n".join(lines).rstrip() + "\n"


def main() -> None:
    """Write the page."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    TARGET.write_text(render_page(), encoding="utf-8")


if __name__ == "__main__":
    main()
