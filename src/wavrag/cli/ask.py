"""`wavrag ask`: answers a typed or spoken question, with citations."""

from __future__ import annotations

import argparse
import sys
import textwrap
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wavrag.cli.command import Command, UsageError
from wavrag.cli.history import add_turn, read_history
from wavrag.cli.options import BEST_ENGINE, GENERATOR, JSON, KB, RERANK, VOICE_HELP, Option
from wavrag.cli.output import format_count, note, print_citations, print_hits, print_json
from wavrag.cli.search import (
    mentioned_speakers,
    note_speakers,
    note_suggestion,
    query_options,
    read_query,
)
from wavrag.errors import InputError

if TYPE_CHECKING:
    from wavrag.answer import AnswerOptions, ReasoningOptions
    from wavrag.generate import GenerateOptions, GeneratorSpec
    from wavrag.kb import KnowledgeBase
    from wavrag.types import Answer, Query, ReasoningPath


CLOSEST = 2  # passages to print without an answer


def ask(arguments: argparse.Namespace) -> int:
    """Print the answer; exit code 0 even if the knowledge base holds none."""
    from wavrag.rag import WavRAG

    reasoning = _reasoning_options(arguments)
    on_path = partial(_note_path, reasoning.paths) if reasoning and not arguments.json else None
    if arguments.speak is None and (arguments.voice or arguments.follow or arguments.name_sources):
        raise UsageError(
            "--voice, --follow and --name-sources apply to a spoken answer: add --speak OUT.wav"
        )
    # Everything that can be refused is read before the models load, which takes seconds.
    query = read_query(arguments)
    conversation = None if arguments.history is None else Path(arguments.history)
    history = [] if conversation is None else read_history(conversation)
    with WavRAG.open(
        arguments.kb, generator=arguments.generator, reranker=arguments.rerank, create=False
    ) as rag:
        if reasoning is not None and not rag.generator.spec.follows_instructions:
            raise UsageError(
                f"the generator {rag.generator.spec.name} does not reason: for --paths and"
                " --think use --generator local, local:FILE.gguf, openai:MODEL or"
                " qwen2-audio:FOLDER"
            )
        rag.options = read_answer_options(arguments, rag.generator.spec)
        stream = rag.stream(
            query,
            options=_generate_options(arguments),
            reasoning=reasoning,
            on_path=on_path,
            history=history,
        )
        draft = ""
        # A pipe or a file gets the checked answer only: once, and with its final marks.
        is_shown = sys.stdout.isatty() and not arguments.json
        try:
            for delta in stream:
                draft += delta
                if is_shown:
                    print(delta, end="", flush=True)
            answer = stream.answer
            speakers = mentioned_speakers(rag.kb, query, answer.question)
        finally:
            # Ctrl-C and a closed pipe stop the generation too, also on a server.
            stream.close()
    if conversation is not None:
        # Only a complete answer becomes a turn.
        add_turn(conversation, answer.history_turn)
    if not arguments.json:
        if is_shown:
            print("\n")
        _print_answer(answer, draft if is_shown else None, spoken=bool(arguments.audio))
        note_speakers(speakers)
    speech = _speak(answer, query, rag.kb, arguments)
    if arguments.json:
        from wavrag.shapes import AnswerShape  # imports pydantic, which costs 30 ms

        print_json(AnswerShape.dump(answer) | ({"speech": speech} if speech else {}))
    elif speech:
        note(f"spoken by {speech['engine']}: {speech['path']}")
    return 0


def _print_answer(answer: Answer, draft: str | None, *, spoken: bool) -> None:
    """Print the final answer if it differs from the draft shown, then notes and citations."""
    from wavrag.answer import flag_unsupported_sentences

    text = flag_unsupported_sentences(answer.text, answer.support)
    if answer.withheld and answer.abstention is not None:
        print(f"{text} The generated text is withheld: {answer.abstention.detail}.\n")
    elif draft is None:
        print(f"{text}\n")
    elif text != draft.strip():
        # Citation marks are checked once the text is complete: some were added, some were dropped
        # because they named no source, or a sentence was marked as unsupported.
        print(f"With citations: {text}\n")
    if answer.short:
        print(f"Short answer: {answer.short}\n")
    if spoken and answer.question:
        note(f"recognised: {answer.question}")
    if answer.search_query:
        note(f"searched for: {answer.search_query}")
    note_suggestion(answer.suggestion)
    if answer.chosen is not None and len(answer.paths) > 1:
        saved = f"; {format_count(answer.saved, 'path')} saved" if answer.saved else ""
        note(f"path {answer.chosen + 1} of {len(answer.paths)}, by {answer.chosen_by}{saved}")
    if not answer.found and answer.hits:
        print("The closest passages:")
        print_hits(answer.hits[:CLOSEST])
    print_citations(answer.citations, answer.text)


