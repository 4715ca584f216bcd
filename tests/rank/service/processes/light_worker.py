"""A worker that is there at once: it says who it is, counts its reloads, and dies or fails where it is told to."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from prectr.shared.errors import PrectrError


class Service:
    """Counts; reloads until a file says that it cannot."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.reloads = folder, 0

    async def reload(self) -> None:
        await asyncio.sleep(0.01)
        if (self.folder / "broken").exists():
            raise PrectrError("/srv/shop/ranker is not there: name another.")
        self.reloads += 1


def work(folder: Path, listener: socket.socket) -> tuple[FastAPI, Callable[[Callable[[], None]], None]]:
    """As `rank.service.serve.work`."""
    if (folder / "missing").exists():
        raise PrectrError(f"{folder / 'ranker'} is not there.")
    if (folder / "deadly").exists():
        os._exit(9)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.loop = asyncio.get_running_loop()
        yield

    app = FastAPI(lifespan=lifespan)
    app.state.service = Service(folder)

    @app.get("/")
    async def who() -> dict[str, int]:
        return {"pid": os.getpid(), "reloads": app.state.service.reloads}

    @app.post("/reload")
    async def reload() -> dict[str, str]:
        try:
            await app.state.reload()
        except Exception as error:  # noqa: BLE001 - the test reads it
            return {"status": str(error)}
        return {"status": "reloaded"}

    def answer(ready: Callable[[], None]) -> None:
        ready()
        uvicorn.Server(uvicorn.Config(app, log_config=None)).run(sockets=[listener])

    return app, answer
