"""Requests, as in `requests`, about what alerts are made of: levels, templates, stored sounds."""

from typing import Any

from controller.services.settings_changes import store_siren
from tests.api.province import PROVINCE, Province, Visitor, letter
from tests.api.requests import V1, _of_bulletin, ask, simple

TEMPLATE = {
    "event": "Cúp nước", "names": {"vi": "Cúp nước"}, "severity": "Minor", "urgency": "Expected",
    "title": "Cúp nước {place}", "blanks": [{"name": "place", "vi": "Nơi", "en": "Place"}],
    "texts": {"vi": "Sẽ cúp nước ở {place}."},
}  # fmt: skip
CODE = 40
"""Of the siren that is stored and removed."""

simple("get_alert_levels", "GET", "/alert-levels")
simple("list_alert_templates", "GET", "/alert-templates")
simple("get_alert_template", "GET", "/alert-templates/storm")


@ask("change_alert_levels")
async def _change_levels(p: Province, v: Visitor, place: str) -> str:
    held = (await p.office.client.get(f"{V1}/alert-levels")).json()
    row = held["levels"][0] | {"lasts_ms": held["levels"][0]["lasts_ms"] + 1000}
    return letter(await v.client.put(f"{V1}/alert-levels", json={"version": held["version"], "levels": [row]}))


@ask("keep_alert_template")
async def _keep_template(p: Province, v: Visitor, place: str) -> str:
    return letter(await v.client.put(f"{V1}/alert-templates/{p.name('t')}", json=TEMPLATE))


@ask("remove_alert_template")
async def _remove_template(p: Province, v: Visitor, place: str) -> str:
    path = f"{V1}/alert-templates/{p.name('t')}"
    made = await p.office.client.put(path, json=TEMPLATE)
    return letter(await v.client.delete(f"{path}?version={made.json()['version']}"))


@ask("list_stored_sounds")
async def _sounds(p: Province, v: Visitor, place: str) -> str:
    return letter(await v.client.get(f"{V1}/stored-sounds?area={place}"))


async def _sound(p: Province, place: str) -> dict[str, Any]:
    return {"area": place, "bulletin": await p.thing(_of_bulletin, PROVINCE), "code": CODE}


@ask("store_sound")
async def _store(p: Province, v: Visitor, place: str) -> str:
    sound = {"area": place, "bulletin": await p.thing(_of_bulletin, PROVINCE), "event": "storm", "language": "vi"}
    return letter(await v.client.post(f"{V1}/stored-sounds", json=sound))


@ask("store_shipped_sounds")
async def _ship(p: Province, v: Visitor, place: str) -> str:
    return letter(await v.client.post(f"{V1}/stored-sounds/shipped", json={}))


@ask("remove_stored_sound")
async def _remove(p: Province, v: Visitor, place: str) -> str:
    sound = await _sound(p, place)
    await p.change(lambda session, ctx: store_siren(session, ctx, **sound))
    return letter(await v.client.delete(f"{V1}/stored-sounds/{CODE}?area={place}"))
