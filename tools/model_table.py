"""Write docs/models.md: the contracts of known embedding models.

.venv/bin/python tools/model_table.py
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from wavrag.embed.model_specs import MODELS, SPEC_FILE, ModelSpec, write_spec

TARGET = Path(__file__).parent.parent / "docs" / "models.md"
EXAMPLE = "laion/clap-htsat-unfused"
HEAD = """# Embedding models that hear

An embedding model that is loaded with another prompt, pooling or sampling rate than it was
trained with gives vectors, only bad ones; and where a feature extractor cuts long recordings, it
says nothing. So WavRAG loads a model by its contract: a row of this page, which
`tools/model_table.py` writes from `wavrag.embed.model_specs`, or a file beside the weights.

```python
from wavrag.embed.registry import load_embedder

embedder = load_embedder("st:google/embeddinggemma-2")
```

**None of these models has been run here.** What is said of them is taken from public
documentation and public code, mainly from the page that the name links to. The code that loads
models is tested on tiny ones with random weights. What the pages leave open is said below.
"""
ASKED = """
## How each is asked

The vector is the last token's hidden state (`last`), the mean over all tokens (`mean`), or what the
model's own head gives (`own`). A prompt is put before the text (`prefix`), is a system message
(`system`), or begins the user's message (`user`). A suffix ends the item. All compare by cosine.
"""
TAKEN = """
## What each takes

A recording that is longer than the longest is refused, never cut: cut it into windows with
`wavrag.audio.windows`. Where there are chunks, a recording that is longer than one goes in as
several, in one input. A text of more tokens is embedded in pieces.
"""
WATCH = """
## What to watch out for
"""
OWN = f"""
## Another model

A model that is not in the table needs its contract in a file `{SPEC_FILE}` in its folder;
training writes one. Its keys are exactly these, and an unknown or missing one is an error. Then
`load_embedder("st:FOLDER")` loads it. A folder with a copy of a model of the table needs no file:
`load_embedder("st:FOLDER#ORG/NAME")`.

"""


def table(head: str, rows: Iterable[tuple[str, ...]]) -> str:
    """A Markdown table; `head` has its column names between bars."""
    lines = [f"| {head} |", "|---" * (head.count("|") + 1) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def link(spec: ModelSpec) -> str:
    """The model's name, leading to the page that states its contract."""
    return f"[{spec.name}]({spec.source})"


def code(text: str) -> str:
    """Text as code in a cell, with what a reader could not see spelled out; a dash for none."""
    return f"`{json.dumps(text)[1:-1]}`".replace("|", r"\|") if text else "-"


def suffix(spec: ModelSpec) -> str:
    """What ends an item, by what is in it."""
    ends = {"text": spec.text_suffix, "sound": spec.audio_suffix}
    return ", ".join(f"{kind} {code(text)}" for kind, text in ends.items() if text) or "-"


def languages(spec: ModelSpec) -> str:
    """A few by their codes, many by their number."""
    if spec.languages == ("mul",):
        return "many"
    return ", ".join(spec.languages) if len(spec.languages) < 6 else f"{len(spec.languages)}"


def asked(spec: ModelSpec) -> tuple[str, ...]:
    """A row of the first table."""
    vectors = f"{spec.dim}" if spec.vectors == "one" else f"{spec.dim}, one a token"
    role = spec.prompt_role if spec.query_prompt or spec.passage_prompt else "-"
    prompts = code(spec.query_prompt), code(spec.passage_prompt)
    return link(spec), vectors, spec.pooling, *prompts, role, suffix(spec)


def taken(spec: ModelSpec) -> tuple[str, ...]:
    """A row of the second table."""
    return (
        spec.name,
        f"{spec.sampling_rate:,} Hz",
        f"{spec.max_audio_seconds:g} s",
        "-" if spec.chunk_seconds is None else f"{spec.chunk_seconds:g} s",
        f"{spec.max_text_tokens:,}",
        languages(spec),
        spec.dtype,
        spec.licence,
        "**yes**" if spec.trust_remote_code else "no",
    )


def notes() -> str:
    """The notes, each once, under the models that share it."""
    shared: dict[str, list[str]] = {}
    for spec in MODELS.values():
        shared.setdefault(spec.note, []).append(f"**{spec.name}**")
    return "\n".join(f"- {', '.join(names)}. {note}" for note, names in shared.items()) + "\n"


def example() -> str:
    """A contract as it stands in a file."""
    with TemporaryDirectory() as folder:
        write_spec(MODELS[EXAMPLE], folder)
        return f"```json\n{(Path(folder) / SPEC_FILE).read_text(encoding='utf-8')}```\n"


def page() -> str:
    """The text of docs/models.md."""
    first = "model | dimensions | vector | query prompt | passage prompt | prompt goes | suffix"
    second = (
        "model | hears | longest recording | chunks | text tokens | languages | weights | licence"
        " | runs its own code"
    )
    return "".join(
        [
            *(HEAD, ASKED, "\n", table(first, map(asked, MODELS.values()))),
            *(TAKEN, "\n", table(second, map(taken, MODELS.values()))),
            *(WATCH, "\n", notes(), OWN, example()),
        ]
    )


if __name__ == "__main__":
    TARGET.write_text(page(), encoding="utf-8")
