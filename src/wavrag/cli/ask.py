"""`wavrag search` and `wavrag ask`."""

from __future__ import annotations

import argparse
import io
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wavrag.audio import SAMPLE_RATE
from wavrag.cli.history import add_turn, read_history
from wavrag.cli.output import (
    UsageError,
    counted,
    note,
    print_citations,
    print_hits,
    print_json,
)
from wavrag.errors import InputError
from wavrag.types import Answer, Query, ReasoningPath

if TYPE_CHECKING:
    from wavrag.answer import ReasoningOptions
    from wavrag.generate import GenerateOptions


def search(arguments: argparse.Namespace) -> int:
    """Find passages; an empty result is not a failure."""
    from wavrag.kb import KnowledgeBase

    if arguments.k < 1:
        raise UsageError(f"-k {arguments.k}: ask for at least 1 hit")
    query = read_query(arguments)
    with KnowledgeBase.open(arguments.kb, create=False) as kb:
        found = kb.retrieve(query, arguments.k)
    if arguments.json:
        from wavrag.shapes import SearchShape

        print_json({"audio": arguments.audio, **SearchShape.dump(found)})
        return 0
    if arguments.audio and found.words:
        note(f"heard: {found.words}")
    if not found.hits:
        note("nothing found")
    print_hits(found.hits)
    return 0


def ask(arguments: argparse.Namespace) -> int:
    """Answer; 0 too when the honest answer is that nothing was found."""
    from wavrag.answer import reasons
    from wavrag.rag import WavRAG

    reasoning = read_reasoning(arguments)
    if arguments.speak is None and (arguments.voice or arguments.follow):
        raise UsageError("--voice and --follow bear on a spoken answer: give --speak OUT.wav, too")
    query = read_query(arguments)
    talk = None if arguments.history is None else Path(arguments.history)
    history = [] if talk is None else read_history(talk)
    with WavRAG.open(arguments.kb, generator=arguments.generator, create=False) as rag:
        if reasoning is not None and not reasons(rag.generator):
            raise UsageError(
                f"the generator {rag.generator.name} does not reason, and --paths and --think need"
                " one that does: --generator local, local:FILE.gguf, openai:MODEL or"
                " qwen2-audio:FOLDER"
            )
        stream = rag.stream(
            query,
            options=read_options(arguments),
            reasoning=reasoning,
            on_path=None if reasoning is None or arguments.json else _PathNotes(reasoning.paths),
            history=history,
        )
        written = ""
        try:
            for piece in stream:
                written += piece
                if not arguments.json:
                    print(piece, end="", flush=True)
            answer = stream.answer
        finally:
            stream.close()
    if talk is not None:
        add_turn(talk, answer.turn)
    if not arguments.json:
        print("\n")
        _print_answer(answer, written, heard=bool(arguments.audio))
    said = _speak(answer, query, arguments)
    if arguments.json:
        from wavrag.shapes import AnswerShape

        print_json(AnswerShape.dump(answer) | ({"spoken": said} if said else {}))
    elif said:
        note(f"spoken by {said['engine']}: {said['path']}")
    return 0


def _print_answer(answer: Answer, written: str, *, heard: bool) -> None:
    """What there is to say of an answer whose pieces were printed."""
    from wavrag.answer import mark_unsupported

    text = mark_unsupported(answer.text, answer.support)
    if answer.withheld and answer.abstained is not None:
        print(f"{text} What was written is withheld: {answer.abstained.detail}.\n")
    elif text != written.strip():
        # Marks were added, or dropped because they named no source; or a sentence has no support.
        print(f"With citations: {text}\n")
    if heard and answer.question:
        note(f"heard: {answer.question}")
    if answer.searched:
        note(f"searched for: {answer.searched}")
    if answer.chosen is not None and len(answer.paths) > 1:
        saved = f"; {counted(answer.saved, 'path')} saved" if answer.saved else ""
        note(f"path {answer.chosen + 1} of {len(answer.paths)}, by {answer.chosen_by}{saved}")
    print_citations(answer.citations)


def _speak(answer: Answer, query: Query, arguments: argparse.Namespace) -> dict[str, Any] | None:
    """The answer into the file that --speak names; what was said by what."""
    if arguments.speak is None:
        return None
    from wavrag.kb import clip_of
    from wavrag.speech import write_answer

    engine, _, voice = (arguments.voice or "").partition(":")
    source = None
    if arguments.follow == "source":
        cited = [one.passage for one in answer.citations if one.passage.modality == "audio"]
        source = clip_of(cited[0], SAMPLE_RATE) if cited else None
    spoken = write_answer(
        answer.text,
        arguments.speak,
        engine=engine or None,
        voice=voice or None,
        follow=arguments.follow,
        question=query.clip,
        source=source,
    )
    return {
        "path": str(spoken.path),
        "seconds": round(spoken.duration, 2),
        "engine": spoken.engine,
        "voice": spoken.voice,
    }


class _PathNotes:
    """A line for each path that ends."""

    def __init__(self, paths: int) -> None:
        self._paths = paths

    def __call__(self, index: int, path: ReasoningPath) -> None:
        what = path.answer if path.finished else f"failed: {path.error}"
        line = textwrap.shorten(what, 160, placeholder=" …")
        note(f"path {index + 1} of {self._paths}, {path.ms / 1e3:.1f} s: {line}")


def read_options(arguments: argparse.Namespace) -> GenerateOptions:
    """How to write, as the options say.

    Raises:
        UsageError: a number makes no sense.
    """
    from wavrag.generate import GenerateOptions

    temperature, prices = arguments.temperature, arguments.prices
    if temperature is not None and temperature < 0:
        raise UsageError(f"--temperature {temperature:g}: give 0 or more")
    if prices is not None and min(prices) < 0:
        raise UsageError(f"--prices {prices[0]:g} {prices[1]:g}: give 0 or more")
    return GenerateOptions(
        temperature=temperature or 0.0, prices=(prices[0], prices[1]) if prices else None
    )


def read_reasoning(arguments: argparse.Namespace) -> ReasoningOptions | None:
    """How to reason, as the options say; None if neither --paths nor --think is among them.

    Raises:
        UsageError: options that bear on paths stand alone, or a number makes no sense.
    """
    from wavrag.answer import ReasoningOptions

    if arguments.paths is None and not arguments.think:
        for option in ("budget", "concurrency"):
            if getattr(arguments, option) is not None:
                raise UsageError(f"--{option} bears on paths: give --paths N, or --think, too")
        return None
    given = {name: getattr(arguments, name) for name in ("temperature", "budget", "concurrency")}
    try:
        return ReasoningOptions(
            paths=1 if arguments.paths is None else arguments.paths,
            think=arguments.think,
            **{name: value for name, value in given.items() if value is not None},
        )
    except InputError as error:
        raise UsageError(str(error)) from error


def read_query(arguments: argparse.Namespace) -> Query:
    """The question that the options name: words, a recording, or both.

    Raises:
        UsageError: there is neither.
        AudioError: the recording cannot be read.
    """
    text = " ".join(arguments.text).strip() or None
    if arguments.audio is None:
        if text is None:
            raise UsageError("there is no question: give TEXT, or --audio FILE, or both")
        return Query(text=text, where=arguments.where)
    from wavrag import audio

    if arguments.audio == "-":
        clip = audio.load(io.BytesIO(sys.stdin.buffer.read()))
    else:
        clip = audio.load(arguments.audio)
    return Query(text=text, clip=clip, where=arguments.where)
