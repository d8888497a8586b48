"""Presets: names of embedders by quality and language."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from wavrag import config
from wavrag.cli import main
from wavrag.embed import QUALITIES, load_embedder, preset
from wavrag.embed import presets as module
from wavrag.errors import EmbedderError, MissingExtraError

needs_models = pytest.mark.skipif(
    not importlib.util.find_spec("sentence_transformers"), reason="needs wavrag[models]"
)


def test_english_uses_packaged_models_unless_the_best_are_wanted() -> None:
    assert preset() == config.DEFAULT_EMBEDDER
    for quality in ("fast", "balanced"):
        assert load_embedder(preset(quality)).spec.languages == ("en",)


@needs_models
@pytest.mark.parametrize("language", ["en", "de", "ja", "hi"])
@pytest.mark.parametrize("quality", QUALITIES)
def test_every_preset_is_an_embedder_for_its_language(quality: str, language: str) -> None:
    name = preset(quality, language)
    spec = load_embedder(name).spec
    assert spec.name == name
    assert spec.languages == (language,)
    assert spec.modalities == {"text", "audio"}


@needs_models
def test_a_transducer_is_preferred_where_it_knows_the_language() -> None:
    assert preset("best", "de") == (
        "cascade:asr=transformers:nvidia/parakeet-tdt-0.6b-v3@de,text=st:google/embeddinggemma-300m"
    )
    assert "whisper-large-v3-turbo@ja" in preset("best", "ja")


@needs_models
def test_models_come_from_a_folder(tmp_path: Path) -> None:
    with pytest.raises(EmbedderError, match=r"hf download nvidia/parakeet-\S+ --local-dir"):
        preset("best", "en", tmp_path)
    for folder in ("parakeet-tdt-0.6b-v3", "embeddinggemma-300m"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "config.json").write_text("{}")
    name = preset("best", "en", tmp_path)
    spec = load_embedder(name).spec
    assert spec.name == name
    assert spec.licence == "CC-BY-4.0 AND LicenseRef-Gemma"


def test_unknown_quality_and_language() -> None:
    with pytest.raises(EmbedderError, match="choose fast, balanced, best"):
        preset("worst")  # type: ignore[arg-type]
    with pytest.raises(EmbedderError, match="'German' is not an ISO 639-1 code"):
        preset("best", "German")


def test_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"wavrag\[models\]"):
        preset("best")


def test_index_takes_a_preset(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.txt").write_text("Bees dance.")
    command = ["index", str(tmp_path / "a.txt"), "--kb", str(tmp_path / "kb")]
    assert main([*command, "--quality", "best", "--models", str(tmp_path)]) == 1
    assert not (tmp_path / "kb").exists()
    assert main([*command, "--quality", "fast", "--embedder", "fake"]) == 2
    assert main([*command, "--quality", "fast"]) == 0
    capsys.readouterr()
    assert main(["kb", "info", "--kb", str(tmp_path / "kb"), "--json"]) == 0
    assert preset("fast") in capsys.readouterr().out
