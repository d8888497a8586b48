"""Data for training and evaluation: records, data sets, tasks, synthetic speech, hard negatives.

Imports no torch. `records` defines the training records, `datasets` reads published data sets into
them, `speak` and `mining` extend them, `tasks` loads retrieval tasks, and `task_sets` makes them.
"""

from wavrag.data.captions import held_out_captions, training_captions
from wavrag.data.datasets import read_dataset, store_sounds
from wavrag.data.mining import MineOptions, mine_negatives, read_corpus
from wavrag.data.prefetch import prefetch_map
from wavrag.data.records import (
    Content,
    TrainingRecord,
    read_records,
    relative_path,
    skip_or_raise,
    write_records,
)
from wavrag.data.rows import read_rows, write_json
from wavrag.data.speak import SpeakOptions, read_questions, speak_records
from wavrag.data.task_sets import MixOptions, TaskOptions, make_mixed_task, make_task
from wavrag.data.tasks import Judgements, Qrels, Task, TaskContent, load_task
from wavrag.data.validation import STRICT, parse_json
from wavrag.data.voices import RESERVED_VOICES, Endpoint, Speaker, is_reserved_voice, load_speaker

__all__ = [
    "RESERVED_VOICES", "STRICT", "Content", "Endpoint", "Judgements", "MineOptions", "MixOptions",
    "Qrels", "SpeakOptions", "Speaker", "Task", "TaskContent", "TaskOptions", "TrainingRecord",
    "held_out_captions", "is_reserved_voice", "load_speaker", "load_task", "make_mixed_task",
    "make_task", "mine_negatives", "parse_json", "prefetch_map", "read_corpus", "read_dataset",
    "read_questions", "read_records", "read_rows", "relative_path", "skip_or_raise",
    "speak_records", "store_sounds", "training_captions", "write_json", "write_records",
]  # fmt: skip
