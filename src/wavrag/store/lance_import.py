"""Import LanceDB without the client of its server, which takes a third of the time."""

from __future__ import annotations

import sys
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any

# LanceDB uses the models of this package. Its `__init__` also builds ten classes with hundreds of
# validators for requests to a server.
_CLIENT = "lance_namespace_urllib3_client"


class _LazyPackage(ModuleType):
    """A package whose `__init__` runs when one of its names is first used; submodules before."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # inspection of all modules, such as by `warnings`
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        self.__class__ = ModuleType  # type: ignore[assignment]
        assert self.__spec__ is not None
        assert self.__spec__.loader is not None
        self.__spec__.loader.exec_module(self)
        return getattr(self, name)


def import_lancedb() -> Any:
    """Import LanceDB and return it."""
    if _CLIENT not in sys.modules and "lancedb" not in sys.modules:
        spec = find_spec(_CLIENT)
        if spec is not None:
            package = module_from_spec(spec)
            package.__class__ = _LazyPackage
            sys.modules[_CLIENT] = package
    import lancedb

    return lancedb
