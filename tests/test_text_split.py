import importlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavrag import text
from wavrag.errors import DocumentError
from wavrag.text import sentences


def spoken(written: str) -> list[str]:
    return [written[a:b] for a, b in sentences(written)]


@pytest.mark.parametrize(
    "expected",
    [
        ["One ends.", "Two ends!", "Three ends?"],
        ["Dr. Smith met Mr. J. R. Jones at 3.5 km, i.e. nearby.", "They spoke."],
        ["He lives in the U.S.", "The weather is fine."],
        ["The U.S. Navy sailed."],
        ["It rose by 3.5 percent.", "Then it fell, etc.", "The end."],
        ["Much noise 😀.", "And 𝒳.", "Then silence."],
        ["Yahoo! is a name.", "See Fig. 3 for more."],
        ["这是第一句。", "这是第二句!"],
        ["No stop at the end", "New paragraph"],
        ["Call me at 5 p.m. on Monday.", "Good."],
        ["The answer is no.", "He sat.", "We need plan B.", "The sun rose in Jan. 2020."],
        ["A source says so.[1]", "Another does too.[2][3]", "It ends."],
        ["The thing . . . goes on.", "I saw Mt. Fuji."],
        ["हिन्दी वाक्य।", "दूसरा वाक्य।"],
        ["السؤال؟", "نعم."],
    ],
)
def test_sentences(expected: list[str]) -> None:
    joined = "\n\n".join(expected) if "New paragraph" in expected else " ".join(expected)
    assert spoken(joined) == expected


def test_an_empty_line_ends_a_sentence_after_an_abbreviation_too() -> None:
    assert spoken("By A. Smith et al.\n\nZebras live here.") == [
        "By A. Smith et al.",
        "Zebras live here.",
    ]


@pytest.mark.parametrize("part", [" ", "\n", " \n", ".", ".'", ".[1]", "a. "])
def test_long_runs_take_no_longer_than_their_length(part: str) -> None:
    written = "a" + part * 100_000 + "b"
    assert sentences(written)[-1][1] == len(written)


def test_no_sentences() -> None:
    assert sentences("") == sentences(" \n\n ") == []


@given(st.text(alphabet="aA1 .!?\n\"'…。)", max_size=200))
def test_sentences_cover_everything_visible_in_order(written: str) -> None:
    spans = sentences(written)
    outside = list(written)
    for start, end in spans:
        assert written[start:end] == written[start:end].strip() != ""
        outside[start:end] = " " * (end - start)
    assert not "".join(outside).strip()
    assert spans == sorted(spans)
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(spans))


# The module; as an attribute of `wavrag.text`, the name is its function.
SPLIT = importlib.import_module("wavrag.text.split")


def words(count: int, start: int = 0) -> str:
    return " ".join(f"word{number}" for number in range(start, start + count)) + "."


def test_sections_are_named_and_not_mixed() -> None:
    parsed = text.parse(
        "# Title\n\nLead.\n\n## One\n\nA.\n\nB.\n\n### Deep\n\nC.\n\n## Two\n\nD.", "md"
    )
    assert [(c.section, c.text) for c in text.split(parsed)] == [
        ("", "Lead."),
        ("One", "A.\n\nB."),
        ("One > Deep", "C."),
        ("Two", "D."),
    ]


