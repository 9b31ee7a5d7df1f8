"""A centre: everything the controller runs, composed. The API, the command and the demo go through this.

Every change is one unit of work; what it puts on the wire goes out right after the commit. All that matters is in the
tables, so a centre that was killed takes everything up again when it starts.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection, Coroutine
from dataclasses import replace
from functools import cached_property
from io import TextIOWrapper
from pathlib import Path
from typing import Any, TypeVar

from sqlmodel import Session

from controller import codes, keyfiles, restored
from controller.alert_desk import AlertDesk
from controller.board_desk import BoardDesk
from controller.broker import Broker, choose_broker
from controller.broker_files import broker_tls
from controller.cap.signing import CapSigner
from controller.cap_desk import CapDesk
from controller.cap_identity import cap_identity, cap_schemes
from controller.config import CentreConfig
from controller.deedlog import DeedLog, UnwrittenDeeds
from controller.desk import CentreDesk
from controller.enrolment_desk import EnrolmentDesk
from controller.events import Events
from controller.feeds.poller import CapFeeds
from controller.folder import take_folder
from controller.keydisk import Ask
from controller.keyfiles import CentreKeys
from controller.keywatch import KeyWarning, key_warnings
from controller.media import MediaStore
from controller.notice_desk import NoticeDesk
from controller.permissions import Actor
from controller.recordkeeper import RecordKeeper
from controller.services import areas, due, settings, trust
from controller.services.context import CONTROLLER, ORIGIN, Changed, Context, Outgoing
from controller.services.streams import DueStream
from controller.store import Database
from controller.wire.common import Waker, WireContext, keep_going
from controller.wire.transmitter import Transmitter
from devices.links.mqtt import MqttLink
from devices.links.port import Link
from devices.protocol.refusal import WireRefusal
from devices.protocol.topics import AreaChannel
from loa.clock import Clock, SystemClock
from loa.entropy import Entropy, system_entropy
from loa.errors import LoaError
from loa.names import AreaPath
from loa.problems import explain
from loa.units import InstantMs
from scheduler.clock import DueClock

T = TypeVar("T")
_keys_log = logging.getLogger("loa.keys")
_LONGEST_PAUSE_S = 30.0
"""What is due is looked at this often at least, so that a wall clock that jumped is noticed."""
_SHORTEST_PAUSE_MS = 50
_JUMP_MS = 1000


class Centre(CentreDesk):
    """Made by `Centre.start`. All calls on its event loop."""

    def __init__(self, config: CentreConfig, clock: Clock, entropy: Entropy, lock: TextIOWrapper) -> None:
        self.config, self.clock, self.entropy = config, clock, entropy
        self.events = Events()
        self.keys_created = False
        """Whether this start made the keys; tell where they are."""
        self._lock = lock
        self._troubles: dict[str, str] = {}
        self._closing = contextlib.AsyncExitStack()
        self._due_waker = Waker()
        self._due_clock: DueClock | None = None
        self._done_at = clock.now_ms()

    db: Database
    media: MediaStore
    keys: CentreKeys
    province: AreaPath
    broker: Broker | None
    link: Link
    transmitter: Transmitter
    enrolment: EnrolmentDesk
    alerts: AlertDesk
    boards: BoardDesk
    notices: NoticeDesk
    cap: CapDesk
    cap_sender: str
    """As our own alerts in CAP name us."""
    cap_signer: CapSigner | None
    cap_feeds: CapFeeds
    threads: bool

    @classmethod
    async def start(
        cls,
        config: CentreConfig,
        clock: Clock | None = None,
        entropy: Entropy = system_entropy,
        *,
        link: Link | None = None,
    ) -> "Centre":
        """Take the data folder, make what is missing in it, start broker and wire, take up what was going on.

        link: instead of MQTT to `config.broker`, for a world without sockets. Raises Refused(already_running,
        insecure_broker, bad_broker, broker_missing, bad_key_file,
        controller_locked, wrong_passphrase, file_missing), OperatorNeeded(broker_unreachable, database_...).
        """
        config.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        centre = cls(config, clock or SystemClock(), entropy, take_folder(config.data))
        try:
            await centre._open(link)
        except BaseException:
            await centre.stop()
            raise
        return centre

    async def stop(self) -> None:
        """Orderly: nothing new leaves, what is under way is finished, the broker ends last."""
        await self._closing.aclose()
        self._lock.close()

    def let_go(self) -> None:
        """As a killed process would: nothing is finished, only the folder and the tables are free for the next."""
        self._lock.close()
        if hasattr(self, "db"):
            self.db.close()

    async def _open(self, link: Link | None) -> None:
        config, closing = self.config, self._closing
        self.db = Database(config.database_url, inline=link is not None)
        closing.callback(self.db.close)
        self.threads = link is None
        await self.aside(self.db.upgrade)
        self.media = MediaStore(config.media_folder)
        self.incoming_folder.mkdir(parents=True, exist_ok=True)
        self._open_keys()
        deeds = DeedLog(config.data / "deeds.log")
        closing.callback(deeds.close)
        await restored.tell_first(self.db, self.context(CONTROLLER), config.data)
        self.db.unwritten = UnwrittenDeeds(deeds, lambda: self.context(CONTROLLER), lambda: self.keys.roots)
        self.enrolment = EnrolmentDesk(self)
        self.alerts = AlertDesk(self, deeds)
        self.boards, self.notices = BoardDesk(self, CONTROLLER), NoticeDesk(self, CONTROLLER)
        self.boards.noticed = self.notices.wake
        self.cap_sender, self.cap_signer = cap_identity(self.config, self.province)
        self.cap = CapDesk(self, self.alerts, self.province, own=self.cap_sender, schemes=cap_schemes(config))
        self.cap_feeds = CapFeeds(self, self.cap, self.clock, self.entropy)
        await self._first_documents()
        self.broker = None
        if link is None:
            link = await self._open_broker()
        self.link = link
        wire = WireContext(link, self.db, self.clock, self.entropy, self.keys.controller, self.events, self.threads)
        self.transmitter = Transmitter(
            wire,
            lambda: self.context(CONTROLLER),
            notes=config.data / "streams.json",
            health_interval_s=config.health_interval_s,
            unwritten=deeds,
        )
        self._record = RecordKeeper(self.db, self.transmitter.send, self._done_at)
        await self.transmitter.start()
        closing.push_async_callback(self.transmitter.stop)
        if self.broker is not None:  # a simulated world has a clock of its own, which a scheduler cannot follow
            self._due_clock = DueClock(self._due_waker.wake)
            self._due_clock.start()
            closing.callback(self._due_clock.stop)
        self._keep("due", keep_going("due", wire, self._due_turn))
        self._keep("boards", keep_going("boards", wire, self.boards.turn))
        self._keep("board changes", self.boards.listen())
        if self.threads:  # nobody outside is told from a simulated world
            self._keep("notices", keep_going("notices", wire, self.notices.turn))
        if self.broker is not None:
            self._keep("cap", keep_going("cap", wire, self.cap_feeds.turn))

    def _keep(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Go on with it until the centre stops."""
        self._closing.push_async_callback(_cancelled, asyncio.create_task(work, name=name))

    def _open_keys(self) -> None:
        folder = self.config.keys_folder
        self.keys_created = not (folder / "controller.json").exists()
        self.keys = keyfiles.create_centre(
            folder, AreaPath(self.config.province), self.clock.now_ms(), self.entropy, ask=self.config.ask_passphrase
        )
        self.province = self.keys.area
        self._warn_of_keys()

    def _read_keys_again(self) -> bool:
        """What the roots signed meanwhile, a revocation above all, counts without a restart. The own key stays.

        Where a file is spoiled, the keys that were read before go on counting: what is planned does not stop for that.
        """
        try:
            fresh = replace(keyfiles.load_centre(self.config.keys_folder), unlocked=self.keys.controller)
        except (LoaError, OSError) as error:
            self._complain("read", f"the keys were not read again: {error}")
            return False
        self._complain("read")
        changed = fresh != self.keys
        self.keys = fresh
        return changed

    async def _open_broker(self) -> Link:
        config = self.config
        tls = broker_tls(config)
        self.broker = choose_broker(
            config.broker,
            config.broker_folder,
            self.clock,
            bind=config.broker_bind,
            port=config.broker_port,
            insecure=config.insecure_broker,
            tls=tls,
        )
        await self.broker.start()
        self._closing.push_async_callback(self.broker.stop)
        name = f"loa-{self.keys.controller.key_id.hex()}"
        return MqttLink(
            self.broker.url, name, self.clock, self.entropy, keepalive_s=20.0, backoff_s=(0.2, 5.0),
            max_queued_bytes=8 * 1024 * 1024, tls=tls,
        )  # fmt: skip

    async def _first_documents(self) -> None:
        """What every province has from its first moment on: its area, trust and settings."""
        ctx = self.context(CONTROLLER)

        def work(session: Session) -> None:
            areas.ensure_province(session, ctx, self.config.province_name)
            self._renew_trust(session, ctx)
            settings.ensure_settings(session, ctx, health_interval_s=self.config.health_interval_s)

        await self.db.unit_of_work(work)

    def _complain(self, of: str, trouble: str = "") -> None:
        """Once, however often it is met in a row."""
        if trouble and trouble != self._troubles.get(of):
            _keys_log.error("%s", trouble)
        self._troubles[of] = trouble

    def _renew_trust(self, session: Session, ctx: Context) -> Outgoing:
        """A document that nodes would refuse is not issued: the one before counts for some days yet."""
        keys = self.keys
        try:
            renewed = trust.renew_trust(
                session, ctx, appointments=keys.appointments, revocations=keys.revocations, root_sets=keys.root_sets,
                roots=keys.roots,
            )  # fmt: skip
        except WireRefusal as refusal:
            self._complain("renew", f"mandates are not renewed, for nodes would refuse them: {refusal}")
            return Outgoing()
        self._complain("renew")
        return renewed

    def _warn_of_keys(self) -> None:
        """At each start, and daily with the mandates, until somebody acts. A simulated world warns nobody."""
        for warning in self.key_warnings() if self.threads else ():
            said = explain(warning.problem, "en")
            _keys_log.warning("%s. %s", said.title, said.remedy)

    # What others build on.

    @cached_property
    def accounts_key(self) -> bytes:
        """What seals people's secrets in the tables. Raises Refused(bad_accounts_key)."""
        return codes.accounts_key(
            self.keys_folder, self.config.accounts_key.get_secret_value(), self.entropy, self.ask_for_secrets
        )

    @property
    def ask_for_secrets(self) -> Ask | None:
        """Gives the passphrase of other secrets among the keys: that of the controller's key, if it has one."""
        return self.config.ask_passphrase if self.keys.controller_file.locked else None

    def context(self, account: str) -> Context:
        """For a service that acts in the name of `account`: within what it may do, where it says what that is."""
        return Context(
            clock=self.clock,
            entropy=self.entropy,
            keys=self.keys.controller,
            province=self.province,
            account=str(account),
            media=self.media,
            authority=account.authority if isinstance(account, Actor) else None,
            origin=ORIGIN.get(),
        )

    async def reading(self, work: Callable[[Session], T]) -> T:
        """Look at the tables without waiting for writers."""
        return await self.db.reading(work)

    async def unit_of_work(self, work: Callable[[Session], T]) -> T:
        """Change the tables; then `put_out` what the change says."""
        return await self.db.unit_of_work(work)

    async def put_out(self, outgoing: Outgoing) -> None:
        """Publish what a committed change decided, and see when something is due next."""
        await self.transmitter.send(outgoing)
        if outgoing:
            self._due_waker.wake()

    async def stream(self, streams: Collection[DueStream]) -> None:
        """Audio that is announced and that the tables do not tell of yet."""
        await self.transmitter.streams.adopt(streams)

    async def do(self, account: str, change: Callable[[Session, Context], Changed[T]]) -> T:
        """One change in the name of `account`: a unit of work, then the wire."""
        ctx = self.context(account)
        changed = await self.db.unit_of_work(lambda session: change(session, ctx))
        await self.put_out(changed.outgoing)
        return changed.value

    async def aside(self, work: Callable[[], T]) -> T:
        """Long work beside the event loop; on it in a simulated world, which has no threads."""
        return await asyncio.to_thread(work) if self.threads else work()

    def key_warnings(self) -> tuple[KeyWarning, ...]:
        """What is not as it should be with the keys, now."""
        return key_warnings(self.keys, self.clock.now_ms())

    @property
    def broker_connected(self) -> bool:
        return self.link.is_up

    @property
    def broker_url(self) -> str:
        return "" if self.broker is None else self.broker.url

    @property
    def incoming_folder(self) -> Path:
        """Where uploads lie until they are imported; on the same disk as the media."""
        return self.config.data / "incoming"

    @property
    def keys_folder(self) -> Path:
        return self.config.keys_folder

    # What is due.

    def look_again(self) -> None:
        """Plans changed: see when something is due next."""
        self._due_waker.wake()

    async def _due_turn(self) -> None:
        await self.aside(self._read_keys_again)
        ctx = self.context(CONTROLLER)
        since, now = self._done_at, ctx.now

        def work(session: Session) -> Changed[due.Done]:
            renewed = self._renew_trust(session, ctx)
            done = due.do_due(session, ctx, since)
            return Changed(done, renewed + done.outgoing)

        done = await self.db.unit_of_work(work)
        self._done_at = now
        await self.transmitter.send(done.outgoing)
        if any(one.channel is AreaChannel.TRUST for one in done.outgoing.documents):
            self._warn_of_keys()
        for broadcast in done.value.started:
            self.events.publish("air", broadcast, on=True)
        for broadcast in done.value.ended:
            self.events.publish("broadcast", broadcast, status="ended")
        head_at = await self._record.keep(ctx)
        await self._until_due(min((one for one in (done.value.next_at, head_at) if one is not None), default=None))

    async def _until_due(self, next_at: InstantMs | None) -> None:
        """Until then; earlier where plans changed, the roots signed something, or the wall clock jumped."""
        if next_at is not None:
            next_at = InstantMs(max(next_at, self.clock.now_ms() + _SHORTEST_PAUSE_MS))
            if self._due_clock is not None:
                self._due_clock.set_next(next_at)
        while True:
            # A simulated clock does not jump, and looking every half minute for a year takes its time.
            pause_s = _LONGEST_PAUSE_S if self._due_clock is not None else 3600.0
            wall_ms, steady_s = self.clock.now_ms(), self.clock.monotonic_s()
            if next_at is not None:
                pause_s = min(pause_s, (next_at - wall_ms) / 1000)
            if await self._due_waker.wait(self.clock, pause_s):
                return
            now = self.clock.now_ms()
            jumped_ms = abs((now - wall_ms) - (self.clock.monotonic_s() - steady_s) * 1000)
            if (next_at is not None and now >= next_at) or jumped_ms > _JUMP_MS:
                return
            if await self.aside(self._read_keys_again):
                return


async def _cancelled(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
