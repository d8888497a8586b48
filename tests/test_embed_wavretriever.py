"""WavRetriever, with the weights in the package."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from wavrag import audio
from wavrag.demo import DATA
from wavrag.embed import Embedder, load_embedder
from wavrag.embed.ctc import WordSpan
from wavrag.embed.wavretriever import (
    ENCODER_FILE,
    LETTERS_FILE,
    LEXICON_FILE,
    REVISION,
    WAVRETRIEVER_WEIGHTS,
    WavRetriever,
    has_certain_letters,
    has_voice,
    is_spoken,
)
from wavrag.errors import EmbedderError
from wavrag.testing.embedder import EmbedderConformance, tone
from wavrag.types import Clip, EmbedInput

RATE = 16_000


@pytest.fixture(scope="module", params=["wavretriever", "wavretriever-fast"])
def hearing(request: pytest.FixtureRequest) -> Embedder:
    return load_embedder(request.param)


class TestWavRetriever(EmbedderConformance):
    @pytest.fixture
    def embedder(self, hearing: Embedder) -> Embedder:
        return hearing


def test_a_read_sentence_lands_near_its_words(hearing: Embedder, human_reading: Path) -> None:
    clip = audio.load(human_reading, RATE, 0.0, 5.0)
    views = hearing.embed_with_texts([EmbedInput(clip=clip)], "query")
    assert views.texts[0] is not None
    assert "times it was the" in views.texts[0].lower().replace(",", "")
    near, far = hearing.embed(
        [
            EmbedInput(text="It was the best of times, it was the worst of times."),
            EmbedInput(text="Boil the potatoes for twenty minutes."),
        ],
        "passage",
    )
    assert views.vectors[0] @ near > 0.6
    assert views.vectors[0] @ far < 0.3


def test_sounds_have_no_words_and_lie_near_their_like(
    hearing: Embedder, human_reading: Path
) -> None:
    path = DATA / "corpus" / "recordings" / "bells-in-the-rain.opus"
    one, other = (EmbedInput(clip=audio.load(path, RATE, at, at + 4)) for at in (9.0, 13.0))
    speech = EmbedInput(clip=audio.load(human_reading, RATE, 0.0, 5.0))
    views = hearing.embed_with_texts([one, other, speech], "passage")
    assert views.texts[:2] == ("", "")
    assert views.vectors[0] @ views.vectors[1] > views.vectors[0] @ views.vectors[2] + 0.3


def test_a_voice_without_words_still_has_a_vector(hearing: Embedder) -> None:
    marked = Clip(tone(3.0, RATE).samples, RATE, speech=True)
    (row,) = hearing.embed([EmbedInput(clip=marked)], "passage")
    assert np.linalg.norm(row) == pytest.approx(1.0, abs=1e-5)


def test_no_words_are_invented_where_there_is_no_voice(
    hearing: Embedder, human_reading: Path
) -> None:
    speech = audio.load(human_reading, RATE, 0.0, 5.0)
    marked = Clip(speech.samples, RATE, speech=False)
    assert hearing.embed_with_texts(
        [EmbedInput(clip=marked), EmbedInput(clip=tone(3.0, RATE))], "query"
    ).texts == ("", "")


def test_text_and_sound_both_count(hearing: Embedder, human_reading: Path) -> None:
    clip = audio.load(human_reading, RATE, 0.0, 5.0)
    text, sound, both = hearing.embed(
        [
            EmbedInput(text="church bells"),
            EmbedInput(clip=clip),
            EmbedInput(text="church bells", clip=clip),
        ],
        "query",
    )
    assert both @ text > 0.5
    assert both @ sound > 0.5
    silent = Clip(np.zeros(RATE, np.float32), RATE)
    with_silence, alone = hearing.embed(
        [EmbedInput(text="church bells", clip=silent), EmbedInput(text="church bells")], "query"
    )
    np.testing.assert_allclose(with_silence, alone, atol=1e-6)


def test_text_has_the_vectors_of_the_text_model(hearing: Embedder) -> None:
    texts = [EmbedInput(text="How old is the bridge?"), EmbedInput(text="")]
    np.testing.assert_array_equal(
        hearing.embed(texts, "query"), load_embedder("minilm").embed(texts, "query")
    )


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(EmbedderError, match=r"onnx is missing"):
        WavRetriever(weights=tmp_path).load()


def test_the_revision_names_the_weights_in_the_package() -> None:
    # Other files need another revision: knowledge bases refuse vectors of another model by it.
    digest = hashlib.sha256()
    for name in (LETTERS_FILE, ENCODER_FILE, LEXICON_FILE):
        digest.update((WAVRETRIEVER_WEIGHTS / name).read_bytes())
    assert (REVISION, digest.hexdigest()[:16]) == ("wavretriever-4", "1ed562f94a35477f")


def test_all_weights_together_stay_small() -> None:
    folders = WAVRETRIEVER_WEIGHTS.parent, audio.VAD_MODEL.parent
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert 70e6 < sum(path.stat().st_size for path in files) < 80e6


def test_far_speech_counts_by_its_voice_and_noise_does_not(human_reading: Path) -> None:
    speech = audio.load(human_reading, RATE, 0.0, 5.0).samples
    rng = np.random.default_rng(0)
    far = audio.reverberate(speech, RATE, 0.8, rng, ratio=-6.0)
    far = audio.add_noise(far, rng.standard_normal(len(far)).astype(np.float32), 5.0)
    assert has_voice(far)
    assert not has_voice(tone(3.0, RATE).samples)
    assert not has_voice(rng.standard_normal(3 * RATE).astype(np.float32) * 0.1)
    words = [WordSpan("the", 0, 3, 0.5), WordSpan("cat", 3, 6, 0.8)]
    # (0.5 * 3 + 0.8 * 3) / 6 = 0.65 with both words; the first alone has 0.5.
    assert has_certain_letters(words)
    assert not has_certain_letters(words[:1])
    assert is_spoken(words[:1], far)
    assert not is_spoken(words[:1], tone(3.0, RATE).samples)
    assert not is_spoken([], far)
