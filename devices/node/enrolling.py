"""A box makes itself known to a centre by its label, over bad links and through reboots, until it is decided.

The box's private key is made here and never leaves. Only what the label's secret vouches for ends an enrolment: whoever
stands in between without it can delay, and nothing else.
"""

import asyncio
import base64
import binascii
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from devices.links.https import Body
from devices.node.enrolled import Done, Ended, EnrolmentFolder, Underway
from devices.protocol.enrolment import (
    FORM,
    Decision,
    EnrolmentState,
    Hello,
    Question,
    Welcome,
    broker_password,
    check_mac,
    commit,
    comparison_code,
    label_key,
    mac,
    session_key,
)
from devices.protocol.envelope import decode
from devices.protocol.identity import NodeIdentity
from devices.protocol.keys import SigningKey
from devices.protocol.label import Label, label_name, roots_pin
from devices.protocol.refusal import WireRefusal
from devices.protocol.trust import RootSet
from loa.clock import Clock
from loa.entropy import Entropy, fraction
from loa.errors import LoaError, Refused
from loa.names import node_id
from loa.units import InstantMs

_log = logging.getLogger("loa.node")
ASK_EVERY_S = 5.0
LONGEST_PAUSE_S = 60.0


class Centre(Protocol):
    """How the centre is asked."""

    def post(self, path: str, body: Body) -> Body:
        """Blocks. Raises OperatorNeeded(centre_unreachable), Refused(wrong_server), or the centre's own refusal."""
        ...


class Enrolling:
    """One box's enrolment. `tell` is called with the comparison code, once it is known."""

    def __init__(
        self,
        label: Label,
        folder: EnrolmentFolder,
        centre: Centre,
        clock: Clock,
        entropy: Entropy,
        *,
        tell: Callable[[str], None] = lambda _code: None,
    ) -> None:
        self._label, self._folder, self._centre = label, folder, centre
        self._clock, self._entropy, self._tell = clock, entropy, tell
        self._told = False

    async def run(self) -> Done:
        """Until a technician confirmed.

        Raises Ended(already_enrolled, enrolment_rejected, wrong_roots, bad_key_file).
        """
        pause_s = 1.0
        while True:
            try:
                done = await self.step()
                if done is not None:
                    return done
                pause_s, wait_s = 1.0, ASK_EVERY_S
            except Ended:
                raise
            except LoaError as error:
                # Nobody vouches for this refusal, or for this silence: go on asking.
                _log.warning("enrolment: %s; again in %.0f s", error, pause_s)
                wait_s, pause_s = pause_s, min(LONGEST_PAUSE_S, pause_s * 2)
            await self._clock.sleep(wait_s * (0.75 + fraction(self._entropy) / 2))

    async def step(self) -> Done | None:
        """One question to the centre, or the last step after it."""
        state = self._folder.read()
        if isinstance(state, Done):
            if state.label != self._label.name:
                raise Ended("already_enrolled", field="enrol", value=state.node)
            return state
        if state is None:
            state = Underway(self._label, self._entropy(32), self._entropy(32), self._entropy(16))
            self._folder.keep(state)
        elif state.label.id != self._label.id or state.label.secret != self._label.secret:
            raise Ended("already_enrolled", field="enrol", value=state.label.name)
        if state.welcome is None:
            state = replace(state, welcome=await self._say_hello(state))
            self._folder.keep(state)
        return await self._ask(state, *self._session(state))

    def _hello(self, state: Underway) -> tuple[Hello, X25519PrivateKey]:
        own = X25519PrivateKey.from_private_bytes(state.exchange)
        public = SigningKey(state.seed).public_key
        return Hello(state.label.id, public, own.public_key().public_bytes_raw(), commit(state.nonce)), own

    def _session(self, state: Underway) -> tuple[Hello, Welcome, bytes]:
        assert state.welcome is not None
        hello, own = self._hello(state)
        return hello, state.welcome, session_key(label_key(state.label.secret), own, hello, state.welcome)

    async def _say_hello(self, state: Underway) -> Welcome:
        hello, own = self._hello(state)
        key = label_key(state.label.secret)
        body = {
            "form": FORM, "label": label_name(hello.label), "public_key": _text(hello.public_key),
            "exchange": _text(hello.exchange), "commitment": _text(hello.commitment),
            "mac": _text(mac(key, hello.said())),
        }  # fmt: skip
        reply = await asyncio.to_thread(self._centre.post, "/api/v1/enrolments", body)
        try:
            welcome = Welcome(
                bytes.fromhex(str(reply["enrolment"])),
                *(_bytes(reply[name]) for name in ("exchange", "nonce", "roots")),
            )
            given = _bytes(reply["mac"])
        except (KeyError, ValueError) as error:
            raise Refused("enrolment_forged", field="welcome") from error
        check_mac(given, session_key(key, own, hello, welcome), hello.said(), welcome.said())
        roots = _roots(welcome)
        if self._label.roots_pin is not None and roots_pin(roots) != self._label.roots_pin:
            raise Ended("wrong_roots", field="roots")
        return welcome

    async def _ask(self, state: Underway, hello: Hello, welcome: Welcome, key: bytes) -> Done | None:
        question = Question(welcome.enrolment, state.nonce, self._entropy(16))
        body = {"form": FORM, "nonce": _text(question.nonce), "fresh": _text(question.fresh)}
        body["mac"] = _text(mac(key, question.said()))
        path = f"/api/v1/enrolments/{welcome.enrolment.hex()}/state"
        reply = await asyncio.to_thread(self._centre.post, path, body)
        try:
            node, area, broker, authority = (str(reply[name]) for name in ("node", "area", "broker", "authority"))
            at = InstantMs(int(str(reply["at"])))
            decision = Decision(EnrolmentState(str(reply["state"])), node, area, broker, authority, at)
            given = _bytes(reply["mac"])
        except (KeyError, ValueError) as error:
            raise Refused("enrolment_forged", field="state") from error
        check_mac(given, key, question.said(), decision.said())
        if decision.state is EnrolmentState.REJECTED:
            raise Ended("enrolment_rejected", field="enrolment")
        if not self._told:
            self._told = True
            self._tell(comparison_code(hello, welcome, state.nonce))
        if decision.state is EnrolmentState.PENDING:
            return None
        return self._finish(state, welcome, key, decision)

    def _finish(self, state: Underway, welcome: Welcome, key: bytes, decision: Decision) -> Done:
        """Everything is written before the state says so: a power cut in between asks once more."""
        identity = NodeIdentity(node_id(decision.node), SigningKey(state.seed), _roots(welcome), decision.at)
        self._folder.write("identity.json", identity.to_text())
        self._folder.write("password", broker_password(key) + "\n")
        if decision.authority:
            self._folder.write("ca.pem", decision.authority)
        words = {"form": "loa-broker-1", "url": decision.broker, "username": decision.node}
        self._folder.write("broker.json", json.dumps(words, indent=2) + "\n")
        done = Done(state.label.name, decision.node)
        self._folder.keep(done)
        return done


def _roots(welcome: Welcome) -> RootSet:
    try:
        roots = decode(welcome.roots)
    except WireRefusal as error:
        raise Refused("enrolment_forged", field="roots") from error
    if not isinstance(roots, RootSet):
        raise Refused("enrolment_forged", field="roots")
    return roots


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: object) -> bytes:
    try:
        return base64.b64decode(str(text), validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from error
