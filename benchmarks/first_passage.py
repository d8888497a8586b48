"""The right passage first: embedders against the default of an earlier version, and the bars.

    python benchmarks/first_passage.py TASKS_DIR [--baseline COMMIT | --baseline-tree DIR]
        [--embedder NAME ...] [--limit N] [--cache DIR] [--speed] [--rounds N]
        [--json FILE] [--plot FILE.png]

TASKS_DIR holds task folders of tools/make_tasks.py; docs/evaluate.md names the command that writes
all of them. The baseline runs its own code, on the same tasks: `cascade`, and `wavretriever-mini`
for sounds. Prints a Markdown table of fused R@1 / R@10 with differences to the baseline, the
speed in turns (--speed, on an idle machine), and each bar with its measured value.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import first_passage_speed
from code_runs import METRICS, ROOT, CodeTree, Values, check_out, evaluate, read_tasks

from wavrag.data import Task
from wavrag.evaluate import mean, paired_randomisation

# `experiments` is no installed package: it lies beside this folder.
sys.path.insert(0, str(ROOT))

from experiments.base import Estimate, estimate
from experiments.plots import bars, drawing

SOUNDS = ("esc10", "kitchen20")  # starts of the names of tasks without speech
BASELINE, SOUND_BASELINE = "cascade", "wavretriever-mini"
SIGNIFICANT = 0.05
EPSILON = 1e-9  # differences of means are sums of floats

SPEED_ROWS = {  # label and unit of each figure, and a factor for the unit
    "question, wall s": ("question of 5 s: wall time, ms", 1_000.0),
    "question, CPU s": ("question of 5 s: CPU time, ms", 1_000.0),
    "question, peak MB": ("questions: peak memory, MB", 1.0),
    "indexing, audio s per wall s": ("indexing: audio seconds per second", 1.0),
    "indexing, CPU s per audio s": ("indexing: CPU seconds per hour of audio", 3_600.0),
    "indexing, peak MB": ("indexing: peak memory, MB", 1.0),
}
SPEED_BARS = {  # ratios to the baseline
    "question, wall s": {"most": 0.6},
    "question, CPU s": {"most": 0.8},
    "indexing, audio s per wall s": {"least": 2.0},
    "indexing, peak MB": {"most": 1.0},
}


@dataclass(frozen=True)
class Measurements:
    """Results of all systems.

    Attributes:
        baseline: values of each task.
        embedders: values of each task for each embedder of the present code; sounds only for those
            that hear them.
        speed: medians of each system, the baseline first; empty if not measured.
    """

    baseline: Mapping[str, Values]
    embedders: Mapping[str, Mapping[str, Values]]
    speed: Sequence[Mapping[str, float]] = ()

    def score(self, embedder: str | None, task: str, metric: str) -> float | None:
        """Compute the mean over queries; None if not measured. Embedder None is the baseline."""
        values = self.baseline if embedder is None else self.embedders[embedder]
        return mean(values[task][metric]) if task in values else None

    def gain(self, embedder: str, task: str, metric: str) -> float | None:
        """Subtract the mean of the baseline."""
        score, baseline = self.score(embedder, task, metric), self.score(None, task, metric)
        return None if score is None or baseline is None else score - baseline

    def ratio(self, embedder: str, figure: str) -> float | None:
        """Divide a figure of speed by that of the baseline."""
        if not self.speed:
            return None
        number = 1 + list(self.embedders).index(embedder)
        return self.speed[number][figure] / self.speed[0][figure]


@dataclass(frozen=True)
class Bar:
    """A bar and the measured value; None if it was not measured."""

    label: str
    measured: float | None
    least: float | None = None
    most: float | None = None

    @property
    def verdict(self) -> str:
        """Say `met`, `NOT MET` or `not measured`."""
        if self.measured is None:
            return "not measured"
        low = self.least is None or self.measured >= self.least - EPSILON
        high = self.most is None or self.measured <= self.most + EPSILON
        return "met" if low and high else "NOT MET"

    def __str__(self) -> str:
        limit = f"at least {self.least:g}" if self.least is not None else f"at most {self.most:g}"
        value = "-" if self.measured is None else f"{self.measured:.3f}"
        return f"{self.verdict:12} {value:>7}  {limit:14} {self.label}"


def list_bars(results: Measurements, default: str, fast: str | None) -> Iterator[Bar]:
    """Compare the default embedder, and the fast one if given, with all bars."""

    def gain_bar(task: str, metric: str, least: float) -> Bar:
        label = f"{default}: gain of {metric} on {task}"
        return Bar(label, results.gain(default, task, metric), least)

    yield gain_bar("squad-spoken", "recall@1", 0.07)
    yield gain_bar("squad-spoken", "recall@10", -0.01)
    yield gain_bar("librispeech", "recall@1", 0.0)
    for task in ("squad-spoken", "librispeech"):
        for noise in ("babble", "ambience"):
            for level in (5, 0):
                yield gain_bar(f"{task}-{noise}-{level}db", "recall@1", 0.0)
    # The bars were set on paragraphs without titles; `qed` with titles is easier.
    for task in ("qed-untitled", "qed"):
        for metric, least in (("recall@1", 0.857), ("recall@10", 0.959)):
            yield Bar(f"{default}: {metric} on {task}", results.score(default, task, metric), least)
        misspelled = results.score(default, f"{task}-misspelled", "recall@10")
        correct = results.score(default, task, "recall@10")
        loss = None if misspelled is None or correct is None else correct - misspelled
        yield Bar(f"{default}: recall@10 lost by misspelled names on {task}", loss, most=0.03)
    if fast is not None:
        for task in results.baseline:
            if not task.startswith(SOUNDS) and (share := fast_share(task)) is not None:
                score = results.score(fast, task, "recall@10")
                baseline = results.score(None, task, "recall@10")
                ratio = None if score is None or not baseline else score / baseline
                yield Bar(f"{fast}: share of the baseline's recall@10 on {task}", ratio, share)
    for task in results.baseline:
        if task.startswith(SOUNDS):
            yield from (gain_bar(task, metric, 0.0) for metric in METRICS)
    for figure, limits in SPEED_BARS.items():
        yield Bar(f"{default}: ratio of {figure}", results.ratio(default, figure), **limits)


def fast_share(task: str) -> float | None:
    """Return the share of the baseline's R@10 that the fast embedder must keep on a task."""
    if task.endswith("-5db"):
        return 0.9
    return None if task.endswith(("db", "-far")) else 0.95


