"""The frame of the experiments: steps that are kept, results on disk, pages, plots, the command."""

import json
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from experiments import (
    Column,
    Context,
    Estimate,
    Experiment,
    Results,
    Table,
    estimate,
    load_experiment,
    run_experiment,
    write_page,
)
from experiments.__main__ import EXPERIMENTS_COMMAND, main
from experiments.base import read_rows
from experiments.page import markdown_table, text_table
from experiments.plots import bars, drawing, lines
from wavrag.cli import CommandParser
from wavrag.errors import InputError


@pytest.fixture
def context(tmp_path: Path) -> Context:
    (tmp_path / "data").mkdir()
    (tmp_path / "out" / "steps").mkdir(parents=True)
    return Context("trial", 1, tmp_path / "data", tmp_path / "out")


def test_a_step_is_computed_once(context: Context) -> None:
    calls: list[int] = []

    def compute() -> dict[str, object]:
        calls.append(1)
        return {"pair": (1, 2.5)}

    first = context.step("one", compute)
    assert first == {"pair": [1, 2.5]}  # as JSON gives it back, the first time too
    assert context.step("one", compute) == first
    assert len(calls) == 1


@pytest.mark.parametrize(
    "changed", [{"seed": 1}, {"quick": True}, {"version": 2}, {"experiment": "other"}]
)
def test_a_step_of_another_run_is_computed_again(
    context: Context, changed: dict[str, object]
) -> None:
    context.step("one", lambda: 1)
    assert replace(context, **changed).step("one", lambda: 2) == 2  # type: ignore[arg-type]


def test_a_step_depends_on_what_it_is_about(context: Context, tmp_path: Path) -> None:
    assert context.step("one", lambda: 1, {"model": "a"}) == 1
    assert context.step("one", lambda: 2, {"model": "a"}) == 1
    assert context.step("one", lambda: 3, {"model": "b"}) == 3
    (tmp_path / "more").mkdir()
    assert replace(context, data=tmp_path / "more").step("one", lambda: 4, {"model": "b"}) == 4


def test_a_step_that_fails_leaves_nothing(context: Context) -> None:
    def fail() -> None:
        raise RuntimeError("cut off")

    with pytest.raises(RuntimeError, match="cut off"):
        context.step("one", fail)
    with pytest.raises(ValueError, match="Out of range float"):
        context.step("one", lambda: float("nan"))
    assert not list((context.out / "steps").iterdir())
    with pytest.raises(ValueError, match="is not a valid key of a step"):
        context.step("../one", lambda: 1)


def test_a_damaged_step_is_named(context: Context) -> None:
    context.step("one", lambda: 1)
    (context.out / "steps" / "one.json").write_text('{"stamp":')
    with pytest.raises(InputError, match=r"one\.json: is damaged .*: remove it"):
        context.step("one", lambda: 1)


def trial(context: Context) -> Results:
    values = context.step("values", lambda: [0.0, 1.0, 1.0, 1.0])
    table = Table(
        "recall",
        "Recall by system",
        (Column("system"), Column("recall@1", 2), Column("n")),
        (("one", estimate(values), len(values)), ("two | three", None, 0)),
        "Of four questions.",
    )
    with drawing(context.out / "curve.png") as (axes,):
        series = {"one": [estimate(values), estimate(values[1:])], "two": [0.5, None]}
        lines(axes, [0, 5], series, xlabel="SNR, dB", ylabel="recall@1")
        axes.legend()
    seconds = Table("seconds", "Measured", (Column("s", 1),), ((1.25,),))
    return Results(
        (table,),
        figures={"curve": "curve.png"},
        captions={"curve": "Recall@1 by noise"},
        findings=("They cross at 3.2 dB.",),
        left_out=("whisper-tiny: no --model named it",),
        timings=(seconds,),
    )


TRIAL = Experiment("trial", "A trial", "Does it run?", 1, trial, {"price": 2.0})


def test_results_on_disk_are_the_same_bytes_again(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for out in ("a", "b"):
        run_experiment(TRIAL, data=tmp_path / "data", out=tmp_path / out, options={"price": 3.0})
    texts = [(tmp_path / out / "results.json").read_bytes() for out in ("a", "b")]
    assert texts[0] == texts[1]
    plots = [(tmp_path / out / "curve.png").read_bytes() for out in ("a", "b")]
    assert plots[0] == plots[1]
    assert len(plots[0]) < 80_000
    results = json.loads(texts[0])
    assert results["options"] == {"price": 3.0}
    # Resampled means of 0, 1, 1, 1 lie between a quarter and one.
    assert results["tables"][0]["rows"][0] == ["one", {"mean": 0.75, "ci95": [0.25, 1.0]}, 4]
    assert "seconds" not in texts[0].decode()
    timings = json.loads((tmp_path / "a" / "timings.json").read_text(encoding="utf-8"))
    assert timings["tables"][0]["rows"] == [[1.25]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"data": "nowhere"}, "nowhere is not a folder"),
        ({"out": "data/run"}, "is within .*data, which is read-only"),
        ({"models": {"whisper-tiny": Path("gone")}}, "model whisper-tiny: gone does not exist"),
        ({"options": {"prize": 1.0}}, "trial has no option 'prize'; its options: price"),
    ],
)
def test_bad_input_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: dict[str, object], message: str
) -> None:
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    given = {"data": "data", "out": "out", **arguments}
    with pytest.raises(InputError, match=message):
        run_experiment(TRIAL, **given)  # type: ignore[arg-type]


