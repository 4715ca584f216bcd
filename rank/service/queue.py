"""A bounded queue in front of work that takes a processor: whoever finds it full is told so at once, and when to retry.

An unbounded queue answers everybody too late; a bounded one answers as many as it can, in time.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from prectr.rank.service.errors import RefusedError
from prectr.rank.service.metrics import Metrics

T = TypeVar("T")


class Queue:
    """Work for `workers` threads, of which `most_waiting` may wait.

    Args:
        name: in the metrics.
    """

    def __init__(self, name: str, workers: int, most_waiting: int, retry_after: int, metrics: Metrics) -> None:
        self.name, self.metrics = name, metrics
        self.most, self.retry_after = workers + most_waiting, retry_after
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix=name)
        self._inside = set[asyncio.Future[Any]]()

    async def run(self, work: Callable[[], T], phase: str | None = None) -> T:
        """What `work` returns, done by a thread.

        Args:
            phase: its name in the metrics; default: the queue's.

        Raises:
            RefusedError: 503, the queue is full; whatever `work` raises.
        """
        if len(self._inside) >= self.most:
            self.metrics.refused.labels(self.name).inc()
            raise RefusedError(
                503,
                f"{len(self._inside)} requests are waiting already: try again in {self.retry_after} s.",
                {"retry-after": str(self.retry_after)},
            )
        queued = time.perf_counter()

        def timed() -> T:
            started = time.perf_counter()
            self.metrics.seconds.labels("wait").observe(started - queued)
            try:
                return work()
            finally:
                self.metrics.seconds.labels(phase or self.name).observe(time.perf_counter() - started)

        done = asyncio.get_running_loop().run_in_executor(self._pool, timed)
        self._inside.add(done)
        done.add_done_callback(self._left)
        # A thread cannot be taken back: if the caller hangs up, the place is free when the work is done.
        return await asyncio.shield(done)

    def _left(self, done: asyncio.Future[T]) -> None:
        self._inside.discard(done)
        if not done.cancelled():
            done.exception()  # seen, should nobody wait for it any more

    async def drain(self) -> None:
        """Until all that is in the queue now is done."""
        if inside := set(self._inside):
            await asyncio.wait(inside)

    def close(self) -> None:
        """Waits for what is being done."""
        self._pool.shutdown(wait=True)
