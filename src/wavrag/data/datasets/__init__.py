"""Published data sets, read from their published layout into a stream of training records.

    for record in read_dataset("hotpotqa", "downloads/hotpotqa", on_note=print):
        ...

`DATASETS` lists direction, layout and licence of each. Nothing is downloaded, and no data set is
held in memory. `store_sounds` writes audio in memory to files. MUSAN has no pairs and therefore no
records: `find_noise_files` and `stream_noise_files` give its files as background noise.
"""

from wavrag.data.datasets.noise import find_noise_files, stream_noise_files
from wavrag.data.datasets.registry import DATASETS, Dataset, read_dataset, read_dataset_rows
from wavrag.data.datasets.store import store_sounds

__all__ = [
    "DATASETS", "Dataset", "find_noise_files", "read_dataset", "read_dataset_rows", "store_sounds",
    "stream_noise_files",
]  # fmt: skip
