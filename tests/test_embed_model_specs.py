import json
import subprocess
import sys
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, get_args

import pytest

from wavrag.embed.model_specs import (
    MODELS,
    SPEC_FILE,
    ModelSpec,
    contradiction,
    spec_for,
    spec_from_file,
    write_spec,
)
from wavrag.errors import EmbedderError
from wavrag.types import Modality

ROOT = Path(__file__).parent.parent
KEYS = [field.name for field in fields(ModelSpec)]
CLAP = spec_for("laion/clap-htsat-unfused")


def test_the_table_has_the_models_that_the_project_names() -> None:
    assert set(MODELS) == {
        "google/embeddinggemma-300m",
        "Qwen/Qwen3-Embedding-0.6B",
        "BAAI/bge-m3",
        "Alibaba-NLP/gte-multilingual-base",
        "intfloat/multilingual-e5-base",
        "intfloat/multilingual-e5-small",
        "Qwen/Qwen2-Audio-7B",
        "Qwen/Qwen2-Audio-7B-Instruct",
        "google/embeddinggemma-2",
        "LCO-Embedding/LCO-Embedding-Omni-3B",
        "LCO-Embedding/LCO-Embedding-Omni-7B",
        "BidirLM/BidirLM-Omni-2.5B-Embedding",
        "Tevatron/OmniEmbed-v0.1",
        "vidore/colqwen-omni-v0.1",
        "laion/clap-htsat-unfused",
        "laion/larger_clap_general",
        "laion/larger_clap_music_and_speech",
    }


@pytest.mark.parametrize("spec", MODELS.values(), ids=lambda spec: spec.name)
def test_a_row_is_complete_and_agrees_with_itself(spec: ModelSpec, tmp_path: Path) -> None:
    assert spec_for(spec.name) is spec
    assert spec.name.count("/") == 1
    assert contradiction(spec) is None
    assert spec.source.startswith("https://")
    assert "text" in spec.modalities <= set(get_args(Modality))
    assert len(set(spec.languages)) == len(spec.languages)
    assert all(len(code) in (2, 3) and code.islower() for code in spec.languages)
    assert spec.note.endswith(".")
    write_spec(spec, tmp_path)
    assert spec_from_file(tmp_path) == spec, "of the types and values that a file may have"


@pytest.mark.parametrize("spec", MODELS.values(), ids=lambda spec: spec.name)
def test_a_prompt_or_suffix_cannot_run_into_the_item(spec: ModelSpec) -> None:
    for prompt in (spec.query_prompt, spec.passage_prompt):
        # Published without a space.
        exception = spec.name == "Qwen/Qwen3-Embedding-0.6B" and prompt.endswith("Query:")
        assert not prompt or prompt.endswith(" ") or spec.prompt_role == "system" or exception
    assert not spec.text_suffix or spec.text_suffix.startswith("\n")


def test_a_row_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        MODELS["mine"] = CLAP  # type: ignore[index]
    with pytest.raises(AttributeError):
        CLAP.dim = 1  # type: ignore[misc]


def test_an_unknown_model_needs_a_contract() -> None:
    with pytest.raises(
        EmbedderError, match=r"'me/mine' is unknown.*embeddinggemma-2.*" + SPEC_FILE
    ):
        spec_for("me/mine")


def test_a_contract_goes_through_a_file_or_a_folder(tmp_path: Path) -> None:
    spec = replace(CLAP, name="wavretriever", chunk_seconds=2.5, note="ein Ärgernis\n")
    write_spec(spec, tmp_path / "any.json")
    assert spec_from_file(tmp_path / "any.json") == spec
    write_spec(spec, tmp_path)
    assert spec_from_file(tmp_path / SPEC_FILE) == spec == spec_from_file(tmp_path)
    assert list(json.loads((tmp_path / SPEC_FILE).read_text("utf-8"))) == KEYS


