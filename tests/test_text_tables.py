"""Tables of all formats: empty and merged cells, headers, long tables, single rows."""

from pathlib import Path

import pytest

from wavrag import text
from wavrag.kb import KnowledgeBase
from wavrag.text import sentences
from wavrag.text.table import Cell, expand, format_table, merge_header
from wavrag.types import Document

FARES = """Route: Harbour line | Weekday fare: 2.40 | Weekend fare: 3.10
Route: Hill tram | Weekday fare: 1.90 | Weekend fare: \u2014
Route: Night bus | Weekday fare: \u2014 | Weekend fare: 4.50"""
HTML = """<table><tr><th>Route<th>Weekday fare<th>Weekend fare</tr>
<tr><td>Harbour line</td><td>2.40</td><td>3.10</td></tr>
<tr><td>Hill tram</td><td>1.90</td><td></td></tr>
<tr><td>Night bus</td><td> </td><td>4.50</td></tr></table>"""
MARKDOWN = """| Route | Weekday fare | Weekend fare |
|---|---|---|
| Harbour line | 2.40 | 3.10 |
| Hill tram | 1.90 | |
| Night bus | | 4.50 |"""


@pytest.mark.parametrize(("written", "kind"), [(HTML, "html"), (MARKDOWN, "md")])
def test_empty_cells_are_named(written: str, kind: str) -> None:
    assert text.parse(written, kind).text == FARES


def test_merged_cells_are_copied_and_headers_joined() -> None:
    parsed = text.parse(
        "<table><caption>Fares</caption><thead><tr><th rowspan=2>Route<th colspan=2>Adult</tr>"
        "<tr><th>Weekday<th>Weekend</tr></thead><tr><td colspan=3>Summer</tr>"
        "<tr><th rowspan=2>Ferry<td colspan=2>5</tr><tr><td>6<td></tr>"
        "<tr><td colspan=3>Winter</tr><tr><td>Bus<td><img alt=free><td>1<br>2</tr></table>",
        "html",
    )
    assert parsed.text.splitlines() == [
        "Fares | Summer | Route: Ferry | Adult Weekday: 5 | Adult Weekend: 5",
        "Fares | Summer | Route: Ferry | Adult Weekday: 6 | Adult Weekend: \u2014",
        "Fares | Winter | Route: Bus | Adult Weekday: free | Adult Weekend: 1 2",
    ]


def test_cells_beside_and_below_merged_ones() -> None:
    rows = [[Cell("a", 1, 2), Cell("b"), Cell("c", 2, 3)], [Cell("d")], [], [Cell("e", 4)]]
    assert expand(rows) == [["a", "b", "c", "c"], ["a", "d", "c", "c"], ["", "", "c", "c"], ["e"]]
    assert merge_header([["Fares"], ["", "Adult"], ["Route", "Adult"]]) == ["Route", "Adult"]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([["Dish", "Price"], ["Soup", "8"]], "Dish: Soup | Price: 8"),
        ([["Phone", "555"], ["Mail", ""]], "Phone | 555\nMail | \u2014"),
        ([["Name", "Ada"], ["Role", "chief"]], "Name | Ada\nRole | chief"),
        ([["", "May", "June"], ["Rain", "3", ""]], "Rain | May: 3 | June: \u2014"),
        (
            [["Visits"], ["Day", "Count"], ["1", "7"], ["Total"]],
            "Visits | Day: 1 | Count: 7\nTotal",
        ),
        ([["a | b", ""], ["", ""], ["c\nd", ""]], "a / b\nc d"),
        ([["1", "2", "3"], ["4"]], "1 | 2 | 3\n4"),
    ],
)
def test_headers_are_found_and_empty_columns_left_out(rows: list[list[str]], expected: str) -> None:
    assert format_table(None, rows) == expected


def test_layout_tables_are_text_and_hostile_spans_no_danger() -> None:
    page = "<table><tr><td><h2>News</h2><p>One.</p><td><p>Two.</p></table>"
    assert text.parse(page, "html").text == "News\n\nOne. | Two."
    parsed = text.parse(f"<table>{'<tr><td colspan=1000 rowspan=65534>a<td>b' * 3000}", "html")
    assert parsed.text.count("a | b") == 3000
    parsed = text.parse("<table><tr><th>a<th>b<tr><td colspan=999>c<td>d</table>", "html")
    assert parsed.text == "a: c | b: c | d"
    assert text.parse("<table><tr><td>x" * 3000, "html").text.count("x") == 3000


