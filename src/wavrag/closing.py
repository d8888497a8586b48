"""The context-manager protocol for objects with a `close` method."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self


class Closing(ABC):
    """Base class that closes its object at the end of a `with` block.

    Example:
        >>> class Connection(Closing):
        ...     def close(self) -> None:
        ...         print("closed")
        >>> with Connection():
        ...     pass
        closed
    """

    @abstractmethod
    def close(self) -> None:
        """Release all resources. Calling it again does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
