"""Requests, as in `requests`, about alerts of others and their sources."""

from sqlmodel import Session

from controller.services import cap_sources
from controller.services.cap_sources import SourceForm
from controller.services.context import Context
from tests.api.province import Province, Visitor, letter
from tests.api.requests import V1, about, ask, listed
from tests.api.requests_alerts import _released

ALERT = """<alert xmlns="urn:oasis:names:tc:emergency:cap:1.2"><identifier>{name}</identifier>
<sender>kttv@example.vn</sender><sent>2026-09-07T08:00:00+07:00</sent><status>{status}</status><msgType>Alert</msgType>
<scope>Public</scope><info><language>vi-VN</language><category>Met</category><event>Bão</event>
<urgency>Immediate</urgency><severity>Severe</severity><certainty>Observed</certainty>
<expires>2060-09-07T20:00:00+07:00</expires><headline>Bão</headline><area><areaDesc>{place}</areaDesc>{code}</area>
</info></alert>"""


def cap_text(name: str, place: str, *, status: str = "Exercise", known: bool = True) -> bytes:
    """An alert for a place, by its code, or only by its name."""
    code = f"<geocode><valueName>loa</valueName><value>{place}</value></geocode>" if known else ""
    return ALERT.format(name=name, place=place, status=status, code=code).encode()


async def _kept(p: Province, place: str) -> str:
    found = await p.office.centre.cap.submit(cap_text(p.name("cap"), place, status="Test"), account="loa")
    assert found[0].id is not None
    return found[0].id


async def _named_only(p: Province, place: str) -> str:
    text = cap_text(p.name("cap"), "Cô Tô", known=False)
    found = await p.office.centre.cap.submit(text, account="loa")
    assert found[0].id is not None
    assert found[0].alert is None
    return found[0].id


async def _source(p: Province, place: str) -> str:
    del place

    def work(session: Session, ctx: Context) -> str:
        return cap_sources.put_source(session, ctx, SourceForm(name=p.name("src"), senders=["kttv@example.vn"])).name

    return await p.change(work)


@ask("submit_cap")
async def _submit(p: Province, v: Visitor, place: str) -> str:
    return letter(await v.client.post(f"{V1}/cap", content=cap_text(p.name("cap"), place)))


listed("list_cap", "/cap?limit=200", _kept)
about("get_cap", "GET", "/cap/{}", _kept)
about("compose_cap", "POST", "/cap/{}/compose", _named_only, lambda place: {"target_areas": [place]})
about("settle_cap", "POST", "/cap/{}/settle", _kept)
listed("list_cap_sources", "/cap/sources", _source, "name")
about("put_cap_source", "PUT", "/cap/sources/{}", _source, lambda _: {"senders": ["kttv@example.vn"]})
about("remove_cap_source", "DELETE", "/cap/sources/{}", _source)


async def _feed_has(p: Province, v: Visitor, place: str, feed: str) -> str:
    """Whether a released live alert for the place is in the live feed, and not in that of drills."""
    alert = await p.thing(_released, place)
    reply = await v.client.get(f"{V1}/cap/{feed}")
    if reply.status_code != 200:
        return letter(reply)
    return "y" if (alert in reply.text) is (feed == "out.atom") else "x"


@ask("cap_feed")
async def _cap_feed(p: Province, v: Visitor, place: str) -> str:
    return await _feed_has(p, v, place, "out.atom")


@ask("cap_drill_feed")
async def _cap_drill_feed(p: Province, v: Visitor, place: str) -> str:
    return await _feed_has(p, v, place, "out-drills.atom")


about("cap_file", "GET", "/cap/out/{}.xml", _released)
