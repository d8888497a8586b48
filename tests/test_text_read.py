import io
import os
import random
from pathlib import Path

import pytest
from pypdf import PdfWriter
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

from wavrag import text
from wavrag.errors import DocumentError
from wavrag.text import ParsedText
from wavrag.text.pdf import parse_pdf


def shape(parsed: ParsedText) -> list[tuple[str, str]]:
    """Kind and text of every block; headings with their level."""
    return [
        (f"h{b.level}" if b.kind == "heading" else b.kind, parsed.text[b.start : b.end])
        for b in parsed.blocks
    ]


def pdf(*pages: list[str], title: str | None = None, password: str | None = None) -> bytes:
    """A PDF with lines of text on each page."""
    writer = PdfWriter()
    font = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Font"),
            NameObject("/Subtype"): NameObject("/Type1"),
            NameObject("/BaseFont"): NameObject("/Helvetica"),
        }
    )
    for lines in pages:
        page = writer.add_blank_page(600, 800)
        page[NameObject("/Resources")] = DictionaryObject(
            {NameObject("/Font"): DictionaryObject({NameObject("/F1"): font})}
        )
        shown = "".join(f"({line}) Tj 0 -14 Td " for line in lines)
        content = DecodedStreamObject()
        content.set_data(f"BT /F1 12 Tf 50 700 Td {shown} ET".encode("latin-1"))
        page[NameObject("/Contents")] = writer._add_object(content)
    if title:
        writer.add_metadata({"/Title": title})
    if password:
        writer.encrypt(password, algorithm="RC4-128")
    buffer = io.BytesIO()
    writer.write(buffer)
    return buffer.getvalue()


def test_markdown_keeps_structure_and_leaves_markup_out(tmp_path: Path) -> None:
    path = tmp_path / "Notizen für später.md"
    path.write_text(
        "---\ntitle: 'My notes'\ntags: [a]\n---\n# First\n\n"
        "Some *bold* [link](http://x) and `code`.\n\n- one\n- two\n  1. inner\n\n"
        "> A quote.\n\n## Table\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n"
        "```py\nif x:\n    y\n```\n\n<b>raw</b>\n"
    )
    parsed = text.read(path)
    assert parsed.title == "My notes"
    assert shape(parsed) == [
        ("h1", "First"),
        ("paragraph", "Some bold link and code."),
        ("list", "- one\n- two\n1. inner"),
        ("paragraph", "A quote."),
        ("h2", "Table"),
        ("table", "a: 1 | b: 2"),
        ("code", "if x:\n    y"),
        ("paragraph", "raw"),
    ]


