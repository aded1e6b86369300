"""What is closed when its `with` block is left, however that happens."""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class Scope(ABC):
    """Something with a `close`, for `with`."""

    @abstractmethod
    def close(self) -> None:
        """Let go of it; nothing happens the second time."""

    def __enter__(self) -> Self:
        """Return the object itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()


class AsyncScope(ABC):
    """Something with an asynchronous `close`, for `async with`."""

    @abstractmethod
    async def close(self) -> None:
        """Let go of it; nothing happens the second time."""

    async def __aenter__(self) -> Self:
        """Return the object itself."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        await self.close()