def test_each_passage_of_a_long_table_has_its_header() -> None:
    rows = "".join(f"| Station {n} | {n} min | |\n" for n in range(60))
    parsed = text.parse(f"| Station | Walk | Lift |\n|---|---|---|\n{rows}", "md")
    passages = text.split(parsed)
    assert len(passages) > 5
    lines = [line for passage in passages for line in (passage.text or "").splitlines()]
    assert lines == [f"Station: Station {n} | Walk: {n} min | Lift: \u2014" for n in range(60)]


def test_a_very_long_row_repeats_its_first_cell() -> None:
    parsed = text.parse(f"| Route | Notes |\n|---|---|\n| Ferry | {'word ' * 400} |", "md")
    passages = text.split(parsed)
    assert len(passages) == 4
    assert all(p.text.startswith("Route: Ferry | Notes: word ") for p in passages if p.text)


def test_a_row_is_one_sentence() -> None:
    written = f"Fares rise. Soon.\n{FARES}\nNote: Ferry | Not on St. Ann. Ever.\n\nEnd."
    assert [written[a:b] for a, b in sentences(written)] == [
        "Fares rise.", "Soon.", *FARES.splitlines(), "Note: Ferry | Not on St. Ann. Ever.", "End."
    ]  # fmt: skip


def test_items_of_a_list_are_never_cut() -> None:
    items = [f"- Item {n} goes on\nfor another line." for n in range(60)]
    parsed = text.parse("\n".join(items), "md")
    passages = text.split(parsed)
    assert len(passages) > 3
    assert all(p.text.startswith("- Item") and p.text.endswith("line.") for p in passages if p.text)


def test_front_matter_is_metadata(tmp_path: Path) -> None:
    mark = "---\ntitle: 'Garden: notes'\nTags: [compost, worms]\nby: A\ndate: 2024-05-01\n---\nA."
    toml = '+++\ntitle = "Hugo"\ndate = 2024-01-01\ndraft = false\n+++\nA.'
    broken = "---\ntitle: Garden: notes\nyear: x: y\n---\nA."
    for written, title, metadata in (
        (mark, "Garden: notes", {"tags": "compost, worms", "by": "A", "date": "2024-05-01"}),
        (toml, "Hugo", {"date": "2024-01-01", "draft": False}),
        (broken, "Garden: notes", {"year": "x: y"}),
    ):
        parsed = text.parse(written, "md")
        assert (parsed.text, parsed.title, parsed.metadata) == ("A.", title, metadata)
    bomb = "---\na: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\nd: " + "[" * 5_000 + "\n---\nA."
    assert text.parse(bomb, "md").text == "A."


def test_a_note_of_front_matter_alone_can_be_found_by_its_title(tmp_path: Path) -> None:
    path = tmp_path / "stub.md"
    path.write_text("---\ntitle: Beekeeping\ntags: [hive]\n---\n")
    with KnowledgeBase.open(tmp_path / "kb", embedder="fake") as kb:
        report = kb.add([Document("stub", path=str(path), metadata={"tags": "mine"})])
        assert report.skipped == []
        assert [note for _, note in report.notes] == [
            f"{path}: contains only front matter; its title and metadata can be searched"
        ]
        hit = kb.search("Beekeeping")[0]
        assert hit.passage.metadata == {"tags": "mine"}
        assert hit.passage.text == "title: Beekeeping\ntags: hive"


RST_TABLES = """
+-----------+------+-------+
| Route     | Day  | Night |
+===========+======+=======+
| Harbour   | 2.40 |       |
| line      |      |       |
+-----------+------+-------+
| Hill tram | both: 1.90   |
+-----------+--------------+

=====  =====  =====
Boat   Day    Night
=====  =====  =====
A             7
B      8
=====  =====  =====

.. list-table:: Zones
   :header-rows: 1

   * - Zone
     - Price
   * - Inner
     - :ref:`free <fares>`
"""


def test_tables_of_restructuredtext_keep_empty_cells_in_their_columns(tmp_path: Path) -> None:
    (tmp_path / "a.rst").write_text(RST_TABLES)
    assert [passage.text for passage in text.split(text.read(tmp_path / "a.rst"))] == [
        "Route: Harbour line | Day: 2.40 | Night: \u2014\n"
        "Route: Hill tram | Day: both: 1.90 | Night: both: 1.90\n\n"
        "Boat: A | Day: \u2014 | Night: 7\nBoat: B | Day: 8 | Night: \u2014\n\n"
        "Zones | Zone: Inner | Price: free"
    ]


def test_a_table_in_a_cell_of_data_is_words_of_that_cell() -> None:
    written = (
        "<table><tr><th>Route<th>Day<th>Night</tr><tr><td>Hill <table><tr><td>zone</td><td>B</td>"
        "</tr></table></td><td>1.90</td><td></td></tr></table>"
    )
    assert text.parse(written, "html").text == "Route: Hill zone B | Day: 1.90 | Night: \u2014"
