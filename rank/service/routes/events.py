"""`/v1/events`: what shoppers did; and forgetting them."""

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from prectr.rank.service.answers import REFUSALS, Done, EventsAnswer, answer
from prectr.rank.service.bodies import EventsBody
from prectr.rank.service.checking import check_count, check_texts
from prectr.rank.service.errors import RefusedError
from prectr.rank.service.events import own_events
from prectr.rank.service.keys import require_admin, require_reader
from prectr.rank.service.routes.quick_json import QuickRoute
from prectr.rank.service.state import Service

router = APIRouter(route_class=QuickRoute, prefix="/v1", responses=REFUSALS, tags=["events"])


@router.post("/events", response_model=EventsAnswer, dependencies=[Depends(require_reader)])
async def events(body: EventsBody, request: Request) -> Response:
    """Take events in. When this answers they are on disk, and count in the next answer."""
    service: Service = request.app.state.service
    check_texts(body, service.settings)
    shown = sum(len(query.query_response_hit_ids) for query in body.ubi_queries)
    check_count("events", len(body.events) + len(body.ubi_events) + shown, service.settings.most_events)
    if not (body.events or body.ubi_queries or body.ubi_events):
        raise RefusedError(422, "there are no events: send some as events, or as ubi_queries and ubi_events.")
    now = service.clock.stamp()
    own = own_events(body.events, service.window.user_of, now)
    ubi, ignored = service.ubi.read(body, now)
    about = list({event.item_id for event in (*own, *ubi) if event.item_id is not None})
    known = await service.retrieving.run(lambda: service.known(about))
    for number, event in enumerate(body.events):
        if event.item_id not in known:
            unknown = repr(event.item_id[:60])
            raise RefusedError(422, f"events.{number}: {unknown} is not in the catalogue: send it to /v1/items first.")
    taken = [*own, *(event for event in ubi if event.item_id in known)]
    ignored += len(own) + len(ubi) - len(taken)
    if not taken:
        return answer({"new": 0, "repeated": 0, "ignored": ignored})
    appended = await service.take(taken)
    return answer({"new": appended.new, "repeated": appended.repeated, "ignored": ignored})


@router.delete("/users/{user_id}", response_model=Done, dependencies=[Depends(require_admin)])
async def erase(user_id: str, request: Request) -> Response:
    """Forget all that a user did: gone from memory and journal now, from the tables with the next absorb."""
    service: Service = request.app.state.service
    if len(user_id) > service.settings.most_characters:
        raise RefusedError(413, f"the user's id has {len(user_id):,} characters: send the id that events came with.")
    await service.writing.run(lambda: service.live.erase_user(user_id), "erase")
    return answer({"status": "erased"})