def test_html_gives_what_a_reader_sees(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(
        "<html><head><title>A  page</title><style>p {}</style></head><body><nav>Home</nav>"
        "<h1>Head<em>ing</em></h1><p>One<br>two <script>var x</script>three.</p>"
        "<div>Loose <b>text</b> here</div><ul><li>a<li>b <i>c</i></ul>"
        "<table><tr><th>k</th><th>v</th></tr><tr><td>1</td><td>2</td></tr></table>"
        "<pre>  x\n    y</pre><footer>Imprint</footer></body></html>"
    )
    parsed = text.read(path)
    assert parsed.title == "A page"
    assert shape(parsed) == [
        ("h1", "Heading"),
        ("paragraph", "One\ntwo three."),
        ("paragraph", "Loose text here"),
        ("list", "- a\n- b c"),
        ("table", "k: 1 | v: 2"),
        ("code", "  x\n    y"),
    ]


def test_html_lists_with_paragraphs_and_text_in_forms_and_hidden_bodies() -> None:
    parsed = text.parse(
        "<body hidden><svg><title>icon</title></svg><form><h1>Page</h1>"
        "<ul><li><p>a</p><p>b</p></li><li>c<ul><li>d</li></ul>e</li></ul></form></body>",
        "html",
    )
    assert parsed.title == "Page"
    assert shape(parsed) == [("h1", "Page"), ("list", "- a\nb\n- c\n- d\ne")]


def test_html_leaves_out_what_nobody_sees_and_keeps_the_words_of_the_content() -> None:
    parsed = text.parse(
        """<head><title>Pier</title><meta name=Author content="Ada"><meta name=keywords
        content="tea, cake"><meta property="article:published_time" content="2024-05-01"></head>
        <body><header><a>Home</a></header><div id="cookie-banner" class="x">Accept cookies?</div>
        <main><h1>Hours</h1><p>Opens at seven.</p><p style="color:red; Display : none">secret</p>
        <p aria-hidden=true>icon</p><p hidden>gone</p><p hidden=until-found>Folded.</p>
        <div class="cookie-recipes">Oat cookies.</div><div><button>Copy</button></div>
        <h2><button>Is it open?</button></h2><p>Press <button>Reset</button> twice.</p>
        <form><button>Send the form now</button></form><button>Hold the key for long.</button>
        <article><p>The dam.</p><footer>By Grace Hopper.</footer></article>
        <footer>(c) Pier</footer></main><footer>Imprint</footer>""",
        "html",
    )
    assert [words for _, words in shape(parsed)] == [
        "Home", "Hours", "Opens at seven.", "Folded.", "Oat cookies.", "Is it open?",
        "Press Reset twice.", "Hold the key for long.", "The dam.", "By Grace Hopper.",
    ]  # fmt: skip
    assert parsed.metadata == {"author": "Ada", "tags": "tea, cake", "date": "2024-05-01"}


def test_deep_html_is_no_danger() -> None:
    for tag in ("footer", "button", "article", "div style='display:none'", "div id=cookie-banner"):
        assert text.parse(f"<p>top</p>{f'<{tag}>deep' * 5_000}", "html").text.startswith("top")
    parsed = text.parse("<div>deep" * 20_000 + "</div>" * 20_000, "html")
    assert parsed.text.split() == ["deep"] * 20_000


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("one<br>two<BR/>three", "one\ntwo\nthree"),
        (">" * 40 + " deep", "deep"),
        ("- a\n\n  | h | i |\n  |---|---|\n  | 1 | 2 |\n- b", "- a\nh: 1 | i: 2\n- b"),
        ("- a\n\n  <div>raw</div>\n", "- a\nraw"),
        ("---\nWords here.\n\n---\nMore.", "Words here.\n\nMore."),
        ("---\n# remark\ntags: x\n---\nMore.", "More."),
    ],
)
def test_markdown_loses_no_words(written: str, expected: str) -> None:
    assert text.parse(written, "md").text == expected


