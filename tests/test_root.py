import subprocess
import sys

import pytest

import wavrag

HEAVY = {
    "torch", "onnxruntime", "lancedb", "pyarrow", "av", "tokenizers", "numpy", "pypdfium2",
    "pydantic", "fastapi", "httpx", "tqdm",
}  # fmt: skip


def modules_after(code: str) -> set[str]:
    script = f"{code}\nimport sys\nprint(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in out.stdout.split()}


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert not modules_after("import wavrag") & HEAVY


def test_touching_every_public_name_loads_no_model_and_no_store() -> None:
    code = "import wavrag\nfor name in wavrag.__all__: getattr(wavrag, name)"
    assert not modules_after(code) & (HEAVY - {"numpy"})


def test_building_the_command_line_loads_nothing_heavy() -> None:
    code = "from wavrag.cli import main\nmain([])"
    loaded = modules_after(code)
    assert not loaded & HEAVY
    # Reading the metadata of packages is a third of the time that `wavrag --help` takes.
    assert not loaded & {"email", "asyncio", "multiprocessing"}


def test_the_public_names() -> None:
    assert wavrag.__all__ == [
        "Answer",
        "Clip",
        "Document",
        "Embedder",
        "Generator",
        "Hit",
        "KnowledgeBase",
        "Query",
        "WavRAG",
        "WavRAGError",
        "load_embedder",
        "load_generator",
    ]
    assert set(wavrag.__all__) <= set(dir(wavrag))
    for name in wavrag.__all__:
        assert getattr(wavrag, name).__name__ == name


def test_other_names_are_errors() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        wavrag.nonsense  # noqa: B018