def _speak(
    answer: Answer, query: Query, kb: KnowledgeBase, arguments: argparse.Namespace
) -> dict[str, Any] | None:
    """Write the spoken answer to the file of --speak; None without that option."""
    if arguments.speak is None:
        return None
    from wavrag.audio import SAMPLE_RATE
    from wavrag.kb import load_passage_clip
    from wavrag.speech import write_answer

    engine, _, voice = (arguments.voice or "").partition(":")
    source = None
    if arguments.follow == "source":
        passages = [citation.passage for citation in answer.citations]
        # Text has no prosody to follow; without a cited recording the voice stays neutral.
        recordings = [passage for passage in passages if passage.modality == "audio"]
        if recordings:
            path = kb.resolve_source(recordings[0].source)
            source = load_passage_clip(recordings[0], SAMPLE_RATE, path)
    speech = write_answer(
        f"{answer.spoken} {answer.spoken_sources if arguments.name_sources else ''}",
        arguments.speak,
        engine=engine or None,
        voice=voice or None,
        follow=arguments.follow,
        question=query.clip,
        source=source,
    )
    return {
        "path": str(speech.path),
        "seconds": round(speech.duration, 2),
        "engine": speech.engine,
        "voice": speech.voice,
    }


def _note_path(paths: int, index: int, path: ReasoningPath) -> None:
    outcome = path.answer if path.finished else f"failed: {path.error}"
    line = textwrap.shorten(outcome, 160, placeholder=" …")
    note(f"path {index + 1} of {paths}, {path.ms / 1e3:.1f} s: {line}")


def read_answer_options(arguments: argparse.Namespace, spec: GeneratorSpec) -> AnswerOptions:
    """The options of answers from the values of `ANSWER_OPTIONS`."""
    from wavrag.answer import AnswerOptions

    options = AnswerOptions(
        min_probability=arguments.min_probability, transcribe=not arguments.no_transcription
    )
    if arguments.max_passages is None:
        return options
    context = replace(options.resolve_context(spec.quotes), max_passages=arguments.max_passages)
    return replace(options, context=context)


def _generate_options(arguments: argparse.Namespace) -> GenerateOptions:
    from wavrag.generate import GenerateOptions

    prices = arguments.prices
    options = GenerateOptions(
        temperature=arguments.temperature or 0.0,
        seed=arguments.seed,
        prices=(prices[0], prices[1]) if prices else None,
    )
    # The default stays with the dataclass: None is not a length.
    return replace(options, max_tokens=arguments.max_tokens) if arguments.max_tokens else options


def _reasoning_options(arguments: argparse.Namespace) -> ReasoningOptions | None:
    """The options of reasoning; None without --paths and --think.

    Raises:
        UsageError: an option for reasoning paths stands alone, or a value is out of range.
    """
    from wavrag.answer import ReasoningOptions

    if arguments.paths is None and not arguments.think:
        for option in ("budget", "concurrency"):
            if getattr(arguments, option) is not None:
                raise UsageError(f"--{option} applies to reasoning paths: add --paths N or --think")
        return None
    # An option that is not given keeps the default of the dataclass.
    names = ("temperature", "budget", "concurrency", "max_tokens")
    values = {name: getattr(arguments, name) for name in names}
    try:
        return ReasoningOptions(
            # --think alone is a single path that reasons before it answers.
            paths=1 if arguments.paths is None else arguments.paths,
            think=arguments.think,
            **{name: value for name, value in values.items() if value is not None},
        )
    except InputError as error:
        raise UsageError(str(error)) from error


ANSWER_OPTIONS = (
    Option("--max-passages", "N", "maximum number of passages in the prompt",
        unset="5 for extractive, otherwise 3", minimum=1),
    Option("--min-probability", "P", "minimum probability from 0 to 1 that the passages answer the"
        " question; 0 answers in any case", default=0.3, minimum=0.0),
    Option("--no-transcription", help="do not transcribe recordings that lack a transcript"),
)  # fmt: skip


COMMAND = Command(
    "ask",
    "answer a typed or spoken question, with citations",
    ask,
    (
        *query_options("question"),
        GENERATOR,
        RERANK,
        Option("--history", "FILE.jsonl", "continue the conversation in this file, and append the"
            " new turn to it"),
        KB,
        JSON,
    ),
    (
        'wavrag ask "Are dogs allowed on the ferry?"',
        "wavrag ask --audio question.wav --speak answer.wav",
        'wavrag ask --generator local --think --paths 5 "Are dogs allowed on the ferry?"',
        'wavrag ask --history talk.jsonl "And who founded it?"',
    ),
    option_groups={
        "context": ANSWER_OPTIONS,
        "generation": (
            Option("--think", help="let the model reason before it answers"),
            Option("--paths", "N", "self-consistency: sample N answers, or with --think N reasoning"
                " paths, and keep the most consistent", minimum=1),
            Option("--temperature", "T", "sampling temperature",
                unset="0.7 with --paths above 1, otherwise 0", minimum=0.0),
            Option("--max-tokens", "N", "maximum length of the generated text",
                unset="256, or 512 with --paths or --think", minimum=1),
            Option("--seed", "N", "random seed of the sampling", unset="none", minimum=0),
            Option("--budget", "SECONDS", "time limit for all paths; paths unfinished by then are"
                " dropped", unset="none", minimum=0.0),
            Option("--concurrency", "N", "number of paths sampled at the same time", unset="all",
                minimum=1),
            Option("--prices", ("IN", "OUT"), "prices of a million input and output tokens;"
                " --json then includes the cost", nargs=2, minimum=0.0),
        ),
        "spoken answer": (
            Option("--speak", "OUT.wav", "also write the spoken answer to a WAV file"),
            Option("--voice", "ENGINE[:VOICE]", VOICE_HELP, unset=BEST_ENGINE),
            Option("--name-sources", help="end the spoken answer with the names of its sources"),
            Option("--follow", help="match pitch, pace and loudness of the spoken question or the"
                " cited recording", choices=("question", "source")),
        ),
    },
)  # fmt: skip
