from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wavrag.generate.detokenizer import StreamingDetokenizer


def decode(tokens: list[int]) -> str:
    """A token is a byte."""
    return bytes(tokens).decode("utf-8", "replace")


def written(text: str, *stop: str) -> list[str]:
    pieces = StreamingDetokenizer(decode, stop)
    out = []
    for byte in text.encode():
        out.append(pieces.add(byte))
        if pieces.stopped:
            break
    return [*out, pieces.flush()]


def test_each_token_gives_its_piece() -> None:
    assert written("at 9") == ["a", "t", " ", "9", ""]


def test_part_of_a_character_waits_for_the_rest_of_it() -> None:
    assert written("aü€b") == ["a", "", "ü", "", "", "€", "b", ""]


def test_a_character_that_is_never_whole_comes_at_the_end() -> None:
    pieces = StreamingDetokenizer(decode)
    assert [pieces.add(byte) for byte in "é".encode()[:1]] == [""]
    assert pieces.flush() == "\ufffd"


def test_what_may_begin_a_stop_string_waits_until_it_does_not() -> None:
    assert written("not so", "no one") == ["", "", "not", " ", "s", "o", ""]
    assert written("a no one b", "no one") == ["a", " ", *[""] * 7]
    assert written("a no", "no one") == ["a", " ", "", "", "no"]


@given(st.text(max_size=30), st.lists(st.text(min_size=1, max_size=4), max_size=3))
def test_the_pieces_are_the_text_before_the_first_stop_string(text: str, stop: list[str]) -> None:
    # The text before the byte at which a stop string is complete first, up to that string.
    done = min((text.find(word) + len(word) for word in stop if word in text), default=None)
    whole = "".join(written(text, *stop))
    if done is None:
        assert whole == text
    else:
        ends = [text[:done].find(word) for word in stop if word in text[:done]]
        assert whole == text[: min(ends)]
        assert not any(word in whole for word in stop)
