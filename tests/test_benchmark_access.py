"""A round of the comparison of a user's server with one without the hidden documents."""

import asyncio
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from wavrag.store import VisibleStore
from wavrag.types import Vocabulary
from wavrag.where import Node

SCRIPT = Path(__file__).parent.parent / "benchmarks" / "attack" / "access.py"


@pytest.fixture(scope="module")
def access() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("attack_access", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(__import__("sys").modules, "attack_access", module)
        spec.loader.exec_module(module)
        yield module


def test_no_reply_tells_of_a_hidden_document(access: ModuleType) -> None:
    comparison = asyncio.run(access.attack(1, 3, 0, users=1))
    assert comparison.leaks == []
    assert comparison.checks.total() > 100


def test_the_comparison_finds_a_leak(access: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def count_all(self: VisibleStore, where: Node | None = None) -> Vocabulary:
        return self._store.vocabulary()

    monkeypatch.setattr(VisibleStore, "vocabulary", count_all)
    leaks = asyncio.run(access.attack(1, 3, 0, users=1)).leaks
    assert any("/v1/search" in leak and "hidden" in leak for leak in leaks)
