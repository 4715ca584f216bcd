"""llama.cpp's HTTP server for one GGUF file, in a process of its own: an endpoint to try things with.

    python -m benchmarks.labelling.llama_server model.gguf [threads]

prints the address and serves, on loopback only, until its standard input ends. Needs `pip install xllamacpp`.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from prectr.shared.errors import PrectrError
from prectr.shared.run.cli import run_main

ROOT = Path(__file__).parents[2]
SLOTS, TOKENS_PER_SLOT = 8, 1024
"""Prompts it works on at once, and the longest of them."""


@contextmanager
def serving(model: Path, threads: int | None = None) -> Iterator[str]:
    """Serves `model` (a GGUF file) while the block runs; yields the API's address, up to and with /v1.

    Raises:
        PrectrError: xllamacpp is not installed, or the server does not start.
    """
    if find_spec("xllamacpp") is None:
        raise PrectrError("xllamacpp is not installed; run `pip install xllamacpp`.")
    command = [sys.executable, "-m", "benchmarks.labelling.llama_server", str(model), str(threads or os.cpu_count())]
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
        )
        with process:
            try:
                assert process.stdout is not None
                address = process.stdout.readline().strip()
                if not address.startswith("http"):
                    log.seek(0)
                    said = log.read().strip().splitlines() or ["no reason given"]
                    raise PrectrError(f"{model}: llama.cpp's server did not start ({said[-1]}).")
                yield f"{address}/v1"
            finally:
                process.terminate()


def main(argv: list[str]) -> None:
    if not argv or not Path(argv[0]).is_file():
        raise PrectrError("python -m benchmarks.labelling.llama_server MODEL [THREADS]: name a GGUF file.")
    import xllamacpp  # here, so that a machine without it can read this file

    settings = xllamacpp.CommonParams()
    settings.model.path = argv[0]
    settings.hostnames, settings.port = ["127.0.0.1"], 0
    settings.n_parallel, settings.n_ctx = SLOTS, SLOTS * TOKENS_PER_SLOT
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = int(argv[1]) if argv[1:] else os.cpu_count()
    settings.verbosity = -1
    server = xllamacpp.Server(settings)
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    run_main(main)
