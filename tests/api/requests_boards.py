"""Requests, as in `requests`, about the boards of released alerts, and about escalation."""

from sqlmodel import Session

from controller.services import escalation
from controller.services.context import Context
from tests.api.province import Province, Visitor, letter
from tests.api.requests import V1, _told, about, ask, simple
from tests.api.requests_alerts import _released

_URL = "json://127.0.0.1:1/x"


async def _address(p: Province, place: str) -> str:
    """An address of the province: there is none of another place."""
    del place
    sealing = p.office.centre.notices._sealing

    def work(session: Session, ctx: Context) -> str:
        return escalation.add_address(session, ctx, name="x", url=_URL, shown="x", sealing=sealing).id

    return await p.change(work)


about("get_board", "GET", "/alerts/{}/board", _released)
about("list_board_nodes", "GET", "/alerts/{}/board/nodes", _released)
about("get_alert_report_csv", "GET", "/alerts/{}/report.csv", _released)
about("get_alert_report_page", "GET", "/alerts/{}/report.html", _released)
about("send_alert_again", "POST", "/alerts/{}/send-again", _released, lambda _: {})
about("close_board", "POST", "/alerts/{}/board/close", _released)
simple("get_escalation", "GET", "/escalation")
simple("set_escalation_steps", "PUT", "/escalation/steps", lambda _p, _place: {"steps": []})
simple("add_notice_address", "POST", "/escalation/addresses", lambda _p, _place: {"name": "x", "url": _URL})


@ask("remove_notice_address")
async def _remove(p: Province, v: Visitor, place: str) -> str:
    return letter(await v.client.delete(f"{V1}/escalation/addresses/{await _address(p, place)}"))


@ask("test_notice_address")
async def _test(p: Province, v: Visitor, place: str) -> str:
    p.office.centre.notices.deliver = lambda _url, _title, _body: ""  # permissions are what is asked here
    return letter(await v.client.post(f"{V1}/escalation/addresses/{await _address(p, place)}/test"))


@ask("listen:board")
async def _listen(p: Province, v: Visitor, place: str) -> str:
    return await _told(p, v, "board", await p.thing(_released, place))
