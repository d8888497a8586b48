"""What an experiment is, what it is given, and what it gives.

An experiment is a module with `EXPERIMENT`, an `Experiment` whose `run` takes a `Context` and
returns `Results`. All that takes long goes through `Context.step`, which keeps its value on disk:
a run that was killed goes on where it stopped. Numbers that a second run repeats go into
`Results.tables`, measured times into `Results.timings`; they are written to different files.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

from wavrag.errors import InputError
from wavrag.evaluate import confidence_intervals, mean

DIGITS = 6  # after the point, of the numbers in results.json
QUICK_QUERIES = 6  # of a quick run
RESULTS_FILE = "results.json"
TIMINGS_FILE = "timings.json"
STEPS_FOLDER = "steps"

StageSink: TypeAlias = Callable[[str, int, int], None]  # stage, how many are done, of how many

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+=-]*")


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean and its bootstrap interval.

    Attributes:
        mean: of the values.
        ci95: ends of the interval of 95 %.
    """

    mean: float
    ci95: tuple[float, float]


Cell: TypeAlias = str | int | float | Estimate | None


def estimate(values: Sequence[float]) -> Estimate:
    """The mean of values, one a query, at least one, with its interval."""
    return Estimate(mean(values), confidence_intervals({"": values})[""])


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        name: its head, with the unit.
        digits: after the point, of its numbers on a page.
    """

    name: str
    digits: int = 3


@dataclass(frozen=True, slots=True)
class Table:
    """Numbers in rows.

    Attributes:
        name: by which a page names it; unique in its results.
        title: what it shows.
        columns: heads.
        rows: a cell a column each; None is shown as a dash.
        note: what must be known to read it.

    Raises:
        ValueError: a row has another number of cells than there are columns.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"{self.name}: {row} is no row of {len(self.columns)} columns")


@dataclass(frozen=True, slots=True)
class Results:
    """What an experiment found.

    Attributes:
        tables: what a second run with the same seed repeats to the bit.
        figures: names of the plots, each with its file in the run's folder.
        captions: of each plot, by its name.
        findings: sentences computed from the numbers, such as where curves cross.
        left_out: what could not be run here, and why.
        timings: measured times and memory, which no run repeats exactly.
    """

    tables: tuple[Table, ...]
    figures: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    captions: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    findings: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    timings: tuple[Table, ...] = ()


@dataclass(frozen=True, slots=True)
class Context:
    """What a run is given.

    Attributes:
        experiment: its name.
        version: of its protocol.
        data: folder of the collected data, as `tools/make_tasks.py` takes it.
        out: folder of the run.
        seed: of every draw.
        quick: a tiny size, by the same code, that runs in seconds.
        models: folders of local models by name, such as `whisper-tiny`; what is missing is left
            out, and said in the results.
        options: numbers that the experiment lets be set, by name.
        on_progress: told how far a stage is.
    """

    experiment: str
    version: int
    data: Path
    out: Path
    seed: int = 0
    quick: bool = False
    models: Mapping[str, Path] = field(default_factory=lambda: MappingProxyType({}))
    options: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    on_progress: StageSink = lambda stage, done, total: None

    def step(
        self, key: str, compute: Callable[[], Any], about: Mapping[str, Any] | None = None
    ) -> Any:
        """The value of a step: read back if it was computed before, otherwise computed and kept.

        Args:
            key: its name, fit for a file's.
            compute: gives a value that JSON holds, without NaN.
            about: what else the value depends on, such as a model's folder or options; a value
                kept for another is computed again, as is that of another version, seed, data
                folder or size.

        Returns:
            The value as JSON gives it back (tuples are lists), the first time too.

        Raises:
            ValueError: the key is no name of a file.
        """
        if not _KEY.fullmatch(key):
            raise ValueError(f"{key!r} is no key of a step: letters, digits and . _ + = - only")
        stamp = {
            "experiment": self.experiment,
            "version": self.version,
            "seed": self.seed,
            "quick": self.quick,
            "data": str(self.data.resolve()),
            "wavrag": version("wavrag"),
            "about": json.loads(json.dumps(dict(about or {}))),
        }
        path = self.out / STEPS_FOLDER / f"{key}.json"
        kept = _read_step(path)
        if kept is not None and kept.get("stamp") == stamp:
            return kept["value"]
        text = json.dumps({"stamp": stamp, "value": compute()}, allow_nan=False)
        _write(path, text)
        return json.loads(text)["value"]

    def rows(self, name: str) -> list[dict[str, Any]]:
        """The lines of a `.jsonl` file of the data.

        Raises:
            InputError: it is not there, or malformed.
        """
        return read_rows(self.data / name)

    def size(self, usual: int, quick: int = QUICK_QUERIES) -> int:
        """How many to take: `usual`, or `quick` of a quick run."""
        return quick if self.quick else usual