def test_plain_text_has_paragraphs_and_what_reads_like_headings(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("THE FERRY\n\nTickets\n\nSold on\nboard.\r\n\r\n\r\n  Dogs are welcome.  ")
    parsed = text.read(path)
    assert parsed.title == "THE FERRY"
    assert shape(parsed) == [
        ("h1", "THE FERRY"),
        ("h2", "Tickets"),
        ("paragraph", "Sold on\nboard."),
        ("paragraph", "Dogs are welcome."),
    ]
    path.write_text("just words, no heading.")
    assert text.read(path).title == "a"


def test_pdf_pages_paragraphs_and_hyphens(tmp_path: Path) -> None:
    path = tmp_path / "a b ü.pdf"
    first = [
        "Introduction",
        "This is the first paragraph of the docu-",
        "ment and it is joined.",
        "Its last sentence goes on over the end of",
    ]
    second = ["the page and ends here.", "A second paragraph follows on this page."]
    path.write_bytes(pdf(first, second, title="The manual"))
    parsed = text.read(path)
    assert parsed.title == "The manual"
    assert "first paragraph of the document and" in " ".join(parsed.text.split())
    assert parsed.blocks[0].kind == "heading"
    pages = {parsed.text[b.start : b.start + 12]: b.page for b in parsed.blocks}
    assert pages["Introduction"] == 1
    assert pages["A second par"] == 2
    joined = next(b for b in parsed.blocks if "goes on over" in parsed.text[b.start : b.end])
    assert "ends here." in parsed.text[joined.start : joined.end]
    assert joined.page == 1


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.txt", b"", "is empty"),
        ("a.md", b" \n\t\n", "contains no text: add"),
        ("a.html", b"<html><body><script>x</script></body></html>", "contains no text: add"),
        ("a.txt", bytes(range(256)) * 20, "is not text"),
        ("a.txt", b"\xff\xfea", "is not valid utf-16"),
        ("a.pdf", b"%PDF-1.4\nrubbish", "is not a readable PDF"),
        ("a.pdf", b"plain words", "is not a readable PDF"),
        ("a.pdf", pdf([]), "contains no text, only images"),
        ("a.pdf", pdf(["Secret"], password="x"), "password-protected"),
    ],
)
def test_bad_files_are_named_with_the_remedy(
    tmp_path: Path, name: str, data: bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(DocumentError, match=message) as caught:
        text.read(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_damaged_pdfs_are_read_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wavrag.text.pdf.find_engine", lambda: None)
    whole = pdf(["Introduction", "Some words on a page."], ["More words."], title="T")
    chance = random.Random(1)
    pieces = [b"<<", b">>", b"0 R", b"[", b"]", b"(", b"-1", b"99999999999", b"null", b"2 0 R"]
    for _ in range(300):
        damaged = bytearray(whole)
        for _ in range(chance.choice([1, 4, 20])):
            at = chance.randrange(len(damaged))
            damaged[at : at + chance.randrange(9)] = chance.choice(pieces)
        message = ""
        try:
            parsed = parse_pdf(bytes(damaged), "a.pdf")
        except DocumentError as error:
            message = str(error)
        assert message.startswith("a.pdf: ") if message else parsed.text


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("words")
    path.chmod(0)
    with pytest.raises(DocumentError, match="make it readable"):
        text.read(path)


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="no such file"):
        text.read(tmp_path / "none.txt")
    with pytest.raises(DocumentError, match="Is a directory"):
        text.read(tmp_path)


def test_a_pdf_that_anyone_may_open_is_read(tmp_path: Path) -> None:
    writer = PdfWriter(clone_from=io.BytesIO(pdf(["Open to all readers."])))
    writer.encrypt(user_password="", owner_password="boss", algorithm="RC4-128")
    path = tmp_path / "a.pdf"
    writer.write(path)
    assert text.read(path).text == "Open to all readers."


@pytest.mark.parametrize(
    ("data", "expected", "remarks"),
    [
        ("grün ½ 谁".encode(), "grün ½ 谁", 0),
        ("grün".encode("utf-8-sig"), "grün", 0),
        ("grün 谁".encode("utf-16"), "grün 谁", 0),
        ("gr\u00fcn \u201cquoted\u201d".encode("cp1252"), "gr\u00fcn \u201cquoted\u201d", 1),
    ],
)
def test_encodings(tmp_path: Path, data: bytes, expected: str, remarks: int) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(data)
    notes: list[str] = []
    assert text.read(path, on_note=notes.append).text == expected
    assert len(notes) == remarks
    assert all(str(path) in note and "Windows-1252" in note for note in notes)


def test_invisible_characters_are_left_out() -> None:
    assert text.parse("co\u00adoperate\u200b e\u0301t\u00e9\u00a0x \x07").text == "cooperate été x"
    assert text.parse("page one\x0cpage two\x0bthree").text == "page one\npage two\nthree"
    assert text.parse("می\u200cخواهم half\ud800").text == "می\u200cخواهم half"


@pytest.mark.parametrize(
    ("declared", "encoding", "words"),
    [
        ('<meta charset="shift_jis">', "shift_jis", "日本語"),
        ('<meta http-equiv=x content="text/html; charset=iso-8859-2">', "iso-8859-2", "kůň"),
        ('<meta charset="iso-8859-1">', "cp1252", "“a”"),
        ('<meta charset="iso-8859-2">', "utf-8", "kůň"),
    ],
)
def test_html_may_declare_its_encoding(
    tmp_path: Path, declared: str, encoding: str, words: str
) -> None:
    path = tmp_path / "a.html"
    path.write_bytes(f"{declared}<p>{words}</p>".encode(encoding))
    notes: list[str] = []
    assert text.read(path, on_note=notes.append).text == words
    assert notes == []


def test_ligatures_are_letters() -> None:
    assert text.parse("An e\ufb03cient \ufb01le.").text == "An efficient file."


def test_a_name_that_no_file_can_have() -> None:
    with pytest.raises(DocumentError, match="null"):
        text.read("a\0b.txt")
