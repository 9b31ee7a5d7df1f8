"""What a node says of itself over its link: presence, health, receipts until they are acknowledged, time requests."""

from collections.abc import Callable
from dataclasses import dataclass

from devices.links.port import LastWill, Link
from devices.node.crew import Alarm, Crew
from devices.node.ledger import Ledger
from devices.node.timing import NodeTime
from devices.protocol.envelope import Message, encode, seal
from devices.protocol.identity import NodeIdentity
from devices.protocol.journal import Kept
from devices.protocol.reports import Health, Presence, PresenceState
from devices.protocol.topics import UpChannel, up_topic
from loa.clock import Clock
from loa.entropy import Entropy, fraction

RECEIPT_WINDOW = 64
"""Receipts sent again at a time; the next ones follow the acknowledgement."""
_RESEND_S, _LONGEST_RESEND_S = 5.0, 300.0
_FIRST_UNANSWERED_S = 2.0
_COALESCE_S = 0.5
"""Changes within this become one health report."""
_EXCHANGE_BYTES = 450
"""Both ways, signed."""
_TIME_SHARE = 0.04
"""Of a link whose rate is known because it is slow: others share it, and audio needs it."""


@dataclass(frozen=True)
class Voice:
    """What a session speaks with."""

    identity: NodeIdentity
    link: Link
    clock: Clock
    time: NodeTime
    entropy: Entropy
    ledger: Ledger
    crew: Crew


class Session:
    """Speaks for the node while its link is up, and is silent while it is down."""

    def __init__(
        self,
        voice: Voice,
        *,
        next_session: Callable[[], int],
        health: Callable[[int], Health],
        interval_s: Callable[[], float],
        lost_without_answer: Callable[[], bool],
        time_is_waited_for: Callable[[], bool],
    ) -> None:
        """lost_without_answer: nothing can be believed or played before the centre has answered a health report.

        time_is_waited_for: an order has come that cannot be judged before the time is known.
        """
        self._identity, self._link, self._clock = voice.identity, voice.link, voice.clock
        self._time, self._entropy, self._ledger = voice.time, voice.entropy, voice.ledger
        self._next_session = next_session
        self._health_of = health
        self._interval_s = interval_s
        self._lost_without_answer, self._time_is_waited_for = lost_without_answer, time_is_waited_for
        self._unanswered_s = _FIRST_UNANSWERED_S
        self._health_alarm = Alarm(voice.clock, voice.crew, self.send_health)
        self._time_alarm = Alarm(voice.clock, voice.crew, self.ask_time)
        self._receipt_alarm = Alarm(voice.clock, voice.crew, self._resend)
        self._resend_s = _RESEND_S
        self._health_due_s: float | None = None
        self._sent_up_to = 0
        self.number = 0
        self.offset_told = False
        voice.ledger.written = self._written

    def prepare(self) -> None:
        """Before a connection: its number, and the will that goes with it."""
        self.number = self._next_session()
        will = Presence(node=self._identity.node, session=self.number, state=PresenceState.OFFLINE)
        self._link.set_last_will(LastWill(self._topic(UpChannel.PRESENCE), encode(will), retain=True))

    def link_up(self) -> None:
        self._say(UpChannel.PRESENCE, self._presence(PresenceState.ONLINE), qos=1, retain=True)
        self._time.keeper.session_started()
        self._resend_s = _RESEND_S
        self._unanswered_s = _FIRST_UNANSWERED_S
        self.ask_time()
        self.send_health()
        self._sent_up_to = 0
        self._resend()

    def link_down(self) -> None:
        for alarm in (self._health_alarm, self._time_alarm, self._receipt_alarm):
            alarm.set(None)
        self._health_due_s = None
        self.prepare()

    def say_goodbye(self) -> None:
        self.send_health()
        self._say(UpChannel.PRESENCE, self._presence(PresenceState.OFFLINE), qos=1, retain=True)
        for alarm in (self._health_alarm, self._time_alarm, self._receipt_alarm):
            alarm.set(None)

    def _presence(self, state: PresenceState) -> Presence:
        return Presence(node=self._identity.node, session=self.number, state=state)

    def _topic(self, channel: UpChannel) -> str:
        return up_topic(self._identity.node, channel)

    def _say(self, channel: UpChannel, message: Message, *, qos: int = 0, retain: bool = False) -> bool:
        payload = seal(message, self._identity.key)
        return self._link.publish(self._topic(channel), payload, qos=qos, retain=retain)

    # Health

    def send_health(self) -> None:
        if not self._link.is_up:
            return
        self._say(UpChannel.HEALTH, self._health_of(self.number))
        wait_s = self._interval_s()
        if self._lost_without_answer():  # the centre may not have been there to hear it
            wait_s = min(wait_s, self._unanswered_s)
            self._unanswered_s *= 2
        self._set_health(self._clock.monotonic_s() + wait_s)

    def changed(self) -> None:
        """Something in the node's state is new: tell it soon, together with what else changes by then."""
        if self._link.is_up:
            soon = self._clock.monotonic_s() + _COALESCE_S
            if self._health_due_s is None or soon < self._health_due_s:
                self._set_health(soon)

    def _set_health(self, at_s: float) -> None:
        self._health_due_s = at_s
        self._health_alarm.set(at_s)

    # Time

    def ask_time(self) -> None:
        """One exchange now, the next when its turn comes."""
        if not self._link.is_up:
            return
        request = self._time.keeper.request(self._identity.node, self._entropy(16), self._time.local_ms)
        self._say(UpChannel.TIME, request)
        wait = self._time.keeper.wait_s(in_hurry=self._time_is_waited_for())
        if self._link.nominal_rate is not None:
            wait = max(wait, _EXCHANGE_BYTES / (_TIME_SHARE * self._link.nominal_rate))
        self._time_alarm.set(self._clock.monotonic_s() + wait * (0.75 + fraction(self._entropy) / 2))

    # Receipts

    def _written(self, kept: Kept) -> None:
        """A receipt is durable: send it at once, and again until it is acknowledged."""
        if not self._link.is_up:
            return
        if self._publish(kept) and self._sent_up_to == kept.number - 1:
            self._sent_up_to = kept.number
        self._wait_for_acknowledgement()

    def _publish(self, kept: Kept) -> bool:
        return self._link.publish(self._topic(UpChannel.RECEIPT), kept.sealed, qos=1)

    def _resend(self) -> None:
        """The oldest that are not acknowledged, and later the next, less often each time."""
        if not self._link.is_up:
            return
        self._sent_up_to = self._ledger.acknowledged
        self._send_window()
        self._wait_for_acknowledgement()
        self._resend_s = min(_LONGEST_RESEND_S, self._resend_s * 2)

    def _send_window(self) -> None:
        for kept in self._ledger.unacknowledged(RECEIPT_WINDOW):
            if kept.number > self._sent_up_to:
                if not self._publish(kept):
                    return
                self._sent_up_to = kept.number

    def _wait_for_acknowledgement(self) -> None:
        waiting = self._ledger.acknowledged < self._ledger.last_number
        jitter = 0.8 + 0.4 * fraction(self._entropy)
        self._receipt_alarm.set(self._clock.monotonic_s() + self._resend_s * jitter if waiting else None)

    def acknowledged(self, again: bool) -> None:
        """The controller has told what it holds; `again`: less than before, so the rest is sent again."""
        self._resend_s = _RESEND_S
        if again:
            self._sent_up_to = 0
        if self._link.is_up:
            self._send_window()
            self._wait_for_acknowledgement()
