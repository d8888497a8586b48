"""`LiveTurn` for asyncio: `async for event in AsyncLiveTurn(...)`.

The event loop never waits: models run on the scheduler's threads. Pushing a chunk takes about a
quarter of a millisecond for each 32 ms of audio, for voice activity detection.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, Self

from wavrag.errors import InputError
from wavrag.live.events import Event
from wavrag.live.options import LiveOptions
from wavrag.live.scheduler import Scheduler
from wavrag.live.turn import LiveTurn
from wavrag.rag import WavRAG


class AsyncLiveTurn:
    """A `LiveTurn` with awaitable events. Create and use it on the same event loop.

    `push`, `begin`, `end`, `interrupt` and `drop` are the methods of the `LiveTurn`.

    Example::

        async with AsyncLiveTurn(rag) as turn:
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
        scheduler: Scheduler | None = None,
        **keywords: Any,
    ) -> None:
        """Listen to a speaker and search a knowledge base; the arguments are those of `LiveTurn`.

        Raises:
            InputError: the scheduler has no threads, so the event loop would block.
        """
        if scheduler is not None and not scheduler.workers:
            raise InputError("an event loop needs a scheduler with threads: Scheduler()")
        self._loop = asyncio.get_running_loop()
        self._ready = asyncio.Event()
        self._stopped = False
        self.turn = LiveTurn(rag, options, scheduler=scheduler, on_ready=self._wake, **keywords)
        self.push, self.begin = self.turn.push, self.turn.begin
        self.end, self.interrupt = self.turn.end, self.turn.interrupt
        self.drop = self.turn.drop

    def finish(self) -> None:
        """Signal the end of the audio; iteration ends after the last event."""
        self.turn.finish()
        self._stopped = True
        self._ready.set()

    async def close(self) -> None:
        """Cancel all work and wait for its threads."""
        self._stopped = True
        await asyncio.to_thread(self.turn.close)
        self._ready.set()

    async def __aiter__(self) -> AsyncIterator[Event]:
        """Yield events until the audio is finished and processed, or until `close`."""
        while True:
            # Cleared before `take`, so that an event between the two sets it again.
            self._ready.clear()
            last = self._stopped and self.turn.idle
            events = self.turn.take()
            for event in events:
                yield event
            if last:
                return
            if not events:
                await self._ready.wait()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    def _wake(self) -> None:
        with suppress(RuntimeError):  # the loop is closed, so nobody awaits events
            self._loop.call_soon_threadsafe(self._ready.set)
