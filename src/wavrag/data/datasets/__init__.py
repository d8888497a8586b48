"""Published data sets, each from its layout on disk to one stream of training records.

    for record in read_dataset("hotpotqa", "downloads/hotpotqa", note=print):
        ...

`DATASETS` says of each what it asks and answers, what its folder must hold and whose terms it has.
Nothing is downloaded here, and no data set is held in memory. Where a record holds sound in memory,
`store_sounds` puts it into files. MUSAN gives no records but background noise: `noise_files` and
`noise_stream`.
"""

from wavrag.data.datasets.noise import noise_files, noise_stream
from wavrag.data.datasets.registry import DATASETS, Dataset, read_dataset, read_dataset_rows
from wavrag.data.datasets.store import store_sounds

__all__ = [
    "DATASETS",
    "Dataset",
    "noise_files",
    "noise_stream",
    "read_dataset",
    "read_dataset_rows",
    "store_sounds",
]
