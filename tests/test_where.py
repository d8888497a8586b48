import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavrag.errors import FilterError
from wavrag.types import Passage
from wavrag.where import And, Compare, In, IsNull, Like, Not, Or, matches, parse

PASSAGE = Passage(
    "/talks/a.opus",
    0,
    text="hello",
    start=3.0,
    end=9.5,
    source="/talks/a.opus",
    title="Budget call, Ada's",
    metadata={"year": 2021, "speaker": "Ada", "public": True, "rate": 0.5, "a b": "x"},
)


def test_the_tree() -> None:
    assert parse("a = 1 or b != 'x' and not c is null") == Or(
        (Compare("a", "=", 1), And((Not(Compare("b", "=", "x")), Not(IsNull("c")))))
    )
    assert parse("(a like 'x%' or b in (1, 2.5, true, 'y')) and c is not null") == And(
        (Or((Like("a", "x%"), In("b", (1, 2.5, True, "y")))), Not(IsNull("c")))
    )
    assert parse("a not in (1) and b not like 'z'") == And(
        (Not(In("a", (1,))), Not(Like("b", "z")))
    )
    assert parse("x <> -1.5e3 and y == 2") == And(
        (Not(Compare("x", "=", -1500.0)), Compare("y", "=", 2))
    )


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("year = 2021", True),
        ("year = 2021.0", True),
        ("year >= 2020 AND year<2022", True),
        ("year = '2021'", False),
        ("year != '2021'", True),
        ("year < '3'", False),
        ("speaker = 'Ada'", True),
        ("speaker = 'ada'", False),
        ("speaker > 'Aaa'", True),
        ("public = true", True),
        ("public = 1", False),
        ("public > false", True),
        ("rate in (0.25, 0.5)", True),
        ("year in (2020, '2021')", False),
        ("title like '%call%'", True),
        ("title like 'Budget____%'", True),
        ("title like 'budget%'", False),
        ("title = 'Budget call, Ada''s'", True),
        ("year like '2%'", False),
        ("missing = 1", False),
        ("missing != 1", True),
        (r"title like 'Budget\_call%'", False),
        ("not missing = 1", True),
        ("missing is null", True),
        ("year is null", False),
        ("section is null", False),
        ("page is null", True),
        ("\"a b\" = 'x'", True),
        ("modality = 'audio' and start < 4 and end >= 9.5", True),
        ("id = '/talks/a.opus' and source like '/talks/%'", True),
        ("not (year = 2021 or speaker = 'Eve')", False),
    ],
)
def test_meaning(expression: str, expected: bool) -> None:
    assert matches(parse(expression), PASSAGE) is expected


@pytest.mark.parametrize(
    ("expression", "what", "column"),
    [
        ("", "expected a key", 0),
        ("3 = year", "keys are on the left", 0),
        ("year", "expected one of = != <", 4),
        ("year = ", "expected a value", 7),
        ("year = Ada", "strings need single quotes: 'Ada'", 7),
        ("year = 'open", "unclosed quote", 7),
        ("(a = 1", "expected ')'", 6),
        ("a = 1 b = 2", "expected 'and', 'or' or the end", 6),
        ("a = 1; drop table", "unexpected character", 5),
        ("a in ()", "expected a value", 6),
        ("a not 3", "expected 'in' or 'like'", 6),
        ("a like 3", "expected a pattern in single quotes", 7),
        ("a = 12abc", "unexpected character", 4),
        ("a = 1e999", "this number is too large", 4),
        ("a = " + "9" * 5_000, "this number is too large", 4),
    ],
)
def test_errors_point_at_the_place(expression: str, what: str, column: int) -> None:
    with pytest.raises(FilterError) as caught:
        parse(expression)
    first, shown, pointer, example = str(caught.value).splitlines()
    assert what in first
    assert f"at character {column + 1}:" in first
    assert shown == f"  {expression[: column + 60]}"
    assert pointer == f"  {' ' * column}^"
    assert "example of a filter" in example


@given(st.text("ab%_", max_size=8), st.text("ab\n", max_size=10))
def test_like_agrees_with_a_slow_twin(pattern: str, value: str) -> None:
    def like(pattern: str, value: str) -> bool:
        if not pattern:
            return not value
        if pattern[0] == "%":
            return any(like(pattern[1:], value[at:]) for at in range(len(value) + 1))
        return bool(value) and pattern[0] in (value[0], "_") and like(pattern[1:], value[1:])

    passage = Passage("d", 0, metadata={"key": value})
    assert matches(parse(f"key like '{pattern}'"), passage) is like(pattern, value)


def test_many_wildcards_do_not_multiply_the_time() -> None:
    passage = Passage("d", 0, metadata={"key": "a" * 1_000})
    assert not matches(parse(f"key like '{'%a' * 40}b'"), passage)


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(FilterError, match="nested"):
        parse("(" * 10_000 + "a = 1" + ")" * 10_000)


@given(st.text(max_size=40))
def test_any_text_parses_or_is_refused(expression: str) -> None:
    try:
        node = parse(expression)
    except FilterError:
        return
    assert matches(node, PASSAGE) in (True, False)


@given(st.text(max_size=20), st.text(min_size=1, max_size=10))
def test_any_string_and_key_can_be_written(value: str, key: str) -> None:
    expression = "\"{}\" = '{}'".format(key.replace('"', '""'), value.replace("'", "''"))
    assert parse(expression) == Compare(key, "=", value)
