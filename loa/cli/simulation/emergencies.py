"""Emergencies in a virtual world: a person's key that the roots appointed signs them; everything else is the centre's.

The order goes the way of every order: rows of what is owed, one commit, the wire, and again until it is confirmed.
"""

from dataclasses import replace

from sqlmodel import Session

from controller import keyfiles
from controller.centre import Centre
from controller.services.broadcasts import expect_nodes, recall
from controller.services.context import Changed, Context
from controller.services.orders import find_targets, give_order
from controller.services.streams import references, stream_now
from controller.tables import Broadcast
from controller.tables import Bulletin as BulletinRow
from devices.protocol.keys import SigningKey
from devices.protocol.orders import Order, OrderAction
from devices.protocol.trust import Appointment, Power
from loa.cli.simulation.province import PERSON, PROVINCE, Bulletin, Province
from loa.entropy import new_id
from loa.precedence import Kind, Precedence
from loa.units import Id16, InstantMs, NodeId
from scheduler.rules.spread import StreamStart, pace_for

START_AFTER_MS = 500


class DutyOfficer:
    """A person who may release emergencies in the whole province."""

    def __init__(self, province: Province) -> None:
        self._province = province
        self._chance = province.chance.named("duty officer")
        self.key = SigningKey(self._chance.key_seed())
        self.appointment: Appointment | None = None

    async def appoint(self) -> None:
        """The roots sign; the centre renews the mandate and sends it to every node."""

        async def work(centre: Centre) -> Appointment:
            made = keyfiles.appoint(
                centre.keys_folder,
                holder="duty officer",
                public_key=self.key.public_key,
                area=PROVINCE,
                ceiling=Precedence.EMERGENCY,
                powers=Power.ORDER,
                now_ms=self._province.clock.now_ms(),
                entropy=self._chance.entropy(),
            )
            centre.look_again()
            return made

        self.appointment = await self._province.ask("has the roots appoint a duty officer", work)

    async def revoke(self) -> None:
        """The roots take the appointment back."""
        held = self.appointment
        assert held is not None

        async def work(centre: Centre) -> bool:
            keyfiles.revoke(centre.keys_folder, [held.id], now_ms=self._province.clock.now_ms(), reason="left")
            centre.look_again()
            return True

        await self._province.ask("has the roots revoke the duty officer", work)

    async def release(self, area: str, bulletin: Bulletin, *, lasts_s: float = 1800.0, repeats: int = 3) -> str | None:
        """Sign and send an emergency; its id, or None where the centre could not take it."""

        def change(session: Session, ctx: Context) -> Changed[str]:
            return _release(session, replace(ctx, keys=self.key), area, bulletin, lasts_s, repeats)

        made: str | None = await self._province.ask(
            f"releases an emergency for {area}", lambda centre: centre.do(PERSON, change)
        )
        if made is not None:
            now = self._province.clock.now_ms()
            self._province.ledger.issued[made] = InstantMs(now + START_AFTER_MS)
            self._province.ledger.emergencies[made] = now
            self._province.counted.broadcasts += 1
        return made

    async def cancel(self, emergency: str) -> None:
        """Take it back, by the same person."""

        def change(session: Session, ctx: Context) -> Changed[bool]:
            done = recall(session, replace(ctx, keys=self.key), id=emergency)
            return Changed(True, done.outgoing)

        done = await self._province.ask(
            f"cancels the emergency {emergency[:8]}", lambda centre: centre.do(PERSON, change)
        )
        if done is not None:
            self._province.ledger.recalled[emergency] = self._province.clock.now_ms()


def _release(  # noqa: PLR0917
    session: Session, ctx: Context, area: str, bulletin: Bulletin, lasts_s: float, repeats: int
) -> Changed[str]:
    targets = find_targets(session, [area], [])
    content = session.get_one(BulletinRow, bulletin.id)
    digests = list(content.renditions)
    refs = references(session, digests)
    pace = pace_for(None)
    stream_now(
        session,
        [
            StreamStart(ref.digest, InstantMs(ctx.now + START_AFTER_MS), pace)
            for ref in refs.values()
            if ref.stream_at is None or ref.stream_at > ctx.now
        ],
    )
    fresh = references(session, digests)
    start_at = InstantMs(ctx.now + START_AFTER_MS)
    order = Order(
        id=new_id(ctx.entropy),
        action=OrderAction.PLAY,
        nodes=(NodeId("any"),),
        precedence=Precedence.EMERGENCY,
        kind=Kind.LIVE,
        issued_at=ctx.now,
        start_at=start_at,
        expires_at=InstantMs(start_at + round(lasts_s * 1000)),
        renditions=tuple(fresh[digest] for digest in digests),
        repeats=repeats,
    )
    row = Broadcast(
        id=Id16(order.id).hex(),
        scheduled=False,
        title=content.title,
        area=area,
        target_areas=[area],
        target_nodes=[],
        bulletins=[bulletin.id],
        renditions=digests,
        precedence=int(Precedence.EMERGENCY),
        kind=int(Kind.LIVE),
        start_at=start_at,
        duration_ms=bulletin.duration_ms * max(1, repeats),
        expires_at=order.expires_at,
        status="issued",
        repeats=repeats,
        created_by=ctx.account,
        created_at=ctx.now,
    )
    session.add(row)
    session.flush()
    expect_nodes(session, row.id, targets)
    return Changed(row.id, give_order(session, ctx, order, targets))
