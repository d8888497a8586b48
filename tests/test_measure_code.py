import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import measure_code

    return measure_code


@pytest.fixture
def package(tool, tmp_path):
    def write(**files):
        """Write a package `pkg`; a key `a__b` is the file a/b.py, `a__init` is a/__init__.py."""
        for name, text in files.items():
            path = tmp_path / "pkg" / (name.replace("__init", "____init__").replace("__", "/", 1))
            path = path.with_name(path.name + ".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return tool.Package(tmp_path / "pkg")

    return write


def texts(measurement):
    return [offender.text for offender in measurement.offenders]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("asked", True),
        ("found", True),
        ("unsaid", True),
        ("hearing", True),
        ("parsed", False),
        ("embedding", False),
        ("seed", False),
        ("read", False),
        ("unknown", False),
    ],
)
def test_participles(tool, word, expected):
    assert tool.is_participle(word) is expected


def test_names_count_once_per_scope(tool, package):
    pkg = package(
        a="""
class Asked:
    given: int
    closed: bool = False

    def __init__(self, one, count):
        self.given = one
        self.total = count

    def words_heard(self):
        found = 1
        found = 2
        return found

    def is_found(self): ...

    def found(self) -> bool: ...

def f(place, words_made):
    for token, _ in place:
        yield token
"""
    )
    measurement = tool.measure_names(pkg)
    assert texts(measurement) == ["Asked", "given", "one", "words_heard", "found", "place"]
    # Beside those: closed, count, total, is_found, found() -> bool, f, words_made, token.
    assert measurement.value == pytest.approx(1000 * 6 / 14)
    assert [offender.line for offender in measurement.offenders] == [2, 3, 6, 10, 11, 19]


def test_a_boolean_may_be_a_participle(tool, package):
    pkg = package(a="def f(kept: bool, told: bool | None, said: str):\n    done = not kept\n")
    assert texts(tool.measure_names(pkg)) == ["said"]


def test_pronouns_and_vague_nouns_are_judged_by_the_whole_name(tool, package):
    pkg = package(
        a="other = 1\nother_model = 2\nparts = 3\nserver_side = 4\n_rest = 5\nSO_FAR = 6\n"
    )
    kinds = {o.text: o.kind for o in tool.measure_names(pkg).offenders}
    assert kinds == {
        "other": "pronoun",
        "parts": "vague noun",
        "_rest": "pronoun",
        "SO_FAR": "pronoun",
    }


def test_the_right_operand_of_a_special_method_is_other(tool, package):
    pkg = package(a="class A:\n    def __eq__(self, other): ...\n    def merge(self, other): ...\n")
    assert [o.line for o in tool.measure_names(pkg).offenders] == [3]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Return the passage that an answer cites.", 1),
        ("Wait for requests that share a prefix.", 1),
        ("A property which is true, of a clip whose voice is low.", 2),
        ("Return `x` that is cut.", 1),
        ("The folder where all models are.", 1),
        ("Check that the input is valid, so that it fits.", 0),
        ("Say which model is used and where the weights are.", 1),
        ("Which model is used? That of the caller.", 0),
        ("Compare with that of the model.", 0),
    ],
)
def test_relative_clauses(tool, text, count):
    tokens = tool.tokenize_prose(text, 1)
    assert sum(tool.is_relative(tokens, index) for index in range(len(tokens))) == count


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("What the environment decides.", 1),
        ("Of what was heard, and what not.", 2),
        ("Say what a vector is.", 0),
        ("What is it?", 0),
    ],
)
def test_what_as_a_noun(tool, text, count):
    tokens = tool.tokenize_prose(text, 1)
    assert sum(tool.is_what_noun(tokens, index) for index in range(len(tokens))) == count


def test_prose_is_measured_per_thousand_words_of_docstrings(tool, package):
    # "that" in the code span, the comment and the doctest is no prose.
    pkg = package(
        a='''"""The words.

`a that is`
>>> clips that_are
"""
# a comment that is here


def f():
    """Join
    clips that overlap."""
'''
    )
    measurement = tool.measure_relative_clauses(pkg)
    # Words: the, words, code; join, clips, that, overlap.
    assert measurement.value == pytest.approx(1000 / 7)
    assert [offender.line for offender in measurement.offenders] == [11]


def test_comments_leave_out_directives_and_strings(tool):
    text = (
        '#!/bin/python\n# a reason\nx = 1  # another\ny = "# no"  # noqa: E501\nz = 1  # type: x\n'
    )
    assert tool.comment_lines(text) == [2, 3]


def test_comments_per_hundred_lines(tool, package):
    pkg = package(a="# one\n\n\nx = 1\n", b="y = 1  # two\n")
    assert tool.measure_comments(pkg).value == pytest.approx(100 * 2 / 5)


