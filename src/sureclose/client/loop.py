"""An event loop in a thread of its own, for those who have none, or whose own must not be entered."""

import asyncio
import concurrent.futures
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeAlias, TypeVar

_Found = TypeVar("_Found")
_Begun: TypeAlias = tuple[asyncio.AbstractEventLoop, asyncio.Event]


class Loop:
    """Begins with the first call. ``finish`` runs on it before it ends. Any thread may call, also one with a loop of its own."""

    def __init__(self, finish: Callable[[], Awaitable[None]]) -> None:
        self._finish = finish
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._ended = False
        self._running: tuple[threading.Thread, asyncio.AbstractEventLoop, asyncio.Event] | None = None

    def run(self, work: Coroutine[Any, Any, _Found]) -> _Found:
        """What the coroutine returns or raises; whoever is interrupted in waiting for it cancels it."""
        if self._pid != os.getpid():
            work.close()
            raise RuntimeError("a client does not outlive a fork; make one in each process")
        with self._lock:  # what is begun in here is begun before the loop can end, and is ended with it
            if self._ended:
                work.close()
                raise RuntimeError("this client was disconnected; make another one")
            if self._running is None:
                self._running = self._begun()
            future = asyncio.run_coroutine_threadsafe(work, self._running[1])
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise RuntimeError("the client was disconnected meanwhile; what was asked for goes on") from None
        finally:
            future.cancel()

    @property
    def has_ended(self) -> bool:
        return self._ended

    def stop(self) -> None:
        """End it, and wait until it has ended; once is as good as twice. A forked child has nothing to end."""
        if self._pid != os.getpid():
            return
        with self._lock:
            self._ended = True
            running, self._running = self._running, None
        if running is None:
            return
        thread, loop, stop = running
        loop.call_soon_threadsafe(stop.set)
        if thread is not threading.current_thread():  # where the collector came by in that thread
            thread.join()

    def _begun(self) -> tuple[threading.Thread, asyncio.AbstractEventLoop, asyncio.Event]:
        begun: concurrent.futures.Future[_Begun] = concurrent.futures.Future()
        # A daemon, so that a program which forgets to disconnect can end: its exit handlers stop the loop.
        thread = threading.Thread(target=self._run, args=(begun,), name="sureclose", daemon=True)
        thread.start()
        loop, stop = begun.result()
        return thread, loop, stop

    def _run(self, begun: "concurrent.futures.Future[_Begun]") -> None:
        loop = asyncio.new_event_loop()
        try:
            loop.run_until_complete(self._serve(begun))
        finally:
            loop.close()

    async def _serve(self, begun: "concurrent.futures.Future[_Begun]") -> None:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        begun.set_result((loop, stop))
        await stop.wait()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._finish()
        await loop.shutdown_asyncgens()