def written(folder: Path, **changes: Any) -> Path:
    row = asdict(CLAP) | {"modalities": sorted(CLAP.modalities)} | changes
    path = folder / SPEC_FILE
    path.write_text(json.dumps(row), encoding="utf-8")
    return path


def test_a_whole_number_of_seconds_is_a_number(tmp_path: Path) -> None:
    assert spec_from_file(written(tmp_path, max_audio_seconds=80)).max_audio_seconds == 80


def test_an_unknown_key_is_named(tmp_path: Path) -> None:
    with pytest.raises(EmbedderError, match="unknown key 'poling': use name, dim, pooling"):
        spec_from_file(written(tmp_path, poling="mean"))


@pytest.mark.parametrize("key", KEYS)
def test_a_missing_key_is_named(key: str, tmp_path: Path) -> None:
    path = written(tmp_path)
    row = json.loads(path.read_text("utf-8"))
    del row[key]
    path.write_text(json.dumps(row), encoding="utf-8")
    with pytest.raises(EmbedderError, match=f"lacks the key '{key}'"):
        spec_from_file(path)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("pooling", "max", "pooling: .* 'last', 'mean', 'cls' or 'own', not 'max'"),
        ("dtype", "int8", "dtype: .* 'bfloat16', 'float16' or 'float32', not 'int8'"),
        ("dim", 512.0, "dim: .* a valid integer, not 512.0"),
        ("dim", True, "dim: .* a valid integer, not True"),
        ("dim", "512", "dim: .* a valid integer, not '512'"),
        ("normalised", 1, "normalised: .* a valid boolean, not 1"),
        ("query_prompt", None, "query_prompt: .* a valid string, not None"),
        ("chunk_seconds", "30", "chunk_seconds: .* a valid number, not '30'"),
        ("modalities", "text", "modalities: .* a valid array, not 'text'"),
        ("modalities", ["text", "smell"], r"modalities\.1: .* 'text' or 'audio', not 'smell'"),
        ("languages", [1], r"languages\.0: .* a valid string, not 1"),
    ],
)
def test_a_value_of_another_type_is_refused(
    key: str, value: object, words: str, tmp_path: Path
) -> None:
    with pytest.raises(EmbedderError, match=f"{words}$"):
        spec_from_file(written(tmp_path, **{key: value}))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"dim": 0}, "dim is 0"),
        ({"sampling_rate": -1}, "sampling_rate is -1"),
        ({"max_text_tokens": 0}, "max_text_tokens is 0"),
        ({"max_audio_seconds": float("nan")}, "max_audio_seconds is nan"),
        ({"max_audio_seconds": float("inf")}, "max_audio_seconds is inf"),
        ({"chunk_seconds": 0.0}, "chunk_seconds is 0"),
        ({"chunk_seconds": 30.0}, "chunk_seconds is 30, above max_audio_seconds, 10"),
        ({"modalities": []}, "modalities is empty"),
        ({"name": ""}, "name is empty"),
    ],
)
def test_what_no_model_can_be_is_refused(
    changes: dict[str, object], words: str, tmp_path: Path
) -> None:
    with pytest.raises(EmbedderError, match=words):
        spec_from_file(written(tmp_path, **changes))


@pytest.mark.parametrize("content", ["", "{", "[]", "3"])
def test_a_file_without_an_object_is_named(content: str, tmp_path: Path) -> None:
    path = tmp_path / SPEC_FILE
    path.write_text(content, encoding="utf-8")
    with pytest.raises(EmbedderError, match=SPEC_FILE):
        spec_from_file(path)


def test_a_folder_without_a_contract_is_named(tmp_path: Path) -> None:
    with pytest.raises(EmbedderError, match=SPEC_FILE):
        spec_from_file(tmp_path)


def test_the_models_page_is_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import model_table

    assert (ROOT / "docs" / "models.md").read_text(encoding="utf-8") == model_table.page(), (
        "run tools/model_table.py"
    )


def test_the_table_is_light() -> None:
    heavy = "import sys, wavrag.embed.model_specs; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", heavy], check=False).returncode == 0
