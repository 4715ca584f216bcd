"""The outermost frame of every `python -m <stage>` command."""

import sys
from collections.abc import Callable
from typing import NoReturn

from shared.config import PrectrError


def run_main(main: Callable[[list[str]], None]) -> NoReturn:
    """Call `main` with the command line (without the program's name) and leave the process.

    Exit codes: 0 done · 2 a `PrectrError` or a bad setting, printed as one sentence on stderr · 130 interrupted.
    Any other exception is a bug and keeps its traceback.

    Example:
        >>> if __name__ == "__main__":
        ...     run_main(main)
    """
    try:
        main(sys.argv[1:])
    except PrectrError as error:
        _fail(str(error))
    except SystemExit as stop:
        if isinstance(stop.code, str):
            _fail(stop.code)
        raise
    except KeyboardInterrupt:
        print("Interrupted; the same command continues where it stopped.", file=sys.stderr)
        sys.exit(130)
    sys.exit(0)


def _fail(sentence: str) -> NoReturn:
    print(f"error: {sentence}", file=sys.stderr)
    sys.exit(2)
