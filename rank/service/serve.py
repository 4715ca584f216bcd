"""`python -m rank serve`: open a ranker with its memory, and answer until told to stop.

Nothing listens beyond this machine unless keys are set. SIGTERM or Ctrl-C ends it in order: no more is taken in, what
waits is answered, the journal is committed.
"""

import logging
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from prectr.data.contract import SCHEMAS, has_table, read_table
from prectr.rank.config import WhereArguments
from prectr.rank.service.app import create_app
from prectr.rank.service.config import ServeArguments
from prectr.rank.service.retrieval import Catalogue
from prectr.rank.service.settings import ADMIN_KEYS, LOOPBACK, READ_KEYS, Settings, keys_of
from prectr.rank.service.shop_window import ShopWindow
from prectr.rank.serving.config import DataArguments, RankerArguments
from prectr.rank.serving.journal import Position
from prectr.rank.serving.live import LiveRanker
from prectr.rank.serving.scorer import ranker_and_data
from prectr.shared.errors import PrectrError
from prectr.shared.run.console import print_line

SECONDS_TO_END = 30
MOST_CONNECTIONS = 1_000
EVENTS_AT_ONCE = 50_000


def serve(
    run: WhereArguments, chosen: RankerArguments, given: DataArguments, bf16: bool, arguments: ServeArguments
) -> None:
    """The verb.

    Raises:
        PrectrError: ranker or data folder are missing, the port is taken, or others could come in without a key.
    """
    settings = settings_of(arguments)
    ranker, data = ranker_and_data(run, chosen, given)
    journal = Path(arguments.journal) if arguments.journal else Path(run.artifacts) / run.name / "journal.sqlite"
    listener = listen(arguments.host, arguments.port)

    def opener() -> LiveRanker:
        return LiveRanker.open(Path(ranker), data, journal, bf16)

    live = opener()
    app = create_app(live, settings, Catalogue.of_table(live.scorer.items), window_of(live, data), opener)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,  # an address may hold a user's id
        server_header=False,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_graceful_shutdown=SECONDS_TO_END,
    )
    host = f"[{arguments.host}]" if ":" in arguments.host else arguments.host
    address = f"http://{host}:{listener.getsockname()[1]}"
    print_line(f"The page: {address}  (what programs call: {address}/docs, counters: {address}/metrics; Ctrl-C ends)")
    with _ends_in_order():
        uvicorn.Server(config).run(sockets=[listener])
    print_line("Stopped: everything taken in is answered and in the journal.")


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
        log_time=arguments.log_time,
    )


def listen(host: str, port: int) -> socket.socket:
    """A socket that takes connections; before anything is loaded, so that a taken port is known at once.

    Raises:
        PrectrError: the port is taken, or there is no such address here.
    """
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise PrectrError(
            f"cannot listen on {host}, port {port} ({error.strerror}): name another with --port, 0 for any that is "
            "free."
        ) from None


def window_of(live: LiveRanker, data: Path) -> ShopWindow:
    """What the page shows of the log, with what the journal has since."""
    names = ["user_id", "query", "item_id", "clicked", "timestamp", "page_id"]
    empty = SCHEMAS["behaviours"].empty_table().select(names)
    window = ShopWindow.of_table(read_table(data, "behaviours", names) if has_table(data, "behaviours") else empty)
    position = Position()
    while (news := live.journal.read(position, EVENTS_AT_ONCE)).events:
        window.add(news.events)
        position = news.position
    return window


@contextmanager
def _ends_in_order() -> Iterator[None]:
    """Within, SIGTERM and Ctrl-C are the server's: a command's own way with them is to end at once."""
    before = signal.set_wakeup_fd(-1)
    try:
        yield
    except KeyboardInterrupt:  # raised once more when all is done
        pass
    finally:
        signal.set_wakeup_fd(before)
