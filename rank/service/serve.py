"""`python -m rank serve`: open a ranker with its memory, and answer until told to stop.

Nothing listens beyond this machine unless keys are set. SIGTERM or Ctrl-C ends it in order: no more is taken in, what
waits is answered, the journal is committed.
"""

import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from prectr.data.contract import SCHEMAS, has_table, read_table
from prectr.rank.config import WhereArguments
from prectr.rank.service.app import create_app
from prectr.rank.service.config import ServeArguments
from prectr.rank.service.processes.workers import SECONDS_TO_END, Workers
from prectr.rank.service.retrieval import Catalogue
from prectr.rank.service.settings import ADMIN_KEYS, LOOPBACK, READ_KEYS, Settings, keys_of
from prectr.rank.service.shop_window import ShopWindow
from prectr.rank.service.state import Opened
from prectr.rank.serving.config import DataArguments, RankerArguments
from prectr.rank.serving.export.exported import Exported
from prectr.rank.serving.journal import Journal
from prectr.rank.serving.live import LiveRanker
from prectr.rank.serving.scorer import ranker_and_data
from prectr.rank.serving.traffic.absorb import last_second
from prectr.shared.errors import PrectrError
from prectr.shared.run.console import print_line

MOST_CONNECTIONS = 1_000


@dataclass(frozen=True)
class Plan:
    """What a process needs to answer; it can be sent to one."""

    ranker: str
    data: Path
    journal: Path
    settings: Settings
    challenger: str | None = None

    def open(self) -> Opened:
        """Open the folders.

        Raises:
            PrectrError: one of them is not what it should be.
        """
        live, challenger = self._live(Path(self.ranker), self.data), None
        if self.challenger is not None:
            challenger = self._live(Path(self.challenger), Path(self.challenger).parent / "data")
        return Opened(live, Catalogue.of_table(live.scorer.items), window_of(self.data), challenger)

    def _live(self, ranker: Path, data: Path) -> LiveRanker:
        return LiveRanker.open(ranker, data, self.journal, Exported.beside(ranker))

    def application(self) -> FastAPI:
        """What answers by them."""
        live, catalogue, window, challenger = self.open()
        return create_app(live, self.settings, catalogue, window, self.open, challenger)


def serve(run: WhereArguments, chosen: RankerArguments, given: DataArguments, arguments: ServeArguments) -> None:
    """The verb.

    Raises:
        PrectrError: ranker or data folder are missing, the port is taken, or others could come in without a key.
    """
    settings = settings_of(arguments)
    ranker, data = ranker_and_data(run, chosen, given)
    if arguments.challenger is not None and not (Path(arguments.challenger).parent / "data").is_dir():
        raise PrectrError(f"{arguments.challenger} has no folder data beside it: name a ranker in its run's folder.")
    journal = Path(arguments.journal) if arguments.journal else Path(run.artifacts) / run.name / "journal.sqlite"
    listener = listen(arguments.host, arguments.port)
    if arguments.log_time:
        settings = replace(settings, ahead=seconds_ahead(data, journal))
    plan = Plan(ranker, data, journal, settings, arguments.challenger)
    host = f"[{arguments.host}]" if ":" in arguments.host else arguments.host
    address = f"http://{host}:{listener.getsockname()[1]}"

    def announce() -> None:
        print_line(
            f"The page: {address}  (what programs call: {address}/docs, counters: {address}/metrics; Ctrl-C ends)"
        )

    if arguments.workers == 1:
        answer(plan.application(), listener, announce)
    else:
        Journal(journal).close()  # made once, before many open it
        os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
        workers = Workers(arguments.workers, work, (plan, listener), announce)
        with ends_in_order(workers.stop):
            workers.run()
    print_line("Stopped: everything taken in is answered and in the journal.")


def work(plan: Plan, listener: socket.socket) -> tuple[FastAPI, Callable[[Callable[[], None]], None]]:
    """What a worker does: opens, and then answers once it is told to."""
    app = plan.application()
    return app, lambda ready: answer(app, listener, ready)


def answer(app: FastAPI, listener: socket.socket, ready: Callable[[], None]) -> None:
    """Answer until told to stop; `ready` is called when nothing that is sent from then on is lost."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,  # an address may hold a user's id
        server_header=False,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_graceful_shutdown=SECONDS_TO_END,
    )
    server = uvicorn.Server(config)

    def stop() -> None:
        server.should_exit = True

    with ends_in_order(stop):
        ready()
        server.run(sockets=[listener])


def settings_of(arguments: ServeArguments) -> Settings:
    """Limits from the settings, keys from the environment.

    Raises:
        PrectrError: it would listen beyond this machine, and nobody would need a key.
    """
    local = arguments.host in LOOPBACK
    read_keys = keys_of(READ_KEYS)
    if not local and not read_keys:
        raise PrectrError(
            f"host {arguments.host} lets other machines in, but {READ_KEYS} is not set: put keys there, or leave "
            "--host out."
        )
    return Settings(
        most_bytes=arguments.most_bytes,
        most_candidates=arguments.most_candidates,
        most_characters=arguments.most_characters,
        most_events=arguments.most_events,
        most_waiting=arguments.most_waiting,
        read_keys=read_keys,
        admin_keys=keys_of(ADMIN_KEYS),
        hosts=LOOPBACK if local else (),
        share=arguments.share,
        interleaved=arguments.interleave,
    )


def listen(host: str, port: int) -> socket.socket:
    """A socket that takes connections; before anything is loaded, so that a taken port is known at once.

    Raises:
        PrectrError: the port is taken, or there is no such address here.
    """
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise PrectrError(
            f"cannot listen on {host}, port {port} ({error.strerror}): name another with --port, 0 for any that is "
            "free."
        ) from None
    # Whoever is accepted inherits it; asyncio sets it of sockets that name their protocol alone. Without it the body of
    # an answer waits until the head's receipt comes, 40 ms on Linux.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def window_of(data: Path) -> ShopWindow:
    """What the page shows of the tables."""
    names = ["user_id", "query", "item_id", "clicked", "timestamp", "page_id"]
    empty = SCHEMAS["behaviours"].empty_table().select(names)
    return ShopWindow.of_table(read_table(data, "behaviours", names) if has_table(data, "behaviours") else empty)


def seconds_ahead(data: Path, journal: Path) -> float:
    """By how much the moment after the last event of tables and journal is ahead of this machine's clock; none: 0."""
    latest = last_second(data, journal)
    return 0.0 if latest is None else latest + 1 - time.time()


@contextmanager
def ends_in_order(stop: Callable[[], None]) -> Iterator[None]:
    """Within, SIGTERM and Ctrl-C call `stop`: a command's own way with them is to end at once.

    From the first moment on, though a server takes them over only once its loop runs: what comes before would otherwise
    be lost, and the process would stay.
    """
    before = {number: signal.signal(number, lambda *_: stop()) for number in (signal.SIGTERM, signal.SIGINT)}
    descriptor = signal.set_wakeup_fd(-1)
    try:
        yield
    finally:
        signal.set_wakeup_fd(descriptor)
        for number, handler in before.items():
            signal.signal(number, handler)
