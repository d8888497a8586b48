"""Protocol of experiments: definition, run context, results.

Each experiment is a module with an `Experiment` named `EXPERIMENT`. Its `run` function takes a
`Context` and returns `Results`. Expensive work goes through `Context.step`, which stores the value
on disk, so that an interrupted run resumes. Reproducible numbers belong in `Results.tables`, and
measured times in `Results.timings`; they are written to separate files.
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

DIGITS = 6  # decimal places of results.json
QUICK_QUERIES = 6  # sample size of a quick run
RESULTS_FILE = "results.json"
TIMINGS_FILE = "timings.json"
STEPS_FOLDER = "steps"

StageCallback: TypeAlias = Callable[[str, int, int], None]  # stage, number of steps done, total

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+=-]*")


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its bootstrap interval.

    Attributes:
        mean: mean value.
        ci95: lower and upper end of the 95 % interval.
    """

    mean: float
    ci95: tuple[float, float]


Cell: TypeAlias = str | int | float | Estimate | None


def estimate(values: Sequence[float]) -> Estimate:
    """Compute the mean and interval of values, one per query; at least one."""
    return Estimate(mean(values), confidence_intervals({"": values})[""])


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        name: heading, with the unit.
        digits: decimal places of its numbers on a page.
    """

    name: str
    digits: int = 3


@dataclass(frozen=True, slots=True)
class Table:
    """A table of results.

    Attributes:
        name: name in the marks of a page; unique in its results.
        title: heading.
        columns: columns.
        rows: rows with one cell per column; None is displayed as a dash.
        note: explanation below the table.

    Raises:
        ValueError: a row does not have one cell per column.
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
    """Results of an experiment.

    Attributes:
        tables: reproducible numbers: runs with the same seed are equal to the bit.
        figures: file of each plot in the run folder, by name.
        captions: caption of each plot, by name.
        findings: sentences computed from the numbers, such as the crossing of two curves.
        left_out: missing parts of the experiment, with the reasons.
        timings: measured times and memory, different in every run.
    """

    tables: tuple[Table, ...]
    figures: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    captions: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    findings: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    timings: tuple[Table, ...] = ()


@dataclass(frozen=True, slots=True)
class Context:
    """Input of a run.

    Attributes:
        experiment: name of the experiment.
        version: version of its protocol.
        data: folder of the collected data, in the layout for `tools/make_tasks.py`.
        out: run folder.
        seed: random seed.
        quick: True for a tiny sample, for a test of the same code in seconds.
        models: folders of local models by name, such as `whisper-tiny`; systems without their
            model are listed in `Results.left_out`.
        options: adjustable numbers of the experiment, by name.
        on_progress: progress callback.
    """

    experiment: str
    version: int
    data: Path
    out: Path
    seed: int = 0
    quick: bool = False
    models: Mapping[str, Path] = field(default_factory=lambda: MappingProxyType({}))
    options: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    on_progress: StageCallback = lambda stage, completed, total: None

    def step(
        self, key: str, compute: Callable[[], Any], about: Mapping[str, Any] | None = None
    ) -> Any:
        """Compute the value of a step, or read it from the run folder if it is already there.

        Args:
            key: name of the step, valid as a file name.
            compute: returns a value for JSON, without NaN.
            about: further dependencies of the value, such as a model folder. The value is computed
                again if they differ from the stored ones, or if the version, seed, data folder or
                size of the run does.

        Returns:
            The value after a round trip through JSON (tuples become lists), the first time too.

        Raises:
            ValueError: the key is not valid as a file name.
        """
        if not _KEY.fullmatch(key):
            raise ValueError(
                f"{key!r} is not a valid key of a step: use letters, digits and . _ + = - only"
            )
        # A stored value is valid only for the same protocol, data, seed, size and release.
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
        stored = _read_step(path)
        if stored is not None and stored.get("stamp") == stamp:
            return stored["value"]
        text = json.dumps({"stamp": stamp, "value": compute()}, allow_nan=False)
        _write(path, text)
        return json.loads(text)["value"]

    def rows(self, name: str) -> list[dict[str, Any]]:
        """Read a `.jsonl` file of the data folder.

        Raises:
            InputError: the file is missing or malformed.
        """
        return read_rows(self.data / name)

    def size(self, usual: int, quick: int = QUICK_QUERIES) -> int:
        """Choose a sample size: `usual`, or `quick` in a quick run."""
        return quick if self.quick else usual


@dataclass(frozen=True, slots=True)
class Experiment:
    """Definition of an experiment.

    Attributes:
        name: name on the command line and of its page.
        title: title of its page.
        question: research question, in one sentence.
        version: version of the protocol; raise it with every change of the protocol.
        run: runs the experiment.
        options: defaults of the numbers adjustable by `--set`, by name.
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
    on_progress: StageCallback = lambda stage, completed, total: None,
) -> Results:
    """Run or resume an experiment, and write `results.json` and `timings.json`.

    Args:
        experiment: experiment to run.
        data: folder of the collected data.
        out: run folder; created if it does not exist.
        seed: random seed.
        quick: use a tiny sample.
        models: folders of local models by name.
        options: values of adjustable numbers, by name.
        on_progress: progress callback.

    Raises:
        InputError: a folder is missing, the run folder is within the data, or an option is unknown.
    """
    data, out = Path(data), Path(out)
    if not data.is_dir():
        raise InputError(f"{data} is not a folder: name the folder of the collected data")
    if out.resolve().is_relative_to(data.resolve()):
        raise InputError(f"{out} is within {data}, which is read-only: name another folder")
    for name, folder in models.items():
        if not folder.exists():
            raise InputError(f"model {name}: {folder} does not exist: name its folder")
    for name in options:
        if name not in experiment.options:
            names = ", ".join(sorted(experiment.options)) or "there are none"
            raise InputError(f"{experiment.name} has no option {name!r}; its options: {names}")
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
    """Convert the reproducible results to JSON values."""
    return {
        "tables": tables_list(results.tables),
        "figures": dict(results.figures),
        "findings": list(results.findings),
        "left_out": list(results.left_out),
    }


def tables_list(tables: Sequence[Table]) -> list[dict[str, Any]]:
    """Convert tables to JSON values."""
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
    """Read the objects of a file of JSON lines.

    Raises:
        InputError: the file cannot be read, or a line is malformed; the message names the line.
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
            raise InputError(f"{path}, line {number}: is not a JSON object")
        rows.append(row)
    return rows


def _cell(cell: Cell) -> Any:
    if isinstance(cell, Estimate):
        return {"mean": _rounded(cell.mean), "ci95": [_rounded(end) for end in cell.ci95]}
    return _rounded(cell) if isinstance(cell, float) else cell


def _rounded(value: float) -> float:
    return round(value, DIGITS) + 0.0  # turns -0.0 into 0.0


def _pretty(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def _read_step(path: Path) -> dict[str, Any] | None:
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise InputError(f"{path}: is damaged ({error}): remove it") from error
    return stored if isinstance(stored, dict) else None


def _write(path: Path, text: str) -> None:
    """Write a file atomically: an interrupted run leaves no partial file."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
