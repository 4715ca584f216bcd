"""The outermost frame of every `python -m <stage>` command."""

import os
import shlex
import signal
import socket
import sys
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import NoReturn

from prectr.shared.errors import PrectrError
from prectr.shared.extras import how_to_install
from prectr.shared.run import launch
from prectr.shared.run.console import console, show_progress, visible


def run_main(main: Callable[[list[str]], None], together: Collection[str] = ()) -> NoReturn:
    """Call `main` with the command line (without the program's name) and leave the process.

    Args:
        together: verbs that launched processes do together; of any other command the first takes care alone.

    Exit codes: 0 done · 2 a `PrectrError`, a bad setting or a missing extra, said in one sentence on stderr · 130
    interrupted · 143 ended by SIGTERM · 141 nobody reads the output · 1 another process of the launch died. The last
    four end with a line that says where the command goes on, and so does a full disk and whatever else the machine
    could not give (2). Any other exception is a bug and keeps its traceback.

    Example:
        >>> if __name__ == "__main__":
        ...     run_main(main, together=("run",))
    """
    argv = sys.argv[1:]
    console.quiet = not launch.is_first()  # one of several processes speaks
    # The main thread and the one that waits for SIGTERM may end at the same time: one has the last word.
    last_word = threading.Lock()
    try:
        launch.require_known()
        with _ends_on_sigterm(last_word), show_progress():
            if argv[:1] and argv[0] in together:
                main(argv)
                launch.leave()
            elif launch.is_first():
                with launch.alone():
                    main(argv)
    except PrectrError as error:
        _fail(str(error))
    except ModuleNotFoundError as error:
        remedy = how_to_install(error.name)
        if remedy is None:
            raise
        _fail(remedy)
    except SystemExit as stop:
        if isinstance(stop.code, str):
            _fail(stop.code)
        raise
    except KeyboardInterrupt:
        _say_last("Interrupted", last_word)
        sys.exit(130)
    except BrokenPipeError:
        _leave_unread(last_word)
    except Exception as error:
        if isinstance(error, RuntimeError) and launch.is_lost_connection(error):
            _say_last(_who_died() or "Another process of this launch died", last_word)
            sys.stdout.flush()
            os._exit(1)  # what libraries do at an ordinary exit may wait for the process that is gone
        if (cause := _lacking(error)) is None:
            raise
        _say_last(f"error: {cause}", last_word)
        sys.exit(2)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _leave_unread(last_word)
    sys.exit(0)


def _fail(sentence: str) -> NoReturn:
    print(f"error: {visible(sentence)}", file=sys.stderr)
    sys.exit(2)


def _lacking(error: Exception) -> str | None:
    """What the machine could not give; None: the error is a bug."""
    from prectr.shared.run.steps import being_built
    from prectr.shared.storage.resources import lacking

    return lacking(error, being_built())


def _leave_unread(last_word: threading.Lock) -> NoReturn:
    """Who read the output has gone, as `head` does when it has enough."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is still to be printed goes nowhere
    _say_last("Nobody reads the output any more", last_word)
    sys.exit(128 + signal.SIGPIPE)


def _say_last(cause: str, last_word: threading.Lock) -> None:
    """The last line of a command that was stopped: why, how to resume, and where that goes on."""
    if not last_word.acquire(blocking=False):
        threading.Event().wait()  # the other thread ends the process
    from prectr.shared.run.steps import where_it_goes_on

    where = where_it_goes_on()
    line = f"{visible(cause)}: run the same command again ({_as_typed()})"
    print(f"{line}; {where}." if where else f"{line}.", file=sys.stderr, flush=True)


def _as_typed() -> str:
    """The command line, so that it can be typed again; whatever launched several processes is left to the user."""
    words = sys.orig_argv[1:]
    if "-m" not in words and sys.argv[0].startswith("prectr "):  # the console script's name is a path
        return f"{sys.argv[0]} {shlex.join(sys.argv[1:])}"
    started = words[words.index("-m") :] if "-m" in words else words
    launcher = "…" if "TORCHELASTIC_RUN_ID" in os.environ or launch.is_launched() else "python"
    return f"{launcher} {shlex.join(started)}"


def _who_died() -> str:
    """The processes of the launch that are gone from this machine, as a cause; empty if none is."""
    gone = launch.missing()
    if not gone:
        return ""
    which = f"Process {gone[0]}" if len(gone) == 1 else f"Processes {', '.join(map(str, gone))}"
    return f"{which} of the {launch.num_processes()} of this launch died"


@contextmanager
def _ends_on_sigterm(last_word: threading.Lock) -> Iterator[None]:
    """Within, SIGTERM ends the process at once, with a last line.

    A launcher sends it to the others when one process has died. They may be inside a collective that never returns,
    where no Python handler runs: so a thread of its own waits for the byte that the interpreter writes on a signal.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reader, writer = socket.socketpair()
    writer.setblocking(False)

    def watch() -> None:
        while number := reader.recv(1):
            if number[0] == signal.SIGTERM:
                _say_last(_who_died() or "Stopped by SIGTERM", last_word)
                sys.stdout.flush()
                os._exit(128 + signal.SIGTERM)

    # In this order: a signal between the two would otherwise be caught and told nobody.
    descriptor = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(descriptor)
        signal.signal(signal.SIGTERM, before)
        writer.close()
        watcher.join()
        reader.close()
