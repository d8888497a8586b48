"""Web questions with the passages found for them, and a model that answers the same way each time.

For the experiments on answers. Questions are those of QED, all of them answerable from a paragraph
of the base.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Sequence
from collections.abc import Generator as Pieces
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from experiments.base import Context
from wavrag import config
from wavrag.errors import InputError
from wavrag.evaluate import CITATION_MARKS, GoldQuestion, contains, exact_match, token_f1
from wavrag.generate import (
    GenerateOptions,
    Generator,
    GeneratorSpec,
    Message,
    Stream,
    chat,
    declines,
)
from wavrag.kb import KnowledgeBase
from wavrag.search import drop_overlapping
from wavrag.types import Document, Hit, Passage, Usage

EMBEDDER = "minilm"  # which finds the passages; questions and passages are texts
CANDIDATES = 20  # passages that are found for a question
DOCUMENTS = 300  # paragraphs of the base
GENERATOR = "generator"  # name of the GGUF model among the models of a run
SCORES = ("exact match", "F1", "contains")


@dataclass(frozen=True, slots=True)
class Asked:
    """A question and what was found for it.

    Attributes:
        question: with its answers.
        hits: best first.
    """

    question: GoldQuestion
    hits: tuple[Hit, ...]

    def answered_in(self, hits: Sequence[Hit]) -> bool:
        """Whether the paragraph that answers is among hits."""
        return any(hit.passage.document_id in self.question.passages for hit in hits)


@dataclass(frozen=True, slots=True)
class Call:
    """What one call of the model took.

    Attributes:
        read: tokens of the prompt.
        written: tokens of the answer.
        ms: milliseconds.
    """

    read: int
    written: int
    ms: float


class Remembering(Generator):
    """A generator that is asked the same only once, and tells what each call took.

    Strategies that ask the same are compared on the same answers, at the cost of one. It has no
    batches: paths are written one after another, so that a seed gives the same path every time.
    """

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        self._known: dict[tuple[str, GenerateOptions], tuple[str, Call]] = {}
        self.calls: list[Call] = []

    @property
    def spec(self) -> GeneratorSpec:
        """Capabilities of the generator, without batches."""
        return replace(self._generator.spec, parallel=1)

    def stream(self, messages: Sequence[Message], options: GenerateOptions) -> Stream[str]:
        """The answer in one piece; what it took is added to `calls`, as it was the first time."""
        return Stream(self._piece(messages, options))

    def taken(self) -> list[Call]:
        """The calls since this was asked last."""
        calls, self.calls = self.calls, []
        return calls

    def close(self) -> None:
        """Release the generator's model, if it holds one."""
        self._generator.close()

    def forget(self) -> None:
        """Ask everything anew."""
        self._known.clear()

    def _piece(
        self, messages: Sequence[Message], options: GenerateOptions
    ) -> Pieces[str, None, Usage]:
        key = (str(chat(messages)), options)
        if key not in self._known:
            started = time.perf_counter()
            stream = Stream.of(self._generator.stream(messages, options))
            text = "".join(stream)
            usage = stream.usage or Usage(0, 0)
            took = 1e3 * (time.perf_counter() - started)
            self._known[key] = text, Call(usage.input, usage.output, took)
        text, call = self._known[key]
        self.calls.append(call)
        yield text
        return Usage(call.read, call.written)


def ask(context: Context, count: int) -> list[Asked]:
    """Draw questions, index their paragraphs among others, and find passages for each.

    Args:
        context: whose seed draws.
        count: questions.
    """
    rows = [row for row in context.rows("text/qed_eval.jsonl") if gold_answers(row)]
    if len(rows) < count:
        raise InputError(f"{context.data}: QED has {len(rows)} questions, and {count} are needed")
    chosen = random.Random(context.seed).sample(rows, count)
    titles = {row["paragraph"]: row["title"] for row in reversed(rows)}
    ids = {text: f"paragraph-{number:04d}" for number, text in enumerate(titles)}
    kept = dict.fromkeys(row["paragraph"] for row in chosen)
    others = [text for text in titles if text not in kept]
    room = max(0, min(context.size(DOCUMENTS, 3 * count) - len(kept), len(others)))
    kept |= dict.fromkeys(random.Random(context.seed + 1).sample(others, room))
    documents = [Document(ids[text], text=text, title=titles[text]) for text in kept]
    questions = [
        GoldQuestion(row["id"], row["question"], tuple(gold_answers(row)), (ids[row["paragraph"]],))
        for row in chosen
    ]
    found = context.step(
        "found", lambda: _find(context, questions, documents), {"questions": count}
    )
    return [
        Asked(question, tuple(_hit(fields) for fields in hits))
        for question, hits in zip(questions, found, strict=True)
    ]


