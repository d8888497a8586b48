"""The table of data sets, and reading by name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from wavrag.data.datasets import captions, msmarco, questions, sound_events, speech, squad
from wavrag.data.datasets.files import Rows
from wavrag.data.records import TrainingRecord
from wavrag.errors import InputError
from wavrag.types import OnNote


@dataclass(frozen=True, slots=True)
class Dataset:
    """A published data set."""

    name: str  # name in Python and on the command line
    # Kinds of query and positive in the training of the paper: `S2T` is speech to text. Some `S2T`
    # sets are published as text; `wavrag synth` speaks their queries.
    direction: str
    splits: tuple[str, ...]  # splits that can be read
    licence: str  # summary of the licence; the page has the terms
    page: str  # page with description and download
    layout: str  # required files of the folder
    # reads folder and split to records
    read: Callable[[Path, str, OnNote], Iterable[TrainingRecord]]
    # converts a row of the `datasets` library to a record, or None for a row without an answer;
    # None if the data set is not read from rows
    parse_row: Callable[[Any], TrainingRecord | None] | None = None


_ALL = (
    Dataset(
        "hotpotqa", "S2T", ("train", "dev"), "CC BY-SA 4.0", "https://hotpotqa.github.io",
        "`hotpot_train_v1.1.json`; for `dev`, `hotpot_dev_distractor_v1.json`",
        questions.read_hotpotqa, questions.parse_hotpotqa_row,
    ),
    Dataset(
        "quora", "S2T", ("train",), "terms of service of Quora",
        "https://quoradata.quora.com/First-Quora-Dataset-Release-Question-Pairs",
        "`quora_duplicate_questions.tsv`", questions.read_quora, questions.parse_quora_row,
    ),
    Dataset(
        "eli5", "T2T", ("train", "dev"), "KILT: MIT; the texts: terms of Reddit",
        "https://github.com/facebookresearch/KILT",
        "`eli5-train-kilt.jsonl` or `eli5-dev-kilt.jsonl`, the JSON Lines of KILT",
        questions.read_eli5, questions.parse_eli5,
    ),
    Dataset(
        "triviaqa", "T2T", ("train", "dev"),
        "none stated for questions and evidence; its code Apache-2.0",
        "https://nlp.cs.washington.edu/triviaqa/",
        "`qa/wikipedia-train.json` or `unfiltered-web-train.json` (`-dev` for `dev`), and "
        "`evidence/wikipedia/`",
        questions.read_triviaqa, questions.parse_triviaqa_row,
    ),
    Dataset(
        "squad", "T2T", ("train", "dev"), "CC BY-SA 4.0",
        "https://rajpurkar.github.io/SQuAD-explorer/",
        "`train-v1.1.json` or `train-v2.0.json` (`dev-…` for `dev`)", squad.read_squad,
        squad.parse_squad_row,
    ),
    Dataset(
        "msmarco", "T2T", ("train", "dev"), "non-commercial research only",
        "https://microsoft.github.io/msmarco/",
        "`collection.tsv`, `queries.train.tsv` and `qrels.train.tsv` (`.dev` for `dev`); for "
        "negatives `qidpidtriples.train.full.2.tsv`",
        msmarco.read_msmarco,
    ),
    Dataset(
        "slue-sqa-5", "S2S", ("train", "dev", "test", "verified-test"),
        "by source of the question, CC BY-SA 4.0 or Apache-2.0 among them; documents CC BY-SA 4.0",
        "https://asappresearch.github.io/slue-toolkit/",
        "`slue-sqa5_fine-tune.tsv`, `fine-tune/question/*.wav` and `fine-tune/document/*.wav` "
        "(`dev`, `test` or `verified-test` for those)",
        speech.read_slue_sqa5, speech.parse_slue_sqa5_row,
    ),
    Dataset(
        "spoken-squad", "T2S", ("train", "test", "test-wer44", "test-wer54"), "CC BY-SA 4.0",
        "https://github.com/Chia-Hsuan-Lee/Spoken-SQuAD",
        "`spoken_train-v1.1.json` and `train_wav/*.wav`; for the tests `spoken_test-v1.1.json`, "
        "`spoken_test-v1.1_WER44.json` or `spoken_test-v1.1_WER54.json`, and `dev_wav/*.wav`",
        squad.read_spoken_squad,
    ),
    Dataset(
        "heysquad", "S2T", ("train", "dev"), "CC BY 4.0; SQuAD: CC BY-SA 4.0",
        "https://huggingface.co/datasets/yijingwu/HeySQuAD_human",
        "`data/train-*.parquet`; for `dev`, `data/validation-*.parquet`", squad.read_heysquad,
    ),
    Dataset(
        "audiocaps", "AT2AT", ("train", "dev", "test"),
        "MIT, for academic use by its readme; sounds: terms of YouTube",
        "https://audiocaps.github.io",
        "`train.csv`, `val.csv` or `test.csv`, and the clips in `audio/`", captions.read_audiocaps,
    ),
    Dataset(
        "musiccaps", "AT2AT", ("train", "test"), "captions CC BY-SA 4.0; sounds: terms of YouTube",
        "https://arxiv.org/abs/2301.11325", "`musiccaps-public.csv` and the clips in `audio/`",
        captions.read_musiccaps,
    ),
    Dataset(
        "clotho", "AT2AT", ("train", "dev", "test"),
        "captions non-commercial; sounds Creative Commons, each its own",
        "https://github.com/audio-captioning/clotho-dataset",
        "`clotho_captions_development.csv` and `development/*.wav` (`validation` for `dev`, "
        "`evaluation` for `test`)",
        captions.read_clotho,
    ),
    Dataset(
        "voxceleb", "AT2AT", ("train", "test"), "CC BY 4.0; videos: terms of YouTube",
        "https://www.robots.ox.ac.uk/~vgg/data/voxceleb/",
        "`vox1_meta.csv` and `wav/PERSON/VIDEO/NNNNN.wav`", speech.read_voxceleb,
    ),
    Dataset(
        "xeno-canto", "AT2AT", ("train",), "Creative Commons, each recording its own",
        "https://xeno-canto.org/explore/api",
        "pages of the API, version 2 or 3, as `*.json`, and the recordings as `audio/*.mp3`",
        sound_events.read_xeno_canto,
    ),
    Dataset(
        "audioset-strong", "AT2AT", ("train", "test"), "labels CC BY 4.0; sounds: terms of YouTube",
        "https://research.google.com/audioset/download_strong.html",
        "`audioset_train_strong.tsv` (`audioset_eval_strong.tsv` for `test`), "
        "`mid_to_display_name.tsv` and the clips in `audio/`",
        sound_events.read_audioset_strong,
    ),
    Dataset(
        "vggsound", "AT2AT", ("train", "test"), "labels CC BY 4.0; sounds: terms of YouTube",
        "https://www.robots.ox.ac.uk/~vgg/data/vggsound/",
        "`vggsound.csv` and the clips in `audio/`", sound_events.read_vggsound,
    ),
)  # fmt: skip

DATASETS: Mapping[str, Dataset] = MappingProxyType({dataset.name: dataset for dataset in _ALL})
"""All data sets, by name."""


def read_dataset(
    name: str, folder: str | os.PathLike[str], *, split: str = "train", on_note: OnNote = None
) -> Iterator[TrainingRecord]:
    """Stream the records of a data set, in the order of its files.

    Args:
        name: one of `DATASETS`.
        folder: folder of the unpacked data set, as in `DATASETS[name].layout`.
        split: one of `DATASETS[name].splits`.
        on_note: called with `FILE:LINE: reason` for every malformed record, which is skipped, and
            with the number of unused rows; without it, the first malformed record is an error.

    Raises:
        InputError: name or split is unknown, or a file is missing, before the first record; or a
            record is malformed and there is no `on_note`.
        MissingExtraError: the data set is a JSON document and the extra `train` is not installed.

    Example:
        >>> records = read_dataset("squad", "downloads/squad", on_note=print)  # doctest: +SKIP
        >>> next(records).direction  # doctest: +SKIP
        'T2T'
    """
    dataset = _find_dataset(name)
    if split not in dataset.splits:
        raise InputError(f"{name} has no split {split!r}: choose from {', '.join(dataset.splits)}")
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder: name the one that {name} was unpacked in")
    try:
        return iter(dataset.read(folder, split, on_note))
    except InputError as error:
        raise InputError(
            f"{error}: the folder of {name} must hold {dataset.layout}; get it at {dataset.page}"
        ) from error


def read_dataset_rows(
    name: str, rows: Iterable[Any], *, on_note: OnNote = None
) -> Iterator[TrainingRecord]:
    """Convert rows of the `datasets` library to records.

    Supported are HotpotQA, Quora, ELI5 (of KILT), TriviaQA, SQuAD and SLUE-SQA-5, whose rows differ
    from the files or include the audio.

    Args:
        name: one of `DATASETS`.
        rows: dictionaries, a `Dataset` or an `IterableDataset`; audio stays encoded.
        on_note: see `read_dataset`.

    Raises:
        InputError: the name is unknown, the data set cannot be read from rows, or a row is
            malformed and there is no `on_note`.
    """
    parse_row = _find_dataset(name).parse_row
    if parse_row is None:
        names = ", ".join(dataset.name for dataset in _ALL if dataset.parse_row is not None)
        raise InputError(f"{name} is read from its files, with `read_dataset`: rows give {names}")
    pairs = ((f"{name}: row {n}", row) for n, row in enumerate(_keep_encoded(rows), start=1))
    return iter(Rows(pairs, on_note).map(parse_row, f"{name}: rows without an answer"))


def _find_dataset(name: str) -> Dataset:
    if name not in DATASETS:
        raise InputError(f"no data set {name!r}: choose from {', '.join(DATASETS)}")
    return DATASETS[name]


def _keep_encoded(rows: Any) -> Iterable[Any]:
    """Turn off the decoding of audio columns."""
    if not hasattr(rows, "cast_column"):
        return rows  # type: ignore[no-any-return]
    from datasets import Audio

    for column, feature in dict(rows.features or {}).items():
        if isinstance(feature, Audio):
            rows = rows.cast_column(column, Audio(decode=False))
    return rows  # type: ignore[no-any-return]