@dataclass(frozen=True, slots=True)
class Experiment:
    """A question and how it is answered.

    Attributes:
        name: of the command line, and of its page.
        title: of its page.
        question: in one sentence, what it answers.
        version: of the protocol; raise it when the protocol changes.
        run: answers it.
        options: names of the numbers that `--set` may change, with their defaults.
    """

    name: str
    title: str
    question: str
    version: int
    run: Callable[[Context], Results]
    options: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))


def run_experiment(
    experiment: Experiment,
    *,
    data: str | os.PathLike[str],
    out: str | os.PathLike[str],
    seed: int = 0,
    quick: bool = False,
    models: Mapping[str, Path] = MappingProxyType({}),
    options: Mapping[str, float] = MappingProxyType({}),
    on_progress: StageSink = lambda stage, done, total: None,
) -> Results:
    """Run an experiment, from where it stopped, and write `results.json` and `timings.json`.

    Args:
        experiment: which.
        data: folder of the collected data.
        out: folder of the run; made if it is not there.
        seed: of every draw.
        quick: run a tiny size.
        models: folders of local models by name.
        options: numbers to change, by name.
        on_progress: told how far a stage is.

    Raises:
        InputError: a folder is not there or within the data, or an option is unknown.
    """
    data, out = Path(data), Path(out)
    if not data.is_dir():
        raise InputError(f"{data} is no folder: name the folder of the collected data")
    if out.resolve().is_relative_to(data.resolve()):
        raise InputError(f"{out} lies within {data}, which is only read: name another folder")
    for name, folder in models.items():
        if not folder.exists():
            raise InputError(f"model {name}: {folder} is not there: name its folder")
    for name in options:
        if name not in experiment.options:
            known = ", ".join(sorted(experiment.options)) or "it has none"
            raise InputError(f"{experiment.name} has no option {name!r}: {known}")
    (out / STEPS_FOLDER).mkdir(parents=True, exist_ok=True)
    results = experiment.run(
        Context(
            experiment=experiment.name,
            version=experiment.version,
            data=data,
            out=out,
            seed=seed,
            quick=quick,
            models=models,
            options={**experiment.options, **options},
            on_progress=on_progress,
        )
    )
    about = {
        "experiment": experiment.name,
        "title": experiment.title,
        "question": experiment.question,
        "version": experiment.version,
        "seed": seed,
        "quick": quick,
        "models": sorted(models),
        "options": {**experiment.options, **options},
        "wavrag": version("wavrag"),
    }
    _write(out / RESULTS_FILE, _pretty(about | results_dict(results)))
    _write(out / TIMINGS_FILE, _pretty(about | {"tables": tables_list(results.timings)}))
    return results


def results_dict(results: Results) -> dict[str, Any]:
    """What a second run repeats, in the shape of JSON."""
    return {
        "tables": tables_list(results.tables),
        "figures": dict(results.figures),
        "findings": list(results.findings),
        "left_out": list(results.left_out),
    }


def tables_list(tables: Sequence[Table]) -> list[dict[str, Any]]:
    """Tables in the shape of JSON."""
    return [
        {
            "name": table.name,
            "title": table.title,
            "columns": [column.name for column in table.columns],
            "rows": [[_cell(cell) for cell in row] for row in table.rows],
            "note": table.note,
        }
        for table in tables
    ]


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The objects of a file of JSON lines.

    Raises:
        InputError: it cannot be read, or a line is malformed; the message names it.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: cannot be read ({error}): name the folder that docs/evaluate.md describes"
        ) from error
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise InputError(f"{path}, line {number}: is not JSON ({error})") from error
        if not isinstance(row, dict):
            raise InputError(f"{path}, line {number}: is no object")
        rows.append(row)
    return rows


def _cell(cell: Cell) -> Any:
    if isinstance(cell, Estimate):
        return {"mean": _rounded(cell.mean), "ci95": [_rounded(end) for end in cell.ci95]}
    return _rounded(cell) if isinstance(cell, float) else cell


def _rounded(value: float) -> float:
    return round(value, DIGITS) + 0.0  # no -0.0


def _pretty(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def _read_step(path: Path) -> dict[str, Any] | None:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise InputError(f"{path}: is damaged ({error}): remove it") from error
    return kept if isinstance(kept, dict) else None


def _write(path: Path, text: str) -> None:
    """Whole or not at all: a killed run leaves no half file."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        unfinished.write_text(text, encoding="utf-8")
        os.replace(unfinished, path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
