"""Web questions with retrieved passages, and a generator with a cache, for experiments on answers.

The questions are from QED; each is answerable from a paragraph of the knowledge base.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Sequence
from collections.abc import Generator as TextIterator
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
    is_refusal,
)
from wavrag.kb import KnowledgeBase
from wavrag.search import remove_overlaps
from wavrag.types import Document, Hit, Passage, Usage

EMBEDDER = "minilm"  # questions and passages are texts
CANDIDATES = 20  # hits per question
DOCUMENTS = 300  # paragraphs in the knowledge base
GENERATOR = "generator"  # name of the GGUF model for `--model`
SCORES = ("exact match", "F1", "contains")


@dataclass(frozen=True, slots=True)
class QuestionWithHits:
    """A question with its retrieved passages.

    Attributes:
        gold: question with its gold answers.
        hits: retrieved passages, best first.
    """

    gold: GoldQuestion
    hits: tuple[Hit, ...]

    def answered_in(self, hits: Sequence[Hit]) -> bool:
        """Tell whether the gold paragraph is among the hits."""
        return any(hit.passage.document_id in self.gold.passages for hit in hits)


@dataclass(frozen=True, slots=True)
class Call:
    """Cost of one call of the model.

    Attributes:
        prompt_tokens: length of the prompt.
        completion_tokens: length of the answer.
        ms: duration in milliseconds.
    """

    prompt_tokens: int
    completion_tokens: int
    ms: float


class CachingGenerator(Generator):
    """A generator with a cache of answers and a record of the cost of each call.

    Strategies with equal prompts are compared on equal answers, for the cost of one call. It does
    not batch, so that a seed gives the same path every time.
    """

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        self._cache: dict[tuple[str, GenerateOptions], tuple[str, Call]] = {}
        self.calls: list[Call] = []

    @property
    def spec(self) -> GeneratorSpec:
        """Capabilities of the generator, without batches."""
        return replace(self._generator.spec, parallel=1)

    def stream(self, messages: Sequence[Message], options: GenerateOptions) -> Stream[str]:
        """Yield the whole answer at once, and add its original cost to `calls`."""
        return Stream(self._generate(messages, options))

    def take_calls(self) -> list[Call]:
        """Return and clear the calls since the last time."""
        calls, self.calls = self.calls, []
        return calls

    def close(self) -> None:
        """Close the generator."""
        self._generator.close()

    def forget(self) -> None:
        """Clear the cache."""
        self._cache.clear()

    def _generate(
        self, messages: Sequence[Message], options: GenerateOptions
    ) -> TextIterator[str, None, Usage]:
        key = (str(chat(messages)), options)
        if key not in self._cache:
            started = time.perf_counter()
            stream = Stream.of(self._generator.stream(messages, options))
            text = "".join(stream)
            usage = stream.usage or Usage(0, 0)
            milliseconds = 1e3 * (time.perf_counter() - started)
            self._cache[key] = text, Call(usage.input, usage.output, milliseconds)
        text, call = self._cache[key]
        self.calls.append(call)
        yield text
        return Usage(call.prompt_tokens, call.completion_tokens)


def find_passages(context: Context, count: int) -> list[QuestionWithHits]:
    """Draw questions, index their paragraphs with distractors, and search for each.

    Args:
        context: context of the run.
        count: number of questions.
    """
    rows = [row for row in context.rows("text/qed_eval.jsonl") if gold_answers(row)]
    if len(rows) < count:
        raise InputError(f"{context.data}: QED has {len(rows)} questions, and {count} are needed")
    selection = random.Random(context.seed).sample(rows, count)
    titles = {row["paragraph"]: row["title"] for row in reversed(rows)}
    ids = {text: f"paragraph-{number:04d}" for number, text in enumerate(titles)}
    paragraphs = dict.fromkeys(row["paragraph"] for row in selection)
    distractors = [text for text in titles if text not in paragraphs]
    distractor_count = max(
        0, min(context.size(DOCUMENTS, 3 * count) - len(paragraphs), len(distractors))
    )
    paragraphs |= dict.fromkeys(
        random.Random(context.seed + 1).sample(distractors, distractor_count)
    )
    documents = [Document(ids[text], text=text, title=titles[text]) for text in paragraphs]
    questions = [
        GoldQuestion(row["id"], row["question"], tuple(gold_answers(row)), (ids[row["paragraph"]],))
        for row in selection
    ]
    hit_fields = context.step(
        "found", lambda: _find(context, questions, documents), {"questions": count}
    )
    return [
        QuestionWithHits(question, tuple(_hit(fields) for fields in hits))
        for question, hits in zip(questions, hit_fields, strict=True)
    ]


def answer_all(
    context: Context,
    questions: Sequence[QuestionWithHits],
    answer: Callable[[CachingGenerator, QuestionWithHits], Any],
    about: dict[str, Any],
) -> list[Any]:
    """Answer every question in a step of its own, in parallel with one model per thread.

    Each model uses one thread, so that its output does not depend on the number of cores.

    Args:
        context: context of the run.
        questions: questions with passages.
        answer: answers a question with the model, and returns a value for JSON.
        about: further dependencies of the answers.
    """
    threads = min(config.threads(), len(questions))
    models = [CachingGenerator(_model(context)) for _ in range(threads)]
    free: SimpleQueue[CachingGenerator] = SimpleQueue()
    for model in models:
        free.put(model)
    about = {**about, "generator": models[0].spec.name}

    def answer_question(number: int) -> Any:
        model = free.get()
        try:
            # Answers must not depend on the order in which threads take the questions.
            model.forget()
            key = f"answers-{number:03d}"
            return context.step(key, lambda: answer(model, questions[number]), about)
        finally:
            free.put(model)

    answers = []
    with ThreadPoolExecutor(threads) as pool:
        try:
            for number, value in enumerate(pool.map(answer_question, range(len(questions)))):
                context.on_progress("answering", number, len(questions))
                answers.append(value)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        finally:
            for model in models:
                model.close()
    return answers


def generator_name(context: Context) -> str:
    """Name the generator of a run."""
    path = context.models.get(GENERATOR)
    return "SmolLM2-135M-Instruct" if path is None else path.stem


def scores(text: str, question: GoldQuestion) -> dict[str, float]:
    """Compute exact match, F1 and containment of a gold answer; all 0 for an abstention."""
    answer_text = "" if is_refusal(text) else CITATION_MARKS.sub("", text).strip()
    if not answer_text:
        return dict.fromkeys(SCORES, 0.0)
    gold = question.answers
    values = (
        exact_match(answer_text, gold),
        token_f1(answer_text, gold),
        float(contains(answer_text, gold)),
    )
    return dict(zip(SCORES, values, strict=True))


def gold_answers(row: dict[str, Any]) -> list[str]:
    """List the distinct answers of QED's annotators, with the spans of each joined by commas."""
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
        KnowledgeBase.open(Path(folder), embedder=EMBEDDER, fusion="ranks") as kb,
    ):
        context.on_progress("indexing", 0, len(documents))
        kb.add(documents)
        hit_fields = []
        for number, question in enumerate(questions):
            context.on_progress("searching", number, len(questions))
            hits = remove_overlaps(kb.search(question.question, CANDIDATES))
            hit_fields.append([_fields(hit) for hit in hits])
    return hit_fields


def _fields(hit: Hit) -> dict[str, Any]:
    return {**asdict(hit), "passage": {**asdict(hit.passage), "metadata": {}}}


def _hit(fields: dict[str, Any]) -> Hit:
    return Hit(**{**fields, "passage": Passage(**fields["passage"])})
