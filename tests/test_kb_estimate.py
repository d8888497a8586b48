"""How far indexing has come, and how long it still takes."""

from pathlib import Path

import pytest

from audio_files import tone, write
from wavrag import KnowledgeBase
from wavrag.kb import Progress, estimate, find_files
from wavrag.kb.estimate import TimeEstimate, measure_length
from wavrag.types import Document, Passage


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, in seconds."""
    now = [0.0]
    monkeypatch.setattr(estimate.time, "monotonic", lambda: now[0])
    return now


def files(folder: Path, **sizes: int) -> list[Document]:
    documents = []
    for name, size in sizes.items():
        path = folder / name.replace("_", ".")
        path.write_bytes(b"x" * size)
        documents.append(Document(str(path), path=str(path)))
    return documents


def test_each_kind_of_file_has_a_rate_of_its_own(tmp_path: Path, clock: list[float]) -> None:
    a, b, _, d, _ = documents = files(
        tmp_path, a_mp3=100, b_wav=1_000, c_txt=70, d_wav=2_000, e_mp3=50
    )
    left = TimeEstimate(documents)
    left.begin(a, 60.0)
    assert left.seconds_left() is None
    clock[0] = 5.0
    left.advance(Passage(a.id, 0, start=20.0, end=30.0))
    assert left.fraction == 0.5
    # 50 bytes took 5 s: the other half takes 5 s more, and so do the 50 bytes of e. No wav and no
    # text has been read: their 3,070 bytes take 0.1 s each, as all bytes so far.
    assert left.seconds_left() == pytest.approx(5 + 5 + 307)
    clock[0] = 10.0
    left.begin(b, None)
    clock[0] = 11.0
    left.begin(d, 100.0)  # c is unchanged
    # 1,000 bytes of wav took 1 s: 2 s for d. 100 bytes of mp3 took 10 s: 5 s for e.
    assert left.seconds_left() == pytest.approx(2 + 5)
    left.advance(Passage(d.id, 0, start=90.0, end=130.0))
    assert left.fraction == 0.99  # the header was wrong


def test_the_length_of_a_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "LARGE_FILE", 1_000)
    write(tmp_path / "long.wav", tone(440, 3, 16_000)[None], 16_000)
    long, text, small = tmp_path / "long.wav", tmp_path / "a.txt", tmp_path / "b.txt"
    text.write_text("word " * 400)
    small.write_text("word")
    lengths = [measure_length(Document("x", path=str(path))) for path in (long, text, small)]
    assert lengths == [3.0, 2_000.0, None]
    assert measure_length(Document("x", text="four")) == 4.0


def test_progress_tells_the_share_of_a_long_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimate, "LARGE_FILE", 0)
    monkeypatch.setattr(estimate, "MIN_SECONDS", 0.0)
    write(tmp_path / "long.wav", tone(440, 40, 16_000)[None], 16_000)
    events: list[Progress] = []
    with KnowledgeBase.open(tmp_path / "kb", embedder="fake") as kb:
        kb.add(find_files([tmp_path / "long.wav"]).documents, on_progress=events.append)
    shares = [event.fraction for event in events]
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert any(0.2 < share < 0.8 for share in shares)
    assert shares[-1] == 0.99
    assert [event.stage for event in events[:3]] == ["reading", "loading", "embedding"]
    assert all(event.seconds_left is not None for event in events if event.passages)
