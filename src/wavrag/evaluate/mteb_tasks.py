"""Tasks of WavRAG as tasks of `mteb`, and tasks of `mteb` on local data.

    task = MixedCorpusRetrieval(load_task("tasks/mixed"))
    mteb.evaluate(MTEBModel("cascade"), task, cache=None)

mteb has no task from spoken questions to passages and none over a mixed corpus; both are built from
a task folder here, without access to a hub. `use_local_data` replaces the data of one of mteb's own
tasks. Requires the extra `mteb`.
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
# mteb requires both fields, but does not contact a hub for data that is already loaded.
LOCAL_DATASET = {"path": "local", "revision": "local"}
MODALITIES = {"t": "text", "a": "audio"}  # by the letters of mteb's task categories


class FolderRetrieval(AbsTaskRetrieval):  # type: ignore[misc]
    """A retrieval task of WavRAG with queries and passages of any modality.

    A passage with text and audio has one joint vector here, but two documents in `wavrag eval`, of
    which the better one counts. A passage with the id of the query is ignored in both.
    """

    ignore_identical_ids = True
    description = "Retrieval task from a folder."

    def __init__(self, task: Task, **kwargs: Any) -> None:
        """Take over a task.

        Raises:
            InputError: the task does not suit the class, or a judgement is not a whole number, as
                mteb's metrics require.
        """
        query_letters = modality_letters(task.queries.values())
        corpus_letters = modality_letters(task.corpus.values())
        self.check(task, query_letters, corpus_letters)
        letters = query_letters + corpus_letters
        self.metadata = TaskMetadata(
            name=f"{type(self).__name__}-{task.name}",
            description=self.description,
            dataset=LOCAL_DATASET,
            type="Retrieval" if letters == "tt" else "Any2AnyRetrieval",
            category=f"{query_letters}2{corpus_letters}",
            modalities=[name for letter, name in MODALITIES.items() if letter in letters],
            eval_splits=["test"],
            eval_langs=["eng-Latn"],
            main_score="ndcg_at_10",
        )
        super().__init__(**kwargs)
        self.dataset = build_retrieval_data(task)
        self.data_loaded = True

    def check(self, task: Task, query_letters: str, corpus_letters: str) -> None:
        """Raise an error if the task does not suit the class; this class accepts every task."""


class SpokenQuestionRetrieval(FolderRetrieval):
    """Retrieval of text passages for spoken questions."""

    description = "Spoken question to text passage: find the passage with the answer."

    def check(self, task: Task, query_letters: str, corpus_letters: str) -> None:
        """Raise an error unless all queries are recordings and all passages are texts."""
        if (query_letters, corpus_letters) != ("a", "t"):
            raise InputError(
                f"{task.name} is {query_letters}2{corpus_letters}, not a2t: load it with"
                " query_modality='audio' and corpus_modality='text'"
            )


class MixedCorpusRetrieval(FolderRetrieval):
    """Retrieval over a corpus of recordings and texts."""

    description = "Retrieval over one corpus of recordings and texts, by text, speech, or both."

    def check(self, task: Task, query_letters: str, corpus_letters: str) -> None:
        """Raise an error unless the corpus holds both recordings and texts."""
        kinds = {passage.audio is None for passage in task.corpus.values()}
        if len(kinds) < 2:
            raise InputError(
                f"{task.name} has only {'texts' if True in kinds else 'recordings'} in its corpus:"
                " make a mixed corpus with `wavrag tasks mixed`"
            )


def modality_letters(contents: Iterable[TaskContent]) -> str:
    """Name the modalities as mteb does: `a` for audio, `t` for text, `at` for both."""
    contents = list(contents)  # read twice below
    has_audio = any(content.audio is not None for content in contents)
    has_text = any(content.words for content in contents)
    return ("a" if has_audio else "") + ("t" if has_text else "")


def build_retrieval_data(task: Task) -> dict[str, dict[str, Any]]:
    """Build the `dataset` of an mteb retrieval task: the split `test` of the subset `default`.

    Raises:
        InputError: a judgement is not a whole number.
    """
    test = {
        "corpus": build_dataset(task.corpus.values()),
        "queries": build_dataset(task.queries.values()),
        "relevant_docs": _round_qrels(task.qrels),
        "top_ranked": None,
    }
    return {"default": {"test": test}}


def build_dataset(contents: Iterable[TaskContent]) -> Dataset:
    """Build a data set of mteb; audio is a path, and a missing modality of a row is empty."""
    contents = list(contents)
    letters = modality_letters(contents)
    columns: dict[str, list[Any]] = {"id": [content.id for content in contents]}
    features: dict[str, Any] = {"id": Value("string")}
    if "t" in letters:
        # `words` of a passage without text is its title, which would otherwise be embedded twice.
        columns["title"] = [content.title if content.text else "" for content in contents]
        columns["text"] = [content.words for content in contents]
        features |= {"title": Value("string"), "text": Value("string")}
    if "a" in letters:
        columns["audio"] = [content.audio for content in contents]
        features["audio"] = Value("string")
    return Dataset.from_dict(columns, features=Features(features))


def use_local_data(task: AnyTask, name: str, data: Any) -> AnyTask:
    """Replace the data of one of mteb's tasks.

    `data` is the task's `dataset` after loading: splits by name, or for retrieval the result of
    `build_retrieval_data`. `name` tells results apart from those on the published data.
    """
    task.metadata = task.metadata.model_copy(update={"name": name, "dataset": LOCAL_DATASET})
    task.dataset = data
    task.data_loaded = True
    return task


def _round_qrels(qrels: Qrels) -> dict[str, dict[str, int]]:
    rounded: dict[str, dict[str, int]] = {}
    for query, judgements in qrels.items():
        rounded[query] = {id: int(score) for id, score in judgements.items()}
        for id, score in judgements.items():
            if score != rounded[query][id]:
                raise InputError(
                    f"{query!r} and {id!r} are judged {score}: mteb needs whole numbers"
                )
    return rounded