def format_table(results: Measurements, tasks: Mapping[str, Task], baseline: str) -> str:
    """Format R@1 / R@10 as a Markdown table, one row per task."""
    names = list(results.embedders)
    lines = [
        f"| task | queries | {baseline} | " + " | ".join(f"`{name}`" for name in names) + " |",
        "|---" * (3 + len(names)) + "|",
    ]
    for task in tasks:
        cells = [format_scores(results.baseline[task])]
        for name in names:
            values = results.embedders[name].get(task)
            cells.append("" if values is None else format_gains(results.baseline[task], values))
        lines.append(f"| `{task}` | {len(tasks[task].queries):,} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def format_scores(values: Values) -> str:
    """Format R@1 / R@10."""
    return " / ".join(f"{mean(values[metric]):.3f}".lstrip("0") for metric in METRICS)


def format_gains(baseline: Values, values: Values) -> str:
    """Format R@1 / R@10 with differences; a star marks p < `SIGNIFICANT`."""
    gains = []
    for metric in METRICS:
        difference = paired_randomisation(baseline[metric], values[metric])
        star = "*" if difference.p < SIGNIFICANT else ""
        gains.append(f"{difference.difference:+.3f}{star}".replace("0.", ".", 1))
    return f"{format_scores(values)} ({', '.join(gains)})"


def format_speed(results: Measurements, baseline: str) -> str:
    """Format the medians as a Markdown table with ratios to the baseline."""
    names = [f"`{name}`" for name in results.embedders]
    lines = [f"| | {baseline} | " + " | ".join(names) + " |", "|---" * (2 + len(names)) + "|"]
    for figure, (label, factor) in SPEED_ROWS.items():
        first, *others = (values[figure] for values in results.speed)
        cells = [f"{first * factor:,.0f}"]
        cells += [f"{value * factor:,.0f} ({value / first:.2f})" for value in others]
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def draw(results: Measurements, baseline: str, path: Path) -> None:
    """Draw R@1 and R@10 of all tasks with intervals."""
    names = list(results.baseline)
    with drawing(path, 4 + 0.5 * len(names), 7.0, rows=2) as panes:
        for pane, metric in zip(panes, METRICS, strict=True):
            series: dict[str, list[Estimate | None]] = {}
            series[baseline] = [estimate(results.baseline[name][metric]) for name in names]
            for embedder, tasks in results.embedders.items():
                series[embedder] = [
                    estimate(tasks[name][metric]) if name in tasks else None for name in names
                ]
            bars(pane, names, series, ylabel=f"{metric}, fused")
        panes[0].tick_params(axis="x", labelbottom=False)
        panes[1].tick_params(axis="x", labelrotation=90)
        panes[0].legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(series))


