"""`loa cap check` and POST /api/v1/cap always say the same of the same bytes: codes, fields, areas, signatures."""

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree
from sqlmodel import Session, col, delete, select
from typer.testing import CliRunner

from controller.services import cap_sources
from controller.services.cap_sources import Pin, SourceForm
from controller.services.context import Changed, Context
from controller.tables import CapAlert
from loa.cli.cap import app
from tests.api.cap_texts import SENDER, NoVoice, alert_text, instant_text
from tests.api.office import Office, office_at
from tests.cap.base import sample
from tests.cap.test_signature import pem, rsa_key, signed

many = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
PLACES = (("co-to", "Cô Tô", 107.7, 20.9), ("mong-cai", "Móng Cái", 107.9, 21.4), ("van-don", "Vân Đồn", 107.3, 20.9))
SAMPLES = (
    "canada-signed", "canada-two-languages", "earthquake", "invalid", "no-optional-fields", "tsunami-update", "weather",
)  # fmt: skip


def feature(code: str, name: str, west: float, south: float) -> dict[str, Any]:
    corners = [(west, south), (west + 0.2, south), (west + 0.2, south + 0.2), (west, south + 0.2), (west, south)]
    ring = [[x, y] for x, y in corners]
    properties = {"path": f"quang-ninh/{code}", "name": name, "codes": [f"VN-{code}", code.upper()]}
    return {"type": "Feature", "properties": properties, "geometry": {"type": "Polygon", "coordinates": [ring]}}


MAP = {"type": "FeatureCollection", "features": [feature(*one) for one in PLACES]}


@dataclass
class Both:
    """The two ways, with the same places and the same keys."""

    runner: asyncio.Runner
    office: Office
    folder: Path

    @property
    def now(self) -> int:
        return self.office.centre.clock.now_ms()

    def by_command(self, data: bytes) -> list[Any]:
        (self.folder / "a.xml").write_bytes(data)
        words = ("check", "a.xml", "--areas", "quang-ninh.geojson", "--keys", "keys", "--json")
        result = CliRunner().invoke(
            app, [str(self.folder / one) if (self.folder / one).exists() else one for one in words]
        )
        assert result.exit_code in (0, 1), result.output
        found = json.loads(result.stdout)
        signature = [(one["signature"] or {}) for one in found]
        return [
            (
                one["code"], one["field"], one["kind"], state.get("state"), state.get("signer"),
                one["areas"]["matched"] if one["areas"] else None, one["identifier"] or "",
            )
            for one, state in zip(found, signature, strict=True)
        ]  # fmt: skip

    def by_post(self, data: bytes) -> list[Any]:
        return self.runner.run(self._post(data))

    async def _post(self, data: bytes) -> list[Any]:
        centre = self.office.centre
        await centre.unit_of_work(lambda session: session.execute(delete(CapAlert)))
        reply = await self.office.client.post("/api/v1/cap", content=data)
        assert reply.status_code < 500, reply.text
        if "items" not in reply.json():
            # One that is refused: the rest is read from what was kept of it.
            said = reply.json()
            rows = await centre.reading(lambda session: list(session.exec(select(CapAlert).order_by(col(CapAlert.id)))))
            row = rows[0] if rows else None
            assert row is None or (row.code, row.field or None) == (said["code"], said["field"])
            return [
                (
                    said["code"], said["field"], None, row.signature or None if row else None,
                    row.signer or None if row else None, row.areas.get("matched") if row and row.areas else None,
                    row.identifier if row else "",
                )
            ]  # fmt: skip
        return [
            (
                one["code"], one["field"], one["kind"], one["signature"], one["signer"],
                one["areas"]["matched"] if one["areas"] else None, one["identifier"],
            )
            for one in reply.json()["items"]
        ]  # fmt: skip

    def agree(self, data: bytes) -> str:
        """They do; the first code."""
        command, post = self.by_command(data), self.by_post(data)
        assert command == post
        return str(command[0][0])


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    folder = tmp_path_factory.mktemp("agrees")
    (folder / "quang-ninh.geojson").write_text(json.dumps(MAP))
    (folder / "keys").mkdir()
    (folder / "keys" / "dai-kttv.pem").write_bytes(pem(rsa_key("a")))
    with asyncio.Runner() as runner:
        opening = office_at(folder / "office")
        (folder / "office").mkdir()
        office = runner.run(opening.__aenter__())
        try:
            office.centre.alerts.voice = NoVoice()
            runner.run(_open(office))
            yield Both(runner, office, folder)
        finally:
            runner.run(opening.__aexit__(None, None, None))


