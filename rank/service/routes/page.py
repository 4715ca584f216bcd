"""The page at `/`, what it asks for beside scores, and the description of the service at `/docs`."""

from pathlib import Path

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from prectr.rank.service.answers import answer
from prectr.rank.service.errors import RefusedError
from prectr.rank.service.keys import require_reader
from prectr.rank.service.state import Service

FOLDER = Path(__file__).parents[1] / "page"
KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
FILES = {file.name: file.read_bytes() for file in sorted(FOLDER.iterdir()) if file.suffix in KINDS}
HEADERS = {
    # Nothing from anywhere else, and no script or style but the files': a hostile text stays text.
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}

router = APIRouter(include_in_schema=False)


@router.get("/")
async def page() -> Response:
    """The search page."""
    return _file("index.html")


@router.get("/docs")
async def docs() -> Response:
    """The description of the service, made of `/openapi.json` without anything from elsewhere."""
    return _file("docs.html")


@router.get("/page/{name}")
async def part(name: str) -> Response:
    """A file of the page."""
    if name not in FILES:
        raise RefusedError(404, "the page has no such file: / names those it has.")
    return _file(name)


@router.get("/v1/suggestions", dependencies=[Depends(require_reader)])
async def suggestions(request: Request, q: str = "") -> Response:
    """Logged queries that go on like this."""
    service: Service = request.app.state.service
    return answer(service.window.suggest(q[: service.settings.most_characters]))


@router.get("/v1/shoppers", dependencies=[Depends(require_reader)])
async def shoppers(request: Request) -> Response:
    """Shoppers of the log under names of the page's own, each with the latest clicks."""
    service: Service = request.app.state.service
    found = service.window.shoppers()
    items = service.catalogue.get(list({event["item_id"] for _, _, past in found for event in past}))
    return answer(
        [
            {
                "name": name,
                "clicks": clicks,
                "past": [
                    {"query": event["query"], "text": items[event["item_id"]].text}
                    for event in past
                    if event["item_id"] in items
                ],
            }
            for name, clicks, past in found
        ]
    )


def _file(name: str) -> Response:
    return Response(FILES[name], headers=HEADERS, media_type=KINDS[Path(name).suffix])
