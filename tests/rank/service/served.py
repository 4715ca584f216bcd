"""A service that listens, for tests whose callers come by HTTP."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from prectr.rank.service.serve import listen


@contextmanager
def served(app: ASGIApp) -> Iterator[str]:
    """The address of `app`, which answers within."""
    server, listener = uvicorn.Server(uvicorn.Config(app, log_config=None)), listen("127.0.0.1", 0)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join()
