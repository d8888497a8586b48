"""Write docs/models.md, the specs of known embedding models.

python tools/model_table.py
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from wavrag.embed.model_specs import MODELS, SPEC_FILE, ModelSpec, write_spec
from wavrag.embed.transformers_recogniser import KNOWN_RECOGNISERS

TARGET = Path(__file__).parent.parent / "docs" / "models.md"
EXAMPLE = "laion/clap-htsat-unfused"
HEAD = """# Choose a model

With another prompt, pooling or sample rate than in training, an embedding model still returns
vectors, but bad ones, and many feature extractors silently truncate long recordings. So WavRAG
loads every model by a spec: a row of this page, or a file beside the weights.
`tools/model_table.py` writes this page from `wavrag.embed.model_specs`.

```python
from wavrag import load_embedder

embedder = load_embedder("st:google/embeddinggemma-2")
```

**None of these models has been run for this project.** The specs come from public documentation
and source code, mainly the linked pages; the notes below name the facts that are not published.
The loading code is tested on tiny models with random weights.
"""
PROMPTS = """
## Prompts and pooling

The vector is the hidden state of the last token (`last`) or of the first (`cls`), the mean over all
tokens (`mean`), or the output of the model's own head (`own`). A prompt is a prefix of the text
(`prefix`), a system message (`system`), or the start of the user message (`user`). A suffix ends
the input. Similarity is cosine for all models.
"""
LIMITS = """
## Input limits

Recordings beyond the maximum length are rejected, never truncated: cut them with
`wavrag.audio.windows`. With a chunk length, a longer recording is passed in chunks, all in one
input. Longer texts are split, and their vector is the mean over the splits.
"""
NOTES = """
## Notes
"""
RECOGNISERS = """
## Recognisers

`transformers:ORG/NAME` loads a speech recognition model of transformers as the recogniser of a
cascade, for example `cascade:asr=transformers:nvidia/parakeet-tdt-0.6b-v3`. A local copy is
`transformers:FOLDER#ORG/NAME`. Other models work too; state their language (`@LANGUAGE`), or it
counts as unknown. **None of these models has been run for this project.**

"""
OTHER = f"""
## Other models

A model outside the table needs its spec in a file `{SPEC_FILE}` in its folder; training writes this
file. It has exactly the following keys; an unknown or missing key is an error. Then
`load_embedder("st:FOLDER")` loads the model. A local copy of a model in the table needs no file:
use `load_embedder("st:FOLDER#ORG/NAME")`.

"""


def table(head: str, rows: Iterable[tuple[str, ...]]) -> str:
    """Return a Markdown table; `head` contains the column names, separated by bars."""
    lines = [f"| {head} |", "|---" * (head.count("|") + 1) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def link(spec: ModelSpec) -> str:
    """Return the name of a model, linked to the source of its spec."""
    return f"[{spec.name}]({spec.source})"


def code(text: str) -> str:
    """Format text as code in a table cell, with escapes for line breaks; a dash for no text."""
    return f"`{json.dumps(text)[1:-1]}`".replace("|", r"\|") if text else "-"


def suffix(spec: ModelSpec) -> str:
    """Return the suffixes of text and audio inputs."""
    suffixes = {"text": spec.text_suffix, "audio": spec.audio_suffix}
    return ", ".join(f"{kind} {code(text)}" for kind, text in suffixes.items() if text) or "-"


def languages(spec: ModelSpec) -> str:
    """Return the language codes, or the number of languages if there are many."""
    if spec.languages == ("mul",):
        return "many"
    return ", ".join(spec.languages) if len(spec.languages) < 6 else f"{len(spec.languages)}"


def prompt_row(spec: ModelSpec) -> tuple[str, ...]:
    """Return a row of the table of prompts."""
    vectors = f"{spec.dim}" if spec.vectors == "one" else f"{spec.dim} per token"
    role = spec.prompt_role if spec.query_prompt or spec.passage_prompt else "-"
    prompts = code(spec.query_prompt), code(spec.passage_prompt)
    return link(spec), vectors, spec.pooling, *prompts, role, suffix(spec)


def limit_row(spec: ModelSpec) -> tuple[str, ...]:
    """Return a row of the table of input limits."""
    return (
        spec.name,
        f"{spec.sampling_rate:,} Hz" if "audio" in spec.modalities else "text only",
        f"{spec.max_audio_seconds:g} s" if "audio" in spec.modalities else "-",
        "-" if spec.chunk_seconds is None else f"{spec.chunk_seconds:g} s",
        f"{spec.max_text_tokens:,}",
        languages(spec),
        spec.dtype,
        spec.licence,
        "**yes**" if spec.trust_remote_code else "no",
    )


def recogniser_rows() -> Iterable[tuple[str, ...]]:
    """Return the rows of the table of recognisers."""
    for name, facts in KNOWN_RECOGNISERS.items():
        codes = "many" if facts.languages == ("mul",) else ", ".join(facts.languages)
        link = f"[{name}](https://huggingface.co/{name})"
        yield link, codes, facts.licence, facts.note


def notes() -> str:
    """Return all notes; models with the same note share it."""
    shared: dict[str, list[str]] = {}
    for spec in MODELS.values():
        shared.setdefault(spec.note, []).append(f"**{spec.name}**")
    return "\n".join(f"- {', '.join(names)}. {note}" for note, names in shared.items()) + "\n"


def example() -> str:
    """Return a spec file."""
    with TemporaryDirectory() as folder:
        write_spec(MODELS[EXAMPLE], folder)
        return f"```json\n{(Path(folder) / SPEC_FILE).read_text(encoding='utf-8')}```\n"


def page() -> str:
    """Return the text of docs/models.md."""
    prompt_columns = (
        "model | dimensions | pooling | query prompt | passage prompt | position | suffix"
    )
    limit_columns = (
        "model | sample rate | longest recording | chunks | text tokens | languages | weights"
        " | licence | remote code"
    )
    return "".join(
        [
            *(HEAD, PROMPTS, "\n", table(prompt_columns, map(prompt_row, MODELS.values()))),
            *(LIMITS, "\n", table(limit_columns, map(limit_row, MODELS.values()))),
            *(NOTES, "\n", notes()),
            *(RECOGNISERS, table("model | languages | licence | notes", recogniser_rows())),
            *(OTHER, example()),
        ]
    )


if __name__ == "__main__":
    TARGET.write_text(page(), encoding="utf-8")
