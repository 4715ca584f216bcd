"""A worker's life: it opens what it needs, says so to its parent, answers, and does what its parent passes on."""

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from fastapi import FastAPI

from prectr.rank.service.errors import PATH, RefusedError, log
from prectr.shared.errors import PrectrError

Work = Callable[..., tuple[FastAPI, Callable[[Callable[[], None]], None]]]
"""Opens what a worker needs; returns the application, and what answers by it once it was told what to call then."""


def live(pipe: Connection, work: Work, given: tuple[Any, ...]) -> None:
    """Until it is told to stop, or its parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's until there is something to end in order
    parent = _Parent(pipe)
    threading.Thread(target=parent.listen, daemon=True).start()
    try:
        app, answer = work(*given)
    except PrectrError as error:
        parent.say("failed", str(error))
        return
    parent.app, app.state.reload = app, parent.reload
    answer(lambda: parent.say("ready"))


class _Parent:
    """What a worker says to its parent, and hears of it."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe, self._lock = pipe, threading.Lock()
        self._waiting = list[Future[str | None]]()
        self.app: FastAPI | None = None

    def say(self, what: str, sentence: str | None = None) -> None:
        with self._lock, suppress(OSError):
            self._pipe.send((what, sentence))

    async def reload(self) -> None:
        """Have all workers reload.

        Raises:
            RefusedError: one could not; then those after it go on as they are.
        """
        done: Future[str | None] = Future()
        self._waiting.append(done)
        self.say("reload")
        if sentence := await asyncio.wrap_future(done):
            raise RefusedError(409, sentence)

    def listen(self) -> None:
        """In a thread; a worker whose parent is gone ends in order."""
        while True:
            try:
                what, sentence = self._pipe.recv()
            except (EOFError, OSError):
                os.kill(os.getpid(), signal.SIGTERM)
                return
            if what == "done" and self._waiting:
                with suppress(InvalidStateError):  # whoever asked has gone
                    self._waiting.pop(0).set_result(sentence)
            elif what == "reload" and self.app is not None:
                self._reload(self.app)

    def _reload(self, app: FastAPI) -> None:
        try:
            asyncio.run_coroutine_threadsafe(app.state.service.reload(), app.state.loop).result()
        except (RefusedError, PrectrError) as error:
            self.say("reloaded", PATH.sub(r"\1", str(error)))
        except Exception as error:  # noqa: BLE001 - it goes on as it is, and says so
            log.error("reloading: %s", type(error).__name__)
            self.say("reloaded", "a worker could not open the folder: the log says why.")
        else:
            self.say("reloaded")