def test_paragraphs_are_packed_up_to_the_target(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = text.parse("\n\n".join(words(20) for _ in range(6)))
    length = len(words(20))
    monkeypatch.setattr(SPLIT, "TARGET_CHARS", 2 * length + 10)
    chunks = text.split(parsed)
    assert [chunk.text.count("word0") for chunk in chunks] == [2, 2, 2]


def test_a_long_paragraph_is_cut_at_sentences_with_one_repeated() -> None:
    named = [f"Sentence number {n} says very little of any interest." for n in range(40)]
    chunks = text.split(text.parse(" ".join(named)))
    assert len(chunks) > 3
    for before, after in itertools.pairwise(chunks):
        assert before.text.endswith(".")
        assert after.char_start < before.char_end
        assert before.text.endswith(after.text[: before.char_end - after.char_start])
    assert all(len(chunk.text) <= 700 for chunk in chunks)


def test_a_sentence_without_end_is_cut_at_words_and_a_word_without_end_anywhere() -> None:
    chunks = text.split(text.parse(words(500)))
    assert all(len(chunk.text) <= 700 for chunk in chunks)
    assert all(chunk.text.startswith("word") for chunk in chunks)
    chunks = text.split(text.parse("x" * 2_000))
    assert [len(chunk.text) for chunk in chunks] == [700, 700, 600]


def test_lists_tables_and_code_stay_whole_where_they_fit() -> None:
    items = "\n".join(f"- item {n} of the list" for n in range(20))
    assert len(text.split(text.parse(items, "md"))) == 1
    items = "\n".join(f"- item {n} of the list" for n in range(80))
    chunks = text.split(text.parse(items, "md"))
    assert all(chunk.text.startswith("- item") for chunk in chunks)


def test_headings_only_and_headings_without_text_are_kept() -> None:
    parsed = text.parse("# One\n\n## Two\n\n## Three\n\nWords.\n\n## Four", "md")
    assert [(c.section, c.text) for c in text.split(parsed)] == [
        ("", "Two"),
        ("Three", "Words."),
        ("", "Four"),
    ]
    only = text.split(text.parse("# Only", "md"))
    assert [chunk.text for chunk in only] == ["Only"]


markdown = st.lists(
    st.one_of(
        st.sampled_from(["# H", "## H2", "- item", "```\ncode\n```", "| a |\n|---|\n| b |", "---"]),
        st.text(alphabet="abc .!\n", max_size=300),
        st.integers(1, 60).map(words),
    ),
    max_size=12,
).map("\n\n".join)


@given(markdown, st.sampled_from(["txt", "md", "html"]), st.integers(20, 200))
def test_every_visible_character_is_in_a_passage(written: str, kind: str, target: int) -> None:
    try:
        parsed = text.parse(written, kind)
    except DocumentError:
        return
    left = list(parsed.text)
    for block in parsed.blocks:
        if block.kind == "heading":
            left[block.start : block.end] = " " * (block.end - block.start)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SPLIT, "TARGET_CHARS", target)
        patch.setattr(SPLIT, "MAX_CHARS", 2 * target)
        patch.setattr(SPLIT, "OVERLAP_CHARS", target // 4)
        chunks = text.split(parsed)
    assert chunks
    for chunk in chunks:
        assert parsed.text[chunk.char_start : chunk.char_end] == chunk.text
        assert chunk.text.strip()
        assert len(chunk.text) <= 2 * target
        left[chunk.char_start : chunk.char_end] = " " * len(chunk.text)
    assert not "".join(left).strip()


def test_code_is_whole_if_it_fits_and_cut_at_line_ends_otherwise() -> None:
    fits = "\n".join(f"value_{n} = compute({n})" for n in range(20))
    passages = text.split(text.parse(f"{words(60)}.\n\n```\n{fits}\n```\n\n{words(60)}.", "md"))
    assert fits in [passage.text for passage in passages]
    long = "\n".join(f"value_{n} = compute({n})" for n in range(100))
    passages = text.split(text.parse(f"```\n{long}\n```", "md"))
    assert len(passages) > 3
    assert "\n".join(passage.text or "" for passage in passages) == long


def test_long_code_is_cut_between_functions() -> None:
    functions = [f"def compute_{n}(value):\n    return value + {n}" for n in range(40)]
    passages = text.split(text.parse("```\n" + "\n\n".join(functions) + "\n```", "md"))
    assert len(passages) > 3
    for passage in passages:
        assert set((passage.text or "").split("\n\n")) <= set(functions)


def test_long_paragraphs_are_segmented_in_stretches_at_the_ends_of_sentences() -> None:
    written = "The ferry leaves at nine. It returns at ten. " * 1_000
    assert {written[start:end] for start, end in text.sentences(written)} == {
        "The ferry leaves at nine.", "It returns at ten."
    }  # fmt: skip