async def _open(office: Office) -> None:
    await office.ok("POST", "/api/v1/areas/import", json=MAP)
    for code, *_ in PLACES[1:]:
        node = {"id": code, "area": f"quang-ninh/{code}", "public_key": code.encode().ljust(32, b".").hex()}
        await office.ok("POST", "/api/v1/nodes", json=node)
    senders = [SENDER, "cap-pac@canada.ca", "other@example.vn"]
    form = SourceForm(name="kttv", senders=senders, pins=[Pin("dai-kttv", pem(rsa_key("a")))])

    def put(session: Session, ctx: Context) -> Changed[None]:
        cap_sources.put_source(session, ctx, form)
        return Changed(None)

    await office.centre.do("tests", put)


def whole(both: Both) -> str:
    """An alert with a bit of everything."""
    area = (
        "<polygon>21.35,107.85 21.35,108.0 21.5,108.0 21.5,107.85 21.35,107.85</polygon><circle>21.0,107.8 3</circle>"
        "<geocode><valueName>loa</valueName><value>van-don</value></geocode>"
    )
    return alert_text(both.now, area=area, description="vùng ven biển", references=f"{SENDER},b.0,2026-09-01T00:00:00Z")


def test_the_whole_one_is_taken(both: Both) -> None:
    assert both.agree(whole(both).encode()) == "accepted"
    ((_, _, kind, state, _, matched, _),) = both.by_command(whole(both).encode())
    assert (kind, state) == ("live", "unsigned")
    assert matched == ["quang-ninh/co-to", "quang-ninh/mong-cai", "quang-ninh/van-don"]


@pytest.mark.parametrize("name", SAMPLES)
def test_real_files(both: Both, name: str) -> None:
    both.agree(sample("cap", f"{name}.cap").read_bytes())


