"""What every embedder must keep: subclass, give the fixture, inherit the tests."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from wavrag.audio import SAMPLE_RATE
from wavrag.embed import Embedder, views_of
from wavrag.errors import EmbedderError
from wavrag.types import Clip, EmbedInput, Role


def tone(seconds: float, sample_rate: int, hertz: float = 440.0) -> Clip:
    """A sine at a quarter of full scale."""
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    return Clip((0.25 * np.sin(2 * np.pi * hertz * time)).astype(np.float32), sample_rate)


class EmbedderConformance:
    """Tests of the embedder seam.

    A subclass gives a fixture `embedder`, and `batch_tolerance` if a batch may differ from its
    items embedded one by one: the largest difference of a vector's element.
    """

    batch_tolerance = 0.0

    @pytest.fixture
    def items(self, embedder: Embedder) -> list[EmbedInput]:
        """Items of every modality that the embedder takes."""
        spec = embedder.spec
        items = []
        if "text" in spec.modalities:
            items += [
                EmbedInput(text=t) for t in ("a dog barks", "", "Wer schrieb Hamlet? 谁写的?")
            ]
            items.append(EmbedInput(text="many words " * 400))
        if "audio" in spec.modalities:
            assert spec.sampling_rate is not None
            items += [EmbedInput(clip=tone(s, spec.sampling_rate)) for s in (0.01, 0.2, 2.0)]
            items.append(EmbedInput(clip=Clip(np.zeros(8000, np.float32), spec.sampling_rate)))
        return items

    def test_rows_are_float32_and_of_unit_length(
        self, embedder: Embedder, items: list[EmbedInput]
    ) -> None:
        rows = embedder.embed(items, "passage")
        assert rows.dtype == np.float32
        assert rows.shape == (len(items), embedder.spec.dim)
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-5)

    def test_no_items_give_no_rows(self, embedder: Embedder) -> None:
        assert embedder.embed([], "query").shape == (0, embedder.spec.dim)

    @pytest.mark.parametrize("role", ["query", "passage"])
    def test_a_batch_equals_one_by_one(
        self, embedder: Embedder, items: list[EmbedInput], role: Role
    ) -> None:
        single = np.concatenate([embedder.embed([item], role) for item in items])
        np.testing.assert_allclose(embedder.embed(items, role), single, atol=self.batch_tolerance)

    def test_the_same_item_gives_the_same_vector(
        self, embedder: Embedder, items: list[EmbedInput]
    ) -> None:
        first, second = embedder.embed(items, "query"), embedder.embed(items, "query")
        np.testing.assert_array_equal(first, second)

    def test_an_empty_item_is_refused(self, embedder: Embedder) -> None:
        with pytest.raises(EmbedderError, match="item 0"):
            embedder.embed([EmbedInput()], "query")

    def test_what_it_cannot_take_is_refused(self, embedder: Embedder) -> None:
        spec = embedder.spec
        if "audio" not in spec.modalities:
            with pytest.raises(EmbedderError, match="text only"):
                embedder.embed([EmbedInput(clip=tone(1.0, SAMPLE_RATE))], "query")
            return
        if "text" not in spec.modalities:
            with pytest.raises(EmbedderError, match="sound only"):
                embedder.embed([EmbedInput(text="a dog barks")], "query")
        assert spec.sampling_rate is not None
        with pytest.raises(EmbedderError, match=f"{spec.sampling_rate} Hz"):
            embedder.embed([EmbedInput(clip=tone(1.0, 8_000))], "query")
        empty = Clip(np.zeros(0, np.float32), spec.sampling_rate, source="empty.wav")
        with pytest.raises(EmbedderError, match=r"empty\.wav.*0 samples"):
            embedder.embed([EmbedInput(clip=empty)], "query")
        bad = Clip(np.full(SAMPLE_RATE, np.nan, np.float32), spec.sampling_rate, source="bad.wav")
        with pytest.raises(EmbedderError, match=r"bad\.wav.*finite"):
            embedder.embed([EmbedInput(clip=bad)], "query")

    def test_audio_that_is_too_long_is_refused_and_never_cut(self, embedder: Embedder) -> None:
        spec = embedder.spec
        if spec.max_audio_seconds is None or spec.sampling_rate is None:
            assert "audio" not in spec.modalities
            return
        clip = tone(spec.max_audio_seconds + 1, spec.sampling_rate)
        with pytest.raises(EmbedderError, match=f"at most {spec.max_audio_seconds:g} s"):
            embedder.embed([EmbedInput(clip=clip)], "passage")

    def test_views_agree_with_embed(self, embedder: Embedder, items: list[EmbedInput]) -> None:
        views = views_of(embedder, items, "passage")
        np.testing.assert_array_equal(views.vectors, embedder.embed(items, "passage"))
        assert len(views.words) == len(items)
        for item, words in zip(items, views.words, strict=True):
            if item.clip is None:
                assert words == item.text
            else:
                assert (words is not None) == embedder.spec.gives_words

    def test_the_spec_is_frozen(self, embedder: Embedder) -> None:
        with pytest.raises(FrozenInstanceError):
            embedder.spec.dim = 1  # type: ignore[misc]
