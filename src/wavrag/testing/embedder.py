"""Conformance kit for the embedder interface: subclass it and provide one fixture."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from wavrag.audio import SAMPLE_RATE
from wavrag.embed import Embedder
from wavrag.errors import EmbedderError
from wavrag.types import Clip, EmbedInput, Role


def tone(seconds: float, sample_rate: int, hertz: float = 440.0) -> Clip:
    """Return a sine wave at a quarter of full scale."""
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    return Clip((0.25 * np.sin(2 * np.pi * hertz * time)).astype(np.float32), sample_rate)


class EmbedderConformance:
    """Tests of the embedder interface.

    A subclass provides the fixture `embedder`. If vectors may differ between a batch and single
    inputs, it also sets `batch_tolerance`, the largest difference of an element.

    Example:
        >>> from wavrag.embed import FakeEmbedder
        >>> class TestFakeEmbedder(EmbedderConformance):
        ...     @pytest.fixture
        ...     def embedder(self) -> FakeEmbedder:
        ...         return FakeEmbedder()
    """

    # 0 by default: a query alone and in a batch must find the same passages.
    batch_tolerance = 0.0

    @pytest.fixture
    def inputs(self, embedder: Embedder) -> list[EmbedInput]:
        """Inputs of every modality that the embedder supports."""
        spec = embedder.spec
        inputs = []
        if "text" in spec.modalities:
            inputs += [
                EmbedInput(text=t) for t in ("a dog barks", "", "Wer schrieb Hamlet? 谁写的?")
            ]
            # Longer than the context of small text models, which must not truncate it.
            inputs.append(EmbedInput(text="many words " * 400))
        if "audio" in spec.modalities:
            assert spec.sampling_rate is not None
            # 0.01 s is shorter than one frame of most encoders; digital silence has no scale.
            inputs += [EmbedInput(clip=tone(s, spec.sampling_rate)) for s in (0.01, 0.2, 2.0)]
            inputs.append(EmbedInput(clip=Clip(np.zeros(8000, np.float32), spec.sampling_rate)))
        return inputs

    def test_rows_are_float32_and_of_unit_length(
        self, embedder: Embedder, inputs: list[EmbedInput]
    ) -> None:
        rows = embedder.embed(inputs, "passage")
        assert rows.dtype == np.float32
        assert rows.shape == (len(inputs), embedder.spec.dim)
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-5)

    def test_no_inputs_give_no_rows(self, embedder: Embedder) -> None:
        assert embedder.embed([], "query").shape == (0, embedder.spec.dim)

    @pytest.mark.parametrize("role", ["query", "passage"])
    def test_a_batch_equals_one_by_one(
        self, embedder: Embedder, inputs: list[EmbedInput], role: Role
    ) -> None:
        single = np.concatenate([embedder.embed([content], role) for content in inputs])
        np.testing.assert_allclose(embedder.embed(inputs, role), single, atol=self.batch_tolerance)

    def test_the_same_input_gives_the_same_vector(
        self, embedder: Embedder, inputs: list[EmbedInput]
    ) -> None:
        first, second = embedder.embed(inputs, "query"), embedder.embed(inputs, "query")
        np.testing.assert_array_equal(first, second)

    def test_an_empty_input_is_rejected(self, embedder: Embedder) -> None:
        with pytest.raises(EmbedderError, match="input 0"):
            embedder.embed([EmbedInput()], "query")

    def test_unsupported_inputs_are_rejected(self, embedder: Embedder) -> None:
        spec = embedder.spec
        if "audio" not in spec.modalities:
            with pytest.raises(EmbedderError, match="text only"):
                embedder.embed([EmbedInput(clip=tone(1.0, SAMPLE_RATE))], "query")
            return
        if "text" not in spec.modalities:
            with pytest.raises(EmbedderError, match="audio only"):
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

    def test_audio_that_is_too_long_is_rejected_and_never_truncated(
        self, embedder: Embedder
    ) -> None:
        spec = embedder.spec
        if spec.max_audio_seconds is None or spec.sampling_rate is None:
            assert "audio" not in spec.modalities
            return
        # Truncated audio would be indexed as if the remainder did not exist.
        clip = tone(spec.max_audio_seconds + 1, spec.sampling_rate)
        with pytest.raises(EmbedderError, match=f"at most {spec.max_audio_seconds:g} s"):
            embedder.embed([EmbedInput(clip=clip)], "passage")

    def test_vectors_with_texts_agree_with_embed(
        self, embedder: Embedder, inputs: list[EmbedInput]
    ) -> None:
        result = embedder.embed_with_texts(inputs, "passage")
        np.testing.assert_array_equal(result.vectors, embedder.embed(inputs, "passage"))

    def test_texts_are_transcripts_if_the_spec_says_so(
        self, embedder: Embedder, inputs: list[EmbedInput]
    ) -> None:
        texts = embedder.embed_with_texts(inputs, "passage").texts
        assert len(texts) == len(inputs)
        for content, text in zip(inputs, texts, strict=True):
            if content.clip is None:
                assert text == content.text
            else:
                assert (text is not None) == embedder.spec.transcribes

    def test_the_spec_is_frozen(self, embedder: Embedder) -> None:
        with pytest.raises(FrozenInstanceError):
            embedder.spec.dim = 1  # type: ignore[misc]
