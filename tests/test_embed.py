import hashlib
from pathlib import Path

import numpy as np
import pytest

from wavrag import audio
from wavrag.embed import Embedder, FakeEmbedder, load_embedder
from wavrag.embed.minilm import WEIGHTS, MiniLM
from wavrag.embed.moonshine import Moonshine, read_vocabulary
from wavrag.errors import EmbedderError
from wavrag.testing.embedder import EmbedderConformance, tone
from wavrag.types import Clip, EmbedInput


@pytest.fixture(scope="module")
def minilm() -> Embedder:
    return load_embedder("minilm")


class TestFake(EmbedderConformance):
    @pytest.fixture
    def embedder(self) -> Embedder:
        return FakeEmbedder()


class TestMiniLM(EmbedderConformance):
    @pytest.fixture
    def embedder(self, minilm: Embedder) -> Embedder:
        return minilm


class TestCascade(EmbedderConformance):
    @pytest.fixture
    def embedder(self, cascade: Embedder) -> Embedder:
        return cascade


def test_speech_is_recognised_and_lands_near_its_words(
    cascade: Embedder, human_reading: Path
) -> None:
    clip = audio.load(human_reading, 16_000, 0, 5)
    views = cascade.embed_with_texts([EmbedInput(clip=clip)], "query")
    assert views.texts[0] is not None
    assert "it was the best of times" in views.texts[0].lower()
    near, far = cascade.embed(
        [
            EmbedInput(text="It was the best of times, it was the worst of times."),
            EmbedInput(text="Boil the potatoes for twenty minutes."),
        ],
        "passage",
    )
    assert views.vectors[0] @ near > 0.8
    assert views.vectors[0] @ far < 0.3


def test_text_beside_a_clip_counts(cascade: Embedder) -> None:
    silent = Clip(np.zeros(16_000, np.float32), 16_000)
    both, words = cascade.embed(
        [EmbedInput(text="church bells", clip=silent), EmbedInput(text="church bells")], "passage"
    )
    np.testing.assert_allclose(both, words, atol=1e-6)


def test_no_words_are_invented_where_there_is_no_voice(cascade: Embedder) -> None:
    sound = tone(3.0, 16_000)
    marked = Clip(sound.samples, 16_000, speech=False)
    assert cascade.embed_with_texts([EmbedInput(clip=marked)], "passage").texts == ("",)


def test_sentences_of_one_meaning_are_closer_than_others() -> None:
    rows = MiniLM().embed_texts(
        ["How old is the bridge?", "The age of the bridge", "Bread needs flour and water"]
    )
    assert rows[0] @ rows[1] > rows[0] @ rows[2] + 0.3


def test_the_end_of_a_long_text_counts() -> None:
    filler = "The weather was mild and the meeting went on as planned. " * 60
    plain, ending = MiniLM().embed_texts([filler, filler + "Penguins breed in Antarctica. " * 20])
    assert plain @ ending < 0.98


def test_revisions_name_the_weights_in_the_package() -> None:
    # Another file needs another revision: knowledge bases refuse vectors of another model by it.
    digest = hashlib.sha256((WEIGHTS / "model.onnx").read_bytes()).hexdigest()
    assert digest.startswith("fcba153b20b4cb6c")


@pytest.mark.parametrize("name", ["", "bogus", "CASCADE"])
def test_an_unknown_embedder_names_the_known_ones(name: str) -> None:
    with pytest.raises(EmbedderError, match="cascade, minilm, fake, raw:moonshine, cascade:asr=R"):
        load_embedder(name)


def test_missing_and_damaged_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(EmbedderError, match=r"encoder\.onnx is missing"):
        Moonshine(tmp_path).load()
    (tmp_path / "encoder.onnx").write_bytes(b"not a model")
    with pytest.raises(EmbedderError, match=r"encoder\.onnx cannot be loaded"):
        Moonshine(tmp_path).load()


def test_vocabulary_lengths_take_one_or_two_bytes(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.bin"
    long = b"x" * 300  # 300 = 44 + 128 * 2
    path.write_bytes(b"\x02ab" + bytes([128 + 44, 2]) + long + b"\x00")
    assert read_vocabulary(path) == [b"ab", long, b""]
    path.write_bytes(b"\x05ab")
    with pytest.raises(EmbedderError, match="damaged"):
        read_vocabulary(path)
