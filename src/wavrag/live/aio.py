"""The same for programs on an event loop: `async for event in AsyncLiveTurn(...)`.

Nothing here waits on the loop: models run on the scheduler's threads. Pushing a chunk costs the
loop about a quarter of a millisecond for each 32 ms of sound, for voice activity.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any, Self

from wavrag.errors import InputError
from wavrag.live.events import Event
from wavrag.live.intake import Chunk
from wavrag.live.options import LiveOptions
from wavrag.live.scheduler import Scheduler
from wavrag.live.turn import LiveTurn
from wavrag.rag import WavRAG
from wavrag.types import Turn


class AsyncLiveTurn:
    """A `LiveTurn` whose events are awaited. Make and use it on one loop.

    async with AsyncLiveTurn(rag, scheduler=scheduler) as turn:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(push_all(turn))
            async for event in turn:
                await socket.send_json(event_dict(event))
    """

    def __init__(
        self,
        rag: WavRAG,
        options: LiveOptions | None = None,
        *,
        scheduler: Scheduler,
        history: Sequence[Turn] = (),
        **others: Any,
    ) -> None:
        """Listen with a knowledge base; see `LiveTurn`, which also takes the others.

        Raises:
            InputError: the scheduler has no threads, so that the loop would have to wait.
        """
        if not scheduler.workers:
            raise InputError("an event loop needs a scheduler with threads: Scheduler()")
        self._loop = asyncio.get_running_loop()
        self._ready = asyncio.Event()
        self._ended = False
        self.turn = LiveTurn(
            rag, options, scheduler=scheduler, history=history, on_ready=self._wake, **others
        )

    def push(self, chunk: Chunk) -> None:
        """See `LiveTurn.push`."""
        self.turn.push(chunk)

    def begin(self) -> None:
        """See `LiveTurn.begin`."""
        self.turn.begin()

    def end(self) -> None:
        """See `LiveTurn.end`."""
        self.turn.end()

    def interrupt(self) -> None:
        """See `LiveTurn.interrupt`."""
        self.turn.interrupt()

    def finish(self) -> None:
        """There is no more sound; iteration ends when all that comes of it has been told."""
        self.turn.finish()
        self._ended = True
        self._ready.set()

    async def close(self) -> None:
        """Cancel all there is, and wait for the threads that work for it."""
        self._ended = True
        await asyncio.to_thread(self.turn.close)
        self._ready.set()

    async def __aiter__(self) -> AsyncIterator[Event]:
        """The events, until the sound is finished and all has come of it, or this is closed."""
        while True:
            self._ready.clear()
            ended = self._ended and self.turn.idle
            events = self.turn.take()
            for event in events:
                yield event
            if ended:
                return
            if not events:
                await self._ready.wait()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    def _wake(self) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(self._ready.set)
