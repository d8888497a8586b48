"""Tasks in the form of `mteb`: spoken question to passage, mixed corpus, and tasks on local data.

    task = MixedCorpusRetrieval(load_task("tasks/mixed"))
    mteb.evaluate(MTEBModel("cascade"), task, cache=None)

mteb has neither of the first two. They are made of a task of WavRAG, and nothing asks a hub.
`on_local_data` gives one of mteb's own tasks other data of the same columns. Needs the extra
`mteb`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from wavrag.data import Qrels, Task, TaskContent
from wavrag.errors import InputError, MissingExtraError

try:
    from datasets import Dataset, Features, Value
    from mteb.abstasks import AbsTask
    from mteb.abstasks.retrieval import AbsTaskRetrieval
    from mteb.abstasks.task_metadata import TaskMetadata
except ModuleNotFoundError:
    raise MissingExtraError("running the tasks of MTEB", "mteb") from None

AnyTask = TypeVar("AnyTask", bound=AbsTask)
LOCAL = {"path": "local", "revision": "local"}  # mteb wants both, and asks no hub for loaded data


class FolderRetrieval(AbsTaskRetrieval):  # type: ignore[misc]
    """A retrieval task of WavRAG, of whatever modalities its two sides have.

    An entry of text and sound is one vector of both here, and two documents of which the better one
    counts in `wavrag eval`. An entry of a query's own id is no hit in either.
    """

    ignore_identical_ids = True
    about = "Retrieval task of a folder."

    def __init__(self, task: Task, **kwargs: Any) -> None:
        """Take over a task that was loaded.

        Args:
            task: as `load_task` gives it.
            kwargs: such as `seed`; see mteb.

        Raises:
            InputError: it is not of the kind that the class asks for, or a judgement is no whole
                number, which mteb's metrics need.
        """
        asks, found = modalities(task.queries.values()), modalities(task.corpus.values())
        self.check(task, asks, found)
        self.metadata = TaskMetadata(
            name=f"{type(self).__name__}-{task.name}",
            description=self.about,
            reference=None,
            dataset=LOCAL,
            type="Retrieval" if asks == found == "t" else "Any2AnyRetrieval",
            category=f"{asks}2{found}",
            modalities=[name for letter, name in _NAMES.items() if letter in asks + found],
            eval_splits=["test"],
            eval_langs=["eng-Latn"],
            main_score="ndcg_at_10",
            date=None,
            domains=None,
            task_subtypes=None,
            license=None,
            annotations_creators=None,
            dialect=None,
            sample_creation=None,
            bibtex_citation="",
        )
        super().__init__(**kwargs)
        self.dataset = retrieval_data(task)
        self.data_loaded = True

    def check(self, task: Task, asks: str, found: str) -> None:
        """Refuse a task of another kind; this class takes all."""


class SpokenQuestionRetrieval(FolderRetrieval):
    """A spoken question to the passages of text that answer it."""

    about = "Spoken question to text passage: find the passage that answers what is asked."

    def check(self, task: Task, asks: str, found: str) -> None:
        """Refuse a task whose questions are not recordings, or whose passages are not texts."""
        if (asks, found) != ("a", "t"):
            raise InputError(
                f"{task.name} is {asks}2{found}, not a2t: load it with query_modality='audio' and"
                " corpus_modality='text'"
            )


class MixedCorpusRetrieval(FolderRetrieval):
    """A corpus in which some entries are recordings and others texts: is the right one found?"""

    about = "Retrieval over one corpus of recordings and texts, in words, in speech, or in both."

    def check(self, task: Task, asks: str, found: str) -> None:
        """Refuse a task whose entries are all of one kind."""
        kinds = {entry.audio is None for entry in task.corpus.values()}
        if len(kinds) < 2:
            raise InputError(
                f"{task.name} has only {'texts' if True in kinds else 'recordings'} in its corpus:"
                " make a mixed one with `wavrag tasks mixed`"
            )


_NAMES = {"t": "text", "a": "audio"}


def modalities(entries: Iterable[TaskContent]) -> str:
    """`a` where there is sound, `t` where there are words, `at` for both, as mteb writes them."""
    entries = list(entries)
    heard = any(entry.audio is not None for entry in entries)
    read = any(entry.words for entry in entries)
    return ("a" if heard else "") + ("t" if read else "")


def retrieval_data(task: Task) -> dict[str, dict[str, Any]]:
    """A task as the `dataset` of mteb's retrieval tasks: one subset, `default`, and its `test`.

    Raises:
        InputError: a judgement is no whole number.
    """
    asks, found = modalities(task.queries.values()), modalities(task.corpus.values())
    test = {
        "corpus": rows_of(task.corpus.values(), found),
        "queries": rows_of(task.queries.values(), asks),
        "relevant_docs": _whole(task.qrels),
        "top_ranked": None,
    }
    return {"default": {"test": test}}


def rows_of(entries: Iterable[TaskContent], parts: str) -> Dataset:
    """Entries as a data set of mteb; what an entry has not is empty. Sound is a path."""
    entries = list(entries)
    columns: dict[str, list[Any]] = {"id": [entry.id for entry in entries]}
    features: dict[str, Any] = {"id": Value("string")}
    if "t" in parts:
        columns["title"] = [entry.title if entry.text else "" for entry in entries]
        columns["text"] = [entry.words for entry in entries]
        features |= {"title": Value("string"), "text": Value("string")}
    if "a" in parts:
        columns["audio"] = [entry.audio for entry in entries]
        features["audio"] = Value("string")
    return Dataset.from_dict(columns, features=Features(features))


def on_local_data(task: AnyTask, name: str, data: Any) -> AnyTask:
    """One of mteb's tasks with data that is here in the place of that of its hub.

    Args:
        task: as `mteb.get_task` gives it, not loaded yet.
        name: under which results stand, so that they are not taken for those of the published data.
        data: as the task's `dataset` is after loading: splits by name, or for retrieval what
            `retrieval_data` gives.
    """
    task.metadata = task.metadata.model_copy(update={"name": name, "dataset": LOCAL})
    task.dataset = data
    task.data_loaded = True
    return task


def _whole(qrels: Qrels) -> dict[str, dict[str, int]]:
    for query, judgements in qrels.items():
        for id, score in judgements.items():
            if score != int(score):
                raise InputError(
                    f"{query!r} and {id!r} are judged {score}: mteb needs whole numbers"
                )
    return {query: {id: int(score) for id, score in one.items()} for query, one in qrels.items()}