def answer_all(
    context: Context,
    asked: Sequence[Asked],
    answer: Callable[[Remembering, Asked], Any],
    about: dict[str, Any],
) -> list[Any]:
    """Have every question answered, each a step; side by side on as many models as threads.

    Every model works on one thread, so that its numbers are the same on any machine's count of
    processors.

    Args:
        context: of the run.
        asked: questions with passages.
        answer: asks the model what is to be asked, and gives a value that JSON holds.
        about: what the answers depend on besides.
    """
    threads = min(config.threads(), len(asked))
    models = [Remembering(_model(context)) for _ in range(threads)]
    free: SimpleQueue[Remembering] = SimpleQueue()
    for model in models:
        free.put(model)
    about = {**about, "generator": models[0].spec.name}

    def one(number: int) -> Any:
        model = free.get()
        try:
            model.forget()
            key = f"answers-{number:03d}"
            return context.step(key, lambda: answer(model, asked[number]), about)
        finally:
            free.put(model)

    made = []
    with ThreadPoolExecutor(threads) as pool:
        try:
            for done, value in enumerate(pool.map(one, range(len(asked)))):
                context.on_progress("answering", done, len(asked))
                made.append(value)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        finally:
            for model in models:
                model.close()
    return made


def generator_name(context: Context) -> str:
    """What answers in a run."""
    path = context.models.get(GENERATOR)
    return "SmolLM2-135M-Instruct" if path is None else path.stem


def scores(text: str, question: GoldQuestion) -> dict[str, float]:
    """Exact match, F1 and whether a gold answer is in the text; 0 for one that declines."""
    said = "" if declines(text) else CITATION_MARKS.sub("", text).strip()
    if not said:
        return dict.fromkeys(SCORES, 0.0)
    gold = question.answers
    values = exact_match(said, gold), token_f1(said, gold), float(contains(said, gold))
    return dict(zip(SCORES, values, strict=True))


def gold_answers(row: dict[str, Any]) -> list[str]:
    """The answers of all annotators of QED, each once; one of several spans is joined by commas."""
    texts = [", ".join(span["string"] for span in spans) for spans in row["answers"]]
    return list(dict.fromkeys(text for text in texts if text))


def _model(context: Context) -> Generator:
    from wavrag.generate import LocalGenerator, LocalOptions

    path = context.models.get(GENERATOR)
    return LocalGenerator(str(path) if path else None, LocalOptions(parallel=1, threads=1))


def _find(
    context: Context, questions: Sequence[GoldQuestion], documents: Sequence[Document]
) -> list[list[dict[str, Any]]]:
    with (
        tempfile.TemporaryDirectory(prefix="wavrag-experiment-") as folder,
        KnowledgeBase.open(Path(folder), embedder=EMBEDDER) as kb,
    ):
        context.on_progress("indexing", 0, len(documents))
        kb.add(documents)
        found = []
        for number, question in enumerate(questions):
            context.on_progress("searching", number, len(questions))
            hits = drop_overlapping(kb.search(question.question, CANDIDATES))
            found.append([_fields(hit) for hit in hits])
    return found


def _fields(hit: Hit) -> dict[str, Any]:
    return {**asdict(hit), "passage": {**asdict(hit.passage), "metadata": {}}}


def _hit(fields: dict[str, Any]) -> Hit:
    return Hit(**{**fields, "passage": Passage(**fields["passage"])})
