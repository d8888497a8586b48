"""Published data sets, converted from their published layout to tasks for `wavrag eval`.

    make_task("spoken-squad", "downloads/spoken-squad", "tasks/spoken-squad", TaskOptions())

`TASK_SETS` lists directions, splits and layout of each. Data sets that are also used for training
are read by `wavrag.data.datasets`. `make_mixed_task` turns a task over texts into a task over
recordings and texts. Nothing is downloaded.
"""

from wavrag.data.task_sets.draw import TaskOptions, TaskSource
from wavrag.data.task_sets.mix import MixOptions, make_mixed_task
from wavrag.data.task_sets.registry import TASK_SETS, TaskSet, make_task

__all__ = [
    "TASK_SETS", "MixOptions", "TaskOptions", "TaskSet", "TaskSource", "make_mixed_task",
    "make_task",
]  # fmt: skip