Change = Callable[[str, Both], str | bytes]
CLASSES: dict[str, tuple[str, Change]] = {
    "accepted": ("accepted", lambda t, _: t),
    "declared": ("accepted", lambda t, _: f"<?xml version='1.0' encoding='UTF-8'?>\n{t}"),
    "utf-16": ("accepted", lambda t, _: t.encode("utf-16")),
    "mark": ("accepted", lambda t, _: t.encode("utf-8-sig")),
    "by another code": ("accepted", lambda t, _: t.replace("<value>van-don<", "<value>vn-van-don<")),
    "1.1": ("accepted", lambda t, _: t.replace("cap:1.2", "cap:1.1")),
    "test": ("accepted_test", lambda t, _: t.replace("Actual", "Test")),
    "exercise": ("accepted_exercise", lambda t, _: t.replace("Actual", "Exercise")),
    "doctype": ("dtd_forbidden", lambda t, _: f"<!DOCTYPE alert [<!ENTITY a 'b'>]>{t}"),
    "entity": ("not_xml", lambda t, _: t.replace("Vào bờ.", "&bo;")),
    "half": ("not_xml", lambda t, _: t[: len(t) // 2]),
    "encoding": ("bad_encoding", lambda t, _: b"<?xml version='1.0' encoding='utf-8'?>" + t.encode()[:400] + b"\xff"),
    "deep": ("too_deep", lambda t, _: t.replace("<identifier>", "<a>" * 70 + "</a>" * 70 + "<identifier>")),
    "namespace": ("bad_namespace", lambda t, _: t.replace("cap:1.2", "cap:2")),
    "missing": ("required_missing", lambda t, _: t.replace("<category>Met</category>", "")),
    "no info": ("info_required", lambda t, _: t[: t.index("<info>")] + "</alert>"),
    "enumeration": ("bad_value", lambda t, _: t.replace("Immediate", "Soon")),
    "date": ("bad_date", lambda t, _: t.replace("<sent>2", "<sent>x")),
    "zone": ("timezone_required", lambda t, _: t.replace("+07:00</sent>", "</sent>")),
    "twice": ("duplicate_element", lambda t, _: t.replace("<event>Bão</event>", "<event>Bão</event><event>Lũ</event>")),
    "references": ("references_required", lambda t, _: t.replace(">Alert<", ">Update<").replace(_refs(t), "")),
    "bad references": ("bad_references", lambda t, _: t.replace(_refs(t), "<references>x</references>")),
    "polygon": ("bad_polygon", lambda t, _: t.replace("21.35,108.0 21.5,108.0", "21.5,108.0 21.35,108.0")),
    "circle": ("bad_circle", lambda t, _: t.replace("107.8 3", "107.8 -3")),
    "expired": ("expired", lambda t, b: t.replace(_expires(t), instant_text(b.now - 5000))),
    "elsewhere": ("area_unknown", lambda t, _: _elsewhere(t)),
    "private": ("not_public", lambda t, _: t.replace("Public", "Private")),
    "system": ("not_an_alert", lambda t, _: t.replace("Actual", "System")),
    "ack": ("not_an_alert", lambda t, _: t.replace(">Alert<", ">Ack<")),
    "cancel": ("accepted", lambda t, _: t.replace(">Alert<", ">Cancel<")),
    "two": ("accepted", lambda t, _: f"{t}{t}"),
    "conflict": ("accepted", lambda t, _: f"<a>{t}{t.replace('cấp 12', 'cấp 13')}</a>"),
    "atom": ("accepted", lambda t, _: f"<feed xmlns='http://www.w3.org/2005/Atom'><entry>{t}</entry></feed>"),
    "rss": ("accepted", lambda t, _: f"<rss><channel><item><title><![CDATA[{t}]]></title></item></channel></rss>"),
    "no alert": ("no_alert", lambda _t, _b: "<rss><channel/></rss>"),
    "signed": ("accepted", lambda t, _: _signed(t, "a")),
    "signed by nobody": ("accepted", lambda t, _: _signed(t, "b")),
    "signed and changed": ("signature_invalid", lambda t, _: _signed(t, "a").replace(b"12", b"13")),
}  # fmt: skip


def _refs(text: str) -> str:
    return text[text.index("<references>") : text.index("</references>") + len("</references>")]


def _expires(text: str) -> str:
    return text[text.index("<expires>") + len("<expires>") : text.index("</expires>")]


def _elsewhere(text: str) -> str:
    start, end = text.index("<area>"), text.index("</area>")
    return f"{text[:start]}<area><areaDesc>Sao Hỏa</areaDesc><circle>1,1 5</circle>{text[end:]}"


def _signed(text: str, key: str) -> bytes:
    return etree.tostring(signed(etree.fromstring(text.encode()), rsa_key(key)), encoding="utf-8")


@pytest.mark.parametrize("name", CLASSES)
def test_a_mutation_of_each_class(both: Both, name: str) -> None:
    code, change = CLASSES[name]
    made = change(whole(both), both)
    assert both.agree(made if isinstance(made, bytes) else made.encode()) == code


TAGS = (
    "identifier", "sender", "sent", "status", "msgType", "scope", "references", "info", "language", "category", "event",
    "urgency", "severity", "certainty", "expires", "headline", "description", "instruction", "area", "areaDesc",
    "polygon", "circle", "geocode", "valueName", "value",
)  # fmt: skip


@pytest.mark.slow
@many
@given(st.sampled_from(TAGS), st.sampled_from(["remove", "empty", "double", "text"]), st.text(max_size=30))
def test_any_element_spoiled(both: Both, tag: str, how: str, text: str) -> None:
    root = etree.fromstring(whole(both).encode())
    for element in list(root.iter(f"{{*}}{tag}")):
        parent = element.getparent()
        assert parent is not None
        try:
            if how == "remove":
                parent.remove(element)
            elif how == "empty":
                element.text = ""
            elif how == "double":
                parent.append(etree.fromstring(etree.tostring(element)))
            else:
                element.text = text
        except ValueError:  # no character of XML
            return
    both.agree(etree.tostring(root, encoding="utf-8"))


@pytest.mark.slow
@many
@given(st.sampled_from(["plain", "signed", "wide"]), st.data())
def test_any_bytes_changed(both: Both, form: str, draw: st.DataObject) -> None:
    text = whole(both)
    data = {"plain": text.encode(), "signed": _signed(text, "a"), "wide": text.encode("utf-16")}[form]
    start = draw.draw(st.integers(0, len(data)))
    end = draw.draw(st.integers(start, min(len(data), start + 80)))
    both.agree(data[:start] + draw.draw(st.binary(max_size=20) | st.just(data[start:end] * 2)) + data[end:])
