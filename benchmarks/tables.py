"""Answers about single cells of tables, by the extractive generator.

    python benchmarks/tables.py [--embedder NAME] [--json]

Writes 12 tables with empty cells, merged cells, wrapped cells, subheadings and page breaks as
Markdown, HTML and PDF, indexes them together, and asks two questions about each: one about a cell
with a value, one about an empty or merged cell. Prints how many answers hold the right cell, how
many questions stay without an answer, and how many answers hold the value of another cell.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from corpus import build_pdf

from wavrag import WavRAG

EMPTY = "\u2014"
PAGE_ROWS = 24  # rows of a table on a page of a PDF


@dataclass(frozen=True)
class Table:
    """A table, its format, and questions with the right cell.

    A cell `<` continues the cell on its left, and `^` the cell above.
    """

    title: str
    suffix: str
    rows: Sequence[str]  # the header first; cells are separated by bars
    questions: Sequence[tuple[str, str]]
    heads: int = 1  # number of header rows

    @property
    def grid(self) -> list[list[str]]:
        """The cells of each row."""
        return [[cell.strip() for cell in row.split("|")] for row in self.rows]


TABLES = (
    Table("City fares", "html", (
        "Route | Weekday fare | Weekend fare", "Harbour line | 2.40 | 3.10", "Hill tram | 1.90 |",
        "Night bus | | 4.50"),
        (("What is the weekday fare of the night bus?", EMPTY),
         ("How much is the hill tram on a weekday?", "1.90"))),
    Table("Fares of the river authority", "pdf", (
        "Boat | Single | Return", "Water taxi | 7.20 |", "River bus | 3.30 | 5.60",
        "Car ferry | | 21.80"),
        (("What does a single on the car ferry cost?", EMPTY),
         ("What is the return fare of the river bus?", "5.60"))),
    Table("Staff of the museum", "md", (
        "Name | Office | Phone | Mail", "Ada Byron | 112 | 555-1001 |",
        "Grace Hill | | 555-1002 | g.hill@museum.example",
        "Max Born | 114 | | m.born@museum.example",
        "Lise Meitner | 115 | |"),
        (("What is the phone number of Max Born?", EMPTY),
         ("Which office does Lise Meitner have?", "115"))),
    Table("Opening hours of the pools", "html", (
        "Pool | Summer | < | Winter | <", "^ | Monday | Sunday | Monday | Sunday",
        "West pool | 7 to 21 | 9 to 18 | closed | <", "Lake pool | 6 to 22 | | | 10 to 14"),
        (("When is the lake pool open on a Sunday in summer?", EMPTY),
         ("When is the west pool open on Monday in winter?", "closed")), 2),
    Table("Ships in the harbour", "pdf", (
        "Ship | Length | Draught | Flag", "Albatross | 92 m | 5.1 m | Malta", "Bernina | 118 m | |",
        "Cormorant | | 3.9 m | Panama", "Dolphin | 45 m | 2.2 m |"),
        (("What is the draught of the Bernina?", EMPTY),
         ("Which flag does the Cormorant have?", "Panama"))),
    Table("Ingredients of the breads", "md", (
        "Bread | Rye flour | Wheat flour | Salt", "Farmer loaf | 400 g | 150 g | 12 g",
        "Baguette | | 500 g | 10 g", "Pumpernickel | 650 g | | 14 g"),
        (("How much wheat flour is in the pumpernickel?", EMPTY),
         ("How much salt does the baguette need?", "10 g"))),
    Table("Walks to the platforms", "pdf", (
        "Station | Walk | Lift", *(
            f"Station {n} | {3 * n} min | {'' if n % 7 == 0 else 'yes' if n % 2 else 'no'}"
            for n in range(1, 61))),
        (("Is there a lift at station 49?", EMPTY),
         ("How long is the walk at station 31?", "93 min"))),
    Table("Rates of the campsite", "html", (
        "Pitch | Adult | Child", "Low season | < | <", "Tent | 8.00 | 4.00", "Caravan | 14.00 |",
        "High season | < | <", "Tent | 12.50 | 6.20", "Caravan | | 9.40"),
        (("What does an adult pay for a caravan in the high season?", EMPTY),
         ("What does a child pay for a tent in the low season?", "4.00"))),
    Table("Exams of the navigation school", "pdf", (
        "Course | Spring term | < | Autumn term | <", "^ | Written | Oral | Written | Oral",
        "Radio operator | 3 March | 9 March | | 12 October",
        "Deck officer | 5 April | | 2 November | 8 November"),
        (("When is the oral exam of the deck officer in the spring term?", EMPTY),
         ("When is the oral exam of the radio operator in the autumn term?", "12 October")), 2),
    Table("Vaccines for travellers", "md", (
        "Vaccine | First dose | Second dose | Booster", "Hepatitis A | day 0 | month 6 |",
        "Rabies | day 0 | day 7 | year 1", "Yellow fever | day 10 | | "),
        (("When is the booster of hepatitis A?", EMPTY),
         ("When is the second dose for rabies?", "day 7"))),
    Table("Rainfall of the islands", "html", (
        "Island | January | April | July", "Northholm | 81 mm | 44 mm | 29 mm",
        "Eastholm | 77 mm | | 35 mm", "Southholm | | 52 mm | 18 mm"),
        (("How much rain falls on Eastholm in April?", EMPTY),
         ("How much rain falls on Southholm in July?", "18 mm"))),
    Table("Spare parts of the pump", "pdf", (
        "Part | Number | Supplier | Stock", "Shaft seal | 4411-A | Nordkap | 6",
        "Impeller of bronze | 4420-C | | 2", "Gasket set | 4432-B | Weller | ",
        "Drain plug | | Weller | 31"),
        (("How many gasket sets are in stock?", EMPTY),
         ("Who is the supplier of the shaft seal?", "Nordkap"))),
)  # fmt: skip


def write_markdown(table: Table) -> bytes:
    """Write a table as Markdown, which has no merged cells."""
    header, *rows = table.grid
    lines = [header, ["---"] * len(header), *rows]
    body = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"# {table.title}\n\n{body}\n".encode()


def write_html(table: Table) -> bytes:
    """Write a table as HTML with merged cells."""
    grid = table.grid
    lines = []
    for y, row in enumerate(grid):
        cells = []
        for x, text in enumerate(row):
            if text in ("<", "^"):
                continue
            columns = rows = 1
            while x + columns < len(row) and row[x + columns] == "<":
                columns += 1
            while y + rows < len(grid) and grid[y + rows][x] == "^":
                rows += 1
            tag = "th" if y < table.heads else "td"
            cells.append(f"<{tag} colspan={columns} rowspan={rows}>{escape(text)}</{tag}>")
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return f"<h1>{table.title}</h1><table>{''.join(lines)}</table>".encode()


def write_pdf(table: Table) -> bytes:
    """Write a table as PDF, with one column of words for each column of cells and no lines."""
    pages, grid = [], table.grid
    for first in range(0, len(grid), PAGE_ROWS):
        commands = [f"BT /F1 18 Tf 60 760 Td ({table.title}) Tj ET"] if first == 0 else []
        for y, row in enumerate(grid[first : first + PAGE_ROWS]):
            for x, text in enumerate(row):
                if text not in ("", "<", "^"):
                    shift = 45 if x + 1 < len(row) and row[x + 1] == "<" else 0
                    at = f"{60 + 100 * x + shift} {720 - 20 * y}"
                    commands.append(f"BT /F1 11 Tf {at} Td ({text}) Tj ET")
        pages.append("\n".join(commands))
    return build_pdf(pages)


WRITERS = {"md": write_markdown, "html": write_html, "pdf": write_pdf}


def judge(table: Table, answer: str | None, expected: str) -> str:
    """Return `right`, `silent` or `wrong`: the right value, and no other value of the table.

    Names of rows and columns are no values. An empty cell is right if it is the only value.
    """
    if not answer:
        return "silent"
    values = {cell for row in table.grid[table.heads :] for cell in row[1:]} - {"", "<", "^"}
    shown = {
        part.rpartition(": ")[2].split(" [")[0] for part in answer.replace("\n", " | ").split(" | ")
    }
    return "right" if shown & (values | {EMPTY}) == {expected} else "wrong"


def measure(embedder: str | None) -> list[dict[str, Any]]:
    """Index the tables and ask the questions."""
    results = []
    with tempfile.TemporaryDirectory() as folder:
        documents = Path(folder, "tables")
        documents.mkdir()
        for number, table in enumerate(TABLES):
            path = documents / f"table-{number}.{table.suffix}"
            path.write_bytes(WRITERS[table.suffix](table))
        with WavRAG.open(f"{folder}/kb", embedder=embedder, generator="extractive") as rag:
            rag.add(documents)
            for table in TABLES:
                for question, expected in table.questions:
                    answer = rag.ask(question)
                    text = answer.text if answer.found else None
                    verdict = judge(table, text, expected)
                    results.append({"question": question, "expected": expected, "answer": text,
                                    "verdict": verdict})  # fmt: skip
    return results


def main() -> None:
    """Print one line per question and the counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--embedder", help="name of the embedder (default: that of wavrag index)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    results = measure(arguments.embedder)
    if arguments.json:
        print(json.dumps(results, indent=1, ensure_ascii=False))
        return
    for row in results:
        print(f"{row['verdict']:7} {row['question']} -> {row['answer']!r}")
    for verdict in ("right", "silent", "wrong"):
        print(verdict, sum(row["verdict"] == verdict for row in results))


if __name__ == "__main__":
    main()