def measure(
    tree: CodeTree, tasks: Mapping[str, Task], arguments: argparse.Namespace
) -> Measurements:
    """Measure the baseline and the present embedders."""
    present = CodeTree("present", ROOT)
    for version in (tree, present):
        version.check()
    sounds = {name: task for name, task in tasks.items() if name.startswith(SOUNDS)}
    speech = {name: task for name, task in tasks.items() if name not in sounds}
    baseline = dict(evaluate(tree, BASELINE, speech, arguments.cache))
    baseline |= evaluate(tree, SOUND_BASELINE, sounds, arguments.cache)
    embedders = {
        name: evaluate(present, name, speech if name.startswith("cascade") else tasks)
        for name in arguments.embedder
    }
    speed: list[Any] = []
    if arguments.speed:
        print(f"load of this machine: {os.getloadavg()[0]:.1f}", file=sys.stderr)
        systems = [(tree, BASELINE), *((present, name) for name in embedders)]
        speed = first_passage_speed.measure(systems, arguments.tasks, arguments.rounds)
    return Measurements({name: baseline[name] for name in tasks}, embedders, speed)


def main() -> None:
    """Measure, and print tables and bars."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tasks", type=Path, metavar="TASKS_DIR")
    parser.add_argument("--baseline", default="40fceed", metavar="COMMIT", help="default: 40fceed")
    parser.add_argument(
        "--baseline-tree",
        type=Path,
        metavar="DIR",
        help="checkout of the baseline, if there is one",
    )
    parser.add_argument(
        "--embedder",
        action="append",
        metavar="NAME",
        help="first: the candidate (default: wavretriever)",
    )
    parser.add_argument("--only", nargs="+", metavar="TASK", help="tasks (default: all)")
    parser.add_argument("--limit", type=int, metavar="N", help="maximum number of queries per task")
    parser.add_argument(
        "--cache", type=Path, metavar="DIR", help="folder that keeps results of the baseline"
    )
    parser.add_argument("--speed", action="store_true", help="measure speed and memory, too")
    parser.add_argument("--rounds", type=int, default=3, help="turns of --speed (default: 3)")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--plot", type=Path, metavar="FILE.png")
    arguments = parser.parse_args()
    arguments.embedder = arguments.embedder or ["wavretriever"]
    tasks = read_tasks(arguments.tasks, arguments.limit)
    if unknown := set(arguments.only or ()) - tasks.keys():
        parser.error(f"no task {', '.join(sorted(unknown))} in {arguments.tasks}")
    tasks = {name: tasks[name] for name in arguments.only or tasks}
    given = arguments.baseline_tree
    tree_context = (
        nullcontext(CodeTree(arguments.baseline, given)) if given else check_out(arguments.baseline)
    )
    with tree_context as tree:
        results = measure(tree, tasks, arguments)
    label = f"{BASELINE} at {arguments.baseline}"
    default = arguments.embedder[0]
    fast = next((name for name in arguments.embedder if name.endswith("-fast")), None)
    verdicts = list(list_bars(results, default, fast))
    print(format_table(results, tasks, label))
    print(f"\nIn brackets: differences; * has p < {SIGNIFICANT:g} (paired randomisation test).")
    print(f"The baseline of sounds is {SOUND_BASELINE}.")
    if results.speed:
        print(f"\n{format_speed(results, label)}\n\nIn brackets: ratios to the baseline.")
    print("\n" + "\n".join(map(str, verdicts)))
    if arguments.json:
        document = asdict(results) | {
            "bars": [asdict(bar) | {"verdict": bar.verdict} for bar in verdicts]
        }
        arguments.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if arguments.plot:
        draw(results, label, arguments.plot)


if __name__ == "__main__":
    main()