def test_lines_of_rooms(tool, package):
    pkg = package(init="", a="x = 1\n", big__b="1\n2\n3\n", small__init="1\n")
    assert pkg.room_lines() == {"big": 3, "": 1, "small": 1}
    assert tool.measure_largest_room(pkg).value == pytest.approx(60)


def test_functions_over_sixty_lines(tool, package):
    pkg = package(a="def short():\n" + "    1\n" * 59 + "def long():\n" + "    1\n" * 60)
    assert tool.measure_functions(pkg).value == 2
    assert texts(tool.measure_long_functions(pkg)) == ["long"]


def test_imports_past_a_face(tool, package):
    pkg = package(
        errors="",
        a__init="from pkg.a.inner import x\n",
        a__inner="x = 1\n",
        b__init="",
        b__c="""
from pkg.a import x
from pkg.a.inner import x, y
from pkg.errors import E
from pkg.b import c
from os import path
def f():
    import pkg.a.inner
    from ..a import inner
""",
    )
    measurement = tool.measure_deep_imports(pkg)
    assert texts(measurement) == ["pkg.a.inner.x", "pkg.a.inner.y", "pkg.a.inner", "pkg.a.inner"]
    assert [offender.line for offender in measurement.offenders] == [3, 3, 8, 9]


def test_the_training_recipes_are_faces(tool, tmp_path):
    root = tmp_path / "wavrag"
    for name in ("train/__init__", "train/mini/__init__", "train/mini/run", "cli/__init__"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / f"{name}.py").write_text("")
    (root / "cli/train.py").write_text(
        "from wavrag.train.mini import train\nfrom wavrag.train.mini.run import main\n"
    )
    assert texts(tool.measure_deep_imports(tool.Package(root))) == ["wavrag.train.mini.run.main"]


def test_cycles_count_lazy_imports_but_no_imports_for_types(tool, package):
    pkg = package(
        init="",
        a="from pkg import b\n",
        b="def f():\n    import pkg.c\n",
        c="from pkg.a import x\n",
        d="from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from pkg.e import x\n",
        e="from pkg.d import y\n",
    )
    assert texts(tool.measure_cycles(pkg)) == ["3 modules: pkg.a, pkg.b, pkg.c"]


def test_class_names_used_twice(tool, package):
    pkg = package(a="class A: ...\nclass _B: ...\n", b="class _B: ...\nclass C: ...\n")
    measurement = tool.measure_duplicate_classes(pkg)
    assert measurement.value == 1
    assert texts(measurement) == ["_B", "_B"]


def test_options_that_nothing_sets(tool, package, tmp_path):
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "speed.py").write_text("CutOptions(by_benchmark=1)\n")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_cut.py").write_text("CutOptions(unset=1)\n")
    pkg = package(
        a="""
@dataclass(frozen=True)
class CutOptions:
    required: int
    by_position: int = 0
    by_keyword: int = 0
    by_replace: int = 0
    by_command_line: int = 0
    by_benchmark: int = 0
    by_recipe: int = 0
    unset: int = 0
    FIXED: ClassVar[int] = 0

CutOptions(1, 2, by_keyword=3)
dataclasses.replace(options, by_replace=4)
parser.add_argument("--by-command-line")
Other(unset=1)
"""
    )
    (pkg.root / "recipe.toml").write_text("[cut]\nby_recipe = 1\n")
    assert tool.measure_option_fields(pkg).value == 7
    assert texts(tool.measure_unset_options(pkg)) == ["unset"]


def test_check_fails_on_a_missed_bar(tool, package, capsys):
    pkg = package(a="def told(asked):\n    return asked\n")
    assert tool.main(["--check", str(pkg.root)]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "pkg: poor names per 1,000 is 1,000.0, must be < 15",
        "pkg: comments per 100 lines is 0.0, must be >= 3",
    ]
    assert tool.main([str(pkg.root)]) == 0


def test_check_passes_where_every_bar_is_met(tool, package, capsys):
    pkg = package(a="# The limit of the protocol.\nLIMIT = 3\n")
    assert tool.main(["--check", str(pkg.root)]) == 0
    assert capsys.readouterr().err == ""


def test_lists_and_json(tool, package, capsys):
    pkg = package(a="asked = 1\n")
    tool.main(["--list", "names", str(pkg.root)])
    assert capsys.readouterr().out == f"{pkg.root / 'a.py'}:1: asked (participle)\n"
    tool.main(["--json", str(pkg.root)])
    data = json.loads(capsys.readouterr().out)
    assert data["pkg"]["figures"]["names"] == {"value": 1000, "bar": "< 15", "met": False}
