"""The application: routes, and round them what every request goes through."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, MutableMapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from starlette.responses import Response

from prectr.rank.service.answers import Done, answer
from prectr.rank.service.bodies import OWN_NAMES
from prectr.rank.service.errors import Application, Receive, RefusedError, Scope, Send, Shield, add_handlers
from prectr.rank.service.interface import Live
from prectr.rank.service.limits import Limits
from prectr.rank.service.metrics import Metrics
from prectr.rank.service.retrieval import Catalogue
from prectr.rank.service.routes import administration, events, page, ranking, reranking
from prectr.rank.service.settings import Settings
from prectr.rank.service.shop_window import ShopWindow
from prectr.rank.service.state import Opened, Service

health = APIRouter(tags=["health"])


@health.get("/healthz", response_model=Done)
async def healthz() -> Response:
    """The process is there."""
    return answer({"status": "ok"})


@health.get("/readyz", response_model=Done)
async def readyz(request: Request) -> Response:
    """It answers: send it requests."""
    if not request.app.state.service.ready:
        raise RefusedError(503, "it is about to stop: send requests elsewhere.")
    return answer({"status": "ready"})


@health.get("/metrics")
async def metrics(request: Request) -> Response:
    """Counters, in Prometheus' text format."""
    return Response(request.app.state.service.metrics.text(), media_type="text/plain; version=0.0.4")


def create_app(
    live: Live,
    settings: Settings | None = None,
    catalogue: Catalogue | None = None,
    window: ShopWindow | None = None,
    opener: Callable[[], Opened] | None = None,
    challenger: Live | None = None,
) -> FastAPI:
    """The application that answers by `live`; it closes `live` when it stops.

    Args:
        catalogue: what can be searched, and what candidates and events may name without a text; default: nothing.
        window: what the page shows of the log. opener: opens all of it anew, for `/v1/reload`.
        challenger: a ranker that answers a share of the shoppers.
    """
    settings = settings or Settings()
    opened = Opened(live, catalogue or Catalogue(), window or ShopWindow(), challenger)
    service = Service(opened, settings, opener)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.loop = asyncio.get_running_loop()
        following = asyncio.create_task(service.follow())
        yield
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following
        service.close()

    app = FastAPI(
        title="prectr",
        summary="Search ranking in which relevance and click-through rate are one model, with live memory.",
        version="1",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.service, app.state.settings, app.state.reload = service, settings, service.reload
    for module in (ranking, reranking, events, administration, page):
        app.include_router(module.router)
    app.include_router(health)
    add_handlers(app)
    app.add_middleware(OwnWords, service=service)
    app.add_middleware(Limits, settings=settings)
    app.add_middleware(Shield)
    app.add_middleware(Timer, metrics=service.metrics)
    return app


class OwnWords:
    """Lets bodies be read in the words of this application's shop."""

    def __init__(self, app: Application, service: Service) -> None:
        self.app, self.service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        OWN_NAMES.set(self.service.live.own_names)
        await self.app(scope, receive, send)


class Timer:
    """Counts answers and their seconds, by the route's pattern: an address may hold a user's id."""

    def __init__(self, app: Application, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.perf_counter(), 0

        async def watched(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        await self.app(scope, receive, watched)
        route = getattr(scope.get("route"), "path", "none")
        self.metrics.requests.labels(route, str(status)).inc()
        self.metrics.seconds.labels("whole").observe(time.perf_counter() - started)