def test_rows_of_the_data(tmp_path: Path) -> None:
    file = tmp_path / "some.jsonl"
    with pytest.raises(InputError, match=r"some\.jsonl: cannot be read"):
        read_rows(file)
    file.write_text('{"id": "a"}\n[1]\n')
    with pytest.raises(InputError, match=r"line 2: is not a JSON object"):
        read_rows(file)
    file.write_text('{"id": "a"}\n')
    assert read_rows(file) == [{"id": "a"}]


def test_a_page_keeps_its_prose_and_gets_the_numbers(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    results = run_experiment(TRIAL, data=tmp_path / "data", out=tmp_path / "out")
    page = tmp_path / "trial.md"
    page.write_text(
        "# Trial\n\nProse.\n\n<!-- table: recall -->\nold\n<!-- end -->\n\nMore.\n\n"
        "<!-- figure: curve -->\n<!-- end -->\n\n<!-- findings -->\n<!-- end -->\n"
        "<!-- left out -->\n<!-- end -->\n<!-- table: seconds -->\n<!-- end -->\nEnd.\n"
    )
    write_page(page, results, tmp_path / "out")
    text = page.read_text()
    assert text.startswith("# Trial\n\nProse.\n\n<!-- table: recall -->\n\n**Recall by system**\n")
    assert "| one | 0.75 [0.25 1.00] | 4 |\n| two \\| three | – | 0 |\n" in text
    assert "old" not in text
    assert "![Recall@1 by noise](trial-curve.png)" in text
    assert "- They cross at 3.2 dB." in text
    assert "- whisper-tiny: no --model named it" in text
    assert "| 1.2 |" in text
    assert text.endswith("End.\n")
    assert (tmp_path / "trial-curve.png").read_bytes() == (
        tmp_path / "out" / "curve.png"
    ).read_bytes()
    write_page(page, results, tmp_path / "out")
    assert page.read_text() == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<!-- table: other -->\n<!-- end -->\n", "there is no table 'other': the results have re"),
        ("<!-- figure: other -->\n<!-- end -->\n", "there is no figure 'other'"),
        ("<!-- table: recall -->\nprose\n", "a mark has no"),
        ("<!-- table: recall -->\n<!-- findings -->\n<!-- end -->\n", "a mark has no"),
    ],
)
def test_a_page_with_bad_marks_is_left_alone(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "data").mkdir()
    results = run_experiment(TRIAL, data=tmp_path / "data", out=tmp_path / "out")
    page = tmp_path / "trial.md"
    page.write_text(text)
    with pytest.raises(InputError, match=message):
        write_page(page, results, tmp_path / "out")
    assert page.read_text() == text


def test_tables_for_people() -> None:
    table = Table(
        "t", "Title", (Column("name"), Column("share", 2)), (("a", 0.5), ("bc", None)), "Note."
    )
    assert text_table(table) == "Title\nname  share\na     0.50\nbc    –\nNote."
    assert "| --- | ---: |" in markdown_table(table)
    with pytest.raises(ValueError, match="is no row of 2 columns"):
        replace(table, rows=(("a",),))


def test_bars_leave_out_what_is_missing(tmp_path: Path) -> None:
    with drawing(tmp_path / "bars.png", columns=2) as (left, right):
        some = {"a": [Estimate(0.5, (0.4, 0.6)), 0.2], "b": [None, 0.3]}
        bars(left, ["x", "y"], some, ylabel="recall@1")
        assert [patch.get_height() for patch in left.patches] == [0.5, 0.2, 0.3]
        right.set_axis_off()
    assert (tmp_path / "bars.png").read_bytes().startswith(b"\x89PNG")


def test_help_ends_with_examples_that_parse() -> None:
    parser = CommandParser(EXPERIMENTS_COMMAND, EXPERIMENTS_COMMAND.name)
    _, _, examples = parser.format_help().rpartition("examples:\n")
    for line in examples.splitlines():
        python, option, package, *arguments = shlex.split(line)
        assert (python, option, package) == ("python", "-m", "experiments")
        name = parser.parse_args(arguments).name
        assert name is None or load_experiment(name).name == name


def test_an_unknown_experiment_is_named() -> None:
    with pytest.raises(InputError, match="no experiment is called 'alchemy': choose one of ablat"):
        load_experiment("alchemy")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name an experiment"),
        (["noise"], "name the folder of the data"),
        (["noise", "--data", ".", "--page", "nowhere.md"], "is no file: write the page first"),
        (["noise", "--data", ".", "--model", "whisper"], "write NAME=VALUE"),
        (["noise", "--data", ".", "--set", "price=dear"], "'dear' is no number"),
    ],
)
def test_wrong_usage(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments]) == 2
    assert message in capsys.readouterr().err


def test_peak_memory_is_of_the_program_and_not_of_what_started_it() -> None:
    child = "from experiments.indexing import peak_memory; print(peak_memory())"
    parent = (
        "import subprocess, sys; held = b'x' * 600_000_000;"
        f" print(subprocess.check_output([sys.executable, '-c', {child!r}], text=True))"
    )
    said = subprocess.run(
        [sys.executable, "-c", parent], capture_output=True, text=True, check=True
    )
    assert 10_000_000 < int(said.stdout) < 550_000_000
