import numpy as np
import pytest

from wavrag.types import Clip, Passage, Query, format_seconds


@pytest.mark.parametrize(
    ("seconds", "clock"),
    [
        (0, "0:00.0"),
        (9.96, "0:10.0"),
        (59.97, "1:00.0"),
        (723.4, "12:03.4"),
        (3599.99, "1:00:00.0"),
        (3723.4, "1:02:03.4"),
        (36_000, "10:00:00.0"),
    ],
)
def test_format_seconds(seconds: float, clock: str) -> None:
    assert format_seconds(seconds) == clock


def test_a_clip_knows_its_times() -> None:
    clip = Clip(np.zeros(24_000, np.float32), 16_000, start=2.0)
    assert (clip.duration, clip.end) == (1.5, 3.5)


def test_the_place_of_a_passage() -> None:
    spoken = Passage("a", 3, start=723.4, end=739.0)
    assert (spoken.id, spoken.modality, spoken.location) == ("a#3", "audio", "12:03.4-12:19.0")
    written = Passage("b", 0, text="x", char_start=5, char_end=9, section="Care > Water", page=3)
    assert written.modality == "text"
    assert written.location == "page 3, Care > Water, characters 5-9"
    assert Passage("c", 0, text="x").location == ""


def test_a_query_with_sound_is_an_audio_query() -> None:
    clip = Clip(np.zeros(10, np.float32), 16_000)
    assert Query(text="hi").modality == "text"
    assert Query(text="hi", clip=clip).modality == "audio"
