"""What people ask of a centre, one method a wish: a unit of work, then the wire, then those who watch are told."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

from sqlmodel import Session

from audio.importing import ImportedAudio, ImportOptions, import_recording
from controller.events import Events
from controller.peoplekeys import alert_in, approve, seal_seed, unseal_seed
from controller.rootwork import new_appointment
from controller.services import areas, broadcasts, bulletins, coverage, nodes, people_keys, programmes, timetables
from controller.services.areas import AreaView
from controller.services.broadcasts import BroadcastView, Issued, IssueForm
from controller.services.bulletins import BulletinView, NewRendition
from controller.services.context import Changed, Context, note_deed
from controller.services.coverage import Coverage
from controller.services.nodes import Enrolled, NodeView
from controller.services.people_keys import PersonKeyView
from controller.services.programmes import ProgrammeForm, ProgrammeView
from devices.protocol.documents import Timetable
from devices.protocol.keys import SigningKey
from devices.protocol.media import manifest_for
from devices.protocol.trust import Power
from loa.errors import Refused
from loa.names import AreaPath
from loa.precedence import Kind, Precedence

T = TypeVar("T")
Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class KeyWish:
    """What a person asks for: an appointment to approve alerts of this kind in this area, for so many days."""

    area: str
    kind: Kind
    days: int
    passphrase: str = field(repr=False)


class CentreWork(Protocol):
    """What the wishes rest on; `controller.centre.Centre` is it."""

    @property
    def events(self) -> Events: ...

    def context(self, account: str) -> Context: ...

    async def reading(self, work: Callable[[Session], T]) -> T: ...

    async def do(self, account: str, change: Callable[[Session, Context], Changed[T]]) -> T: ...

    async def aside(self, work: Callable[[], T]) -> T: ...


class CentreDesk:
    """Mixed into `Centre`; `account` is in whose name it is done. Errors are those of the services named."""

    async def add_area(self: CentreWork, path: str, name: str, *, kind: str = "", account: str) -> AreaView:
        return await self.do(
            account, lambda session, ctx: Changed(areas.add_area(session, ctx, path=path, name=name, kind=kind))
        )

    async def import_bulletin(
        self: CentreWork,
        path: Path,
        *,
        title: str,
        area: str,
        account: str,
        name: str = "",
        language: str = "vi",
        chime: bool = True,
        accept_part: bool = False,
        progress: Progress = lambda _done, _stage: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> BulletinView:
        """A recording becomes a draft. Decoding and encoding run beside the event loop.

        name: as the file was called where it came from. progress: called on the event loop with 0 to 1 and a stage.
        Raises Refused as `audio.importing.import_recording` and `bulletins.draft_bulletin` do.
        """
        loop = asyncio.get_running_loop()
        file_name = name or path.name

        def tell(done: float, stage: str) -> None:
            loop.call_soon_threadsafe(progress, done, stage)

        def work() -> tuple[ImportedAudio, NewRendition]:
            options = ImportOptions(name=file_name, chime=chime, accept_part=accept_part)
            imported = import_recording(path, options=options, progress=tell, cancelled=cancelled)
            return imported, _rendition(imported, language)

        imported, rendition = await self.aside(work)

        def draft(session: Session, ctx: Context) -> Changed[BulletinView]:
            view = bulletins.draft_bulletin(
                session, ctx, title=title, area=area, renditions=[rendition], source_name=file_name,
                note=_note(imported),
            )  # fmt: skip
            return Changed(view)

        view = await self.do(account, draft)
        self.events.publish("bulletin", view.id, status=view.status, title=view.title)
        return view

    async def approve(self: CentreWork, bulletin: str, *, content_hash: str, account: str) -> BulletinView:
        """As `bulletins.approve_bulletin`."""
        view = await self.do(
            account,
            lambda session, ctx: Changed(
                bulletins.approve_bulletin(session, ctx, id=bulletin, content_hash=content_hash)
            ),
        )
        self.events.publish("bulletin", view.id, status=view.status, title=view.title)
        return view

    async def withdraw(self: CentreWork, bulletin: str, *, account: str) -> BulletinView:
        """As `bulletins.withdraw_bulletin`."""
        view = await self.do(account, lambda session, ctx: bulletins.withdraw_bulletin(session, ctx, id=bulletin))
        self.events.publish("bulletin", view.id, status=view.status, title=view.title)
        return view

    async def add_programme(self: CentreWork, form: ProgrammeForm, *, account: str) -> ProgrammeView:
        """As `programmes.add_programme`."""
        view = await self.do(account, lambda session, ctx: programmes.add_programme(session, ctx, form))
        self.events.publish("programme", view.id, title=view.title)
        return view

    async def change_programme(self: CentreWork, programme: str, form: ProgrammeForm, *, account: str) -> ProgrammeView:
        """As `programmes.change_programme`."""
        view = await self.do(account, lambda session, ctx: programmes.change_programme(session, ctx, programme, form))
        self.events.publish("programme", view.id, title=view.title)
        return view

    async def stop_programme(self: CentreWork, programme: str, *, account: str) -> ProgrammeView:
        """As `programmes.stop_programme`."""
        view = await self.do(account, lambda session, ctx: programmes.stop_programme(session, ctx, id=programme))
        self.events.publish("programme", view.id, title=view.title, stopped=True)
        return view

    async def make_person_key(self: CentreWork, wish: KeyWish, *, account: str) -> PersonKeyView:
        """A new key for the account, sealed here under its passphrase. Raises Refused as `people_keys` and
        `peoplekeys.seal_seed` do; bad_days.
        """
        ctx = self.context(account)
        key = SigningKey(ctx.entropy(32))
        wished = new_appointment(
            holder=account, public_key=key.public_key, area=AreaPath(wish.area), ceiling=Precedence.EMERGENCY,
            powers=Power.APPROVE, kind=wish.kind, days=wish.days, now_ms=ctx.now, entropy=ctx.entropy,
        )  # fmt: skip
        sealed = await self.aside(lambda: seal_seed(key.seed, wish.passphrase, ctx.entropy))
        return await self.do(
            account,
            lambda session, ctx: Changed(people_keys.keep_person_key(session, ctx, sealed_seed=sealed, wished=wished)),
        )

    async def change_key_passphrase(self: CentreWork, key: str, *, old: str, new: str, account: str) -> PersonKeyView:
        """Raises Refused: wrong_passphrase, weak_passphrase, too_large, and as `people_keys.seal_anew` does."""
        ctx = self.context(account)
        before = await self.reading(lambda session: people_keys.sealed_seed_of(session, ctx, key))
        seed = await _opened(self, key, before, old, account)
        after = await self.aside(lambda: seal_seed(seed, new, ctx.entropy))
        return await self.do(
            account,
            lambda session, ctx: Changed(people_keys.seal_anew(session, ctx, key, before=before, after=after)),
        )

    async def approve_body(self: CentreWork, key: str, *, passphrase: str, body: bytes, account: str) -> bytes:
        """The account's approval of an alert body, with a key of its own that is kept here. Whoever calls this counts
        the tries. Raises Refused: wrong_passphrase, not_an_alert_body, drill_mismatch, key_retired, not_found.
        """
        ctx = self.context(account)
        kind = alert_in(body).kind
        sealed = await self.reading(lambda session: people_keys.sealed_seed_of(session, ctx, key, kind=kind))
        return approve(body, SigningKey(await _opened(self, key, sealed, passphrase, account)))

    async def retire_person_key(self: CentreWork, key: str, *, account: str) -> PersonKeyView:
        """As `people_keys.retire_person_key`."""
        return await self.do(account, lambda session, ctx: Changed(people_keys.retire_person_key(session, ctx, key)))

    async def issue_now(self: CentreWork, form: IssueForm, *, account: str) -> Issued:
        """As `broadcasts.issue_now`. The order is on its way when this returns."""

        def issue(session: Session, ctx: Context) -> Changed[Issued]:
            issued = broadcasts.issue_now(session, ctx, form)
            return Changed(issued, issued.outgoing)

        issued = await self.do(account, issue)
        self.events.publish("broadcast", issued.broadcast_id.hex(), status="issued", start_at=issued.start_at)
        return issued

    async def recall(self: CentreWork, broadcast: str, *, account: str) -> BroadcastView:
        """As `broadcasts.recall`: out of the timetable, and stopped wherever it sounds."""
        view = await self.do(account, lambda session, ctx: broadcasts.recall(session, ctx, id=broadcast))
        self.events.publish("broadcast", view.id, status=view.status)
        return view

    async def stop_broadcast(self: CentreWork, broadcast: str, *, account: str) -> BroadcastView:
        """Silence what sounds: the same as a recall, which also keeps it from starting where it has not yet."""
        view = await self.do(account, lambda session, ctx: broadcasts.recall(session, ctx, id=broadcast))
        self.events.publish("broadcast", view.id, status=view.status)
        return view

    async def enrol_node(
        self: CentreWork,
        *,
        id: str,  # noqa: A002
        area: str,
        public_key: bytes,
        account: str,
        description: str = "",
        station: str | None = None,
        bus_address: int = 0,
    ) -> Enrolled:
        """As `nodes.enrol_node`."""
        enrolled = await self.do(
            account,
            lambda session, ctx: nodes.enrol_node(
                session, ctx, id=id, area=area, public_key=public_key, description=description, station=station,
                bus_address=bus_address,
            ),
        )  # fmt: skip
        self.events.publish("node", enrolled.node, area=enrolled.area, enrolled=True)
        return enrolled

    async def move_node(self: CentreWork, node: str, area: str, *, account: str) -> Enrolled:
        """As `nodes.move_node`."""
        enrolled = await self.do(account, lambda session, ctx: nodes.move_node(session, ctx, id=node, area=area))
        self.events.publish("node", enrolled.node, area=enrolled.area)
        return enrolled

    async def set_volume(self: CentreWork, node: str, volume: float, *, account: str) -> None:
        """As `nodes.set_volume`: 0 to 100, from now on."""

        def change(session: Session, ctx: Context) -> Changed[None]:
            return Changed(None, nodes.set_volume(session, ctx, id=node, volume=volume))

        await self.do(account, change)
        self.events.publish("node", node, volume=volume)

    async def test_tone(self: CentreWork, node: str, *, account: str) -> None:
        """As `nodes.sound_test_tone`: a short quiet tone on one loudspeaker."""

        def change(session: Session, ctx: Context) -> Changed[None]:
            return Changed(None, nodes.sound_test_tone(session, ctx, target_nodes=(node,)))

        await self.do(account, change)

    async def nodes(self: CentreWork) -> tuple[NodeView, ...]:
        ctx = self.context("loa")
        return tuple(await self.reading(lambda session: nodes.list_nodes(session, ctx)))

    async def timetable(self: CentreWork, area: str) -> Timetable | None:
        """The timetable of an area as it was signed last."""
        return await self.reading(lambda session: timetables.timetable(session, area))

    async def coverage(self: CentreWork, broadcast: str) -> Coverage:
        """Of the nodes a broadcast was for: what receipts say. As `coverage.coverage`."""
        return await self.reading(lambda session: coverage.coverage(session, broadcast))

    async def broadcast(self: CentreWork, broadcast: str) -> BroadcastView:
        return await self.reading(lambda session: broadcasts.broadcast(session, broadcast))


def _rendition(imported: ImportedAudio, language: str) -> NewRendition:
    made = imported.rendition
    by_peak = made.levelled_by == "peak"
    manifest = manifest_for(
        made.data,
        duration_ms=made.duration_ms,
        loudness_centi_lufs=0 if by_peak else round(made.loudness_lufs * 100),
        peak_centi_db=round(made.peak_dbtp * 100),
    )
    return NewRendition(made.data, manifest, language=language, levelled_by=made.levelled_by)


async def _opened(centre: CentreWork, key: str, sealed: bytes, passphrase: str, account: str) -> bytes:
    """The seed; a wrong passphrase is on the record. Raises Refused(wrong_passphrase, bad_key_file)."""

    def note(session: Session, ctx: Context) -> Changed[None]:
        note_deed(session, ctx, "wrong_passphrase", "person_key", key)
        return Changed(None)

    try:
        return await centre.aside(lambda: unseal_seed(sealed, passphrase))
    except Refused as error:
        if error.code == "wrong_passphrase":
            await centre.do(account, note)
        raise


def _note(imported: ImportedAudio) -> str:
    """What the import found worth saying."""
    source = imported.source
    said = []
    if source.partial:
        claimed = "" if source.declared_ms is None else f" / {source.declared_ms / 1000:.0f} s"
        said.append(f"Only a part plays: {source.decoded_ms / 1000:.0f} s{claimed}")
    elif source.bad_packets:
        said.append(f"{source.bad_packets} damaged packets were left out")
    return "; ".join(said)
