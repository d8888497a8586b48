"""Published data sets, each from its layout on disk to a retrieval task that `wavrag eval` runs.

    make_task("spoken-squad", "downloads/spoken-squad", "tasks/spoken-squad", TaskOptions())

`TASK_SETS` says of each which directions and splits it has and what its folder must hold. What
training reads, too, is read by `wavrag.data.datasets`. `make_mixed_task` makes a task over
recordings and texts out of one over texts. Nothing is downloaded here.
"""

from wavrag.data.task_sets.draw import TaskOptions, TaskSource
from wavrag.data.task_sets.mix import MixOptions, make_mixed_task
from wavrag.data.task_sets.registry import TASK_SETS, TaskSet, make_task

__all__ = [
    "TASK_SETS",
    "MixOptions",
    "TaskOptions",
    "TaskSet",
    "TaskSource",
    "make_mixed_task",
    "make_task",
]
