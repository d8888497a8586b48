import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

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
    assert set(wavrag.__all__) == set(wavrag._HOMES)
    assert set(wavrag.__all__) <= set(dir(wavrag))
    for name in wavrag.__all__:
        assert getattr(wavrag, name).__name__ == name


def test_type_checkers_see_the_public_names() -> None:
    tree = ast.parse(Path(wavrag.__file__).read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    rooms = {(node.module or "").removeprefix("wavrag."): node.names for node in imports}
    homes = {alias.name: room for room, names in rooms.items() for alias in names}
    assert {name: homes[name] for name in wavrag.__all__} == wavrag._HOMES


# Of typing and the standard library, aliases, and what the rooms use among themselves.
NOT_AT_THE_ROOT = {
    "Any", "Callable", "Collection", "Event", "Iterable", "Iterator", "Mapping", "None", "Path",
    "PathLike", "Self", "Sequence",
    "Channels", "FetchCallback", "Float32", "Fusion", "Leg", "Metadata", "OnNote", "PathCallback",
    "ProgressCallback", "Question",
    "Reranker", "ScoredPassage", "Store", "StoredPassage",
}  # fmt: skip


def test_options_and_results_of_public_methods_are_public_names() -> None:
    for owner in (wavrag.WavRAG, wavrag.KnowledgeBase):
        for name, method in vars(owner).items():
            if not name.startswith("_") and callable(method):
                annotations = " ".join(map(str, inspect.get_annotations(method).values()))
                types = set(re.findall(r"\b[A-Z]\w+", annotations)) - NOT_AT_THE_ROOT
                assert types <= set(wavrag.__all__), (owner, name)


def test_other_names_are_errors() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        wavrag.nonsense  # noqa: B018
