"""Local input at a station or a box: who holds its key types a PIN and a code, and a stored message sounds there.

No centre and no link are asked. What is given is signed under a mandate of the roots; each node judges it, and tells
the centre of it when that is there again.
"""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from devices.local.key import StationKey
from devices.local.pins import LONGEST, Tries
from devices.protocol.local import LONGEST_LOCAL_MS
from devices.protocol.local_orders import local_play, local_stop
from loa.clock import Clock
from loa.entropy import Entropy, new_id
from loa.errors import OperatorNeeded
from loa.units import Id16, InstantMs

if TYPE_CHECKING:
    from devices.links.serial_port import OpenPort, Port

_log = logging.getLogger("loa.local")
STOP_CODE = 0
HIGHEST_CODE = 254
MOST_REMEMBERED = 16
REOPEN_S = 5.0
_MOST_LINE_BYTES = 64


@dataclass(frozen=True)
class Answer:
    """What the input is answered. `text` is plain ASCII: a keypad's display has no other letters."""

    text: str
    done: bool = False


class LocalInput:
    """Takes what is typed: `PIN*CODE#` sounds the stored message CODE, `PIN*0#` ends what was sounded here.

    say: puts a sealed order on the line, or gives it to the box; False where there was no room.
    state: a file for the count of wrong PINs, and for what was sounded here and is not over.
    """

    def __init__(
        self,
        key: StationKey,
        clock: Clock,
        entropy: Entropy,
        say: Callable[[bytes], bool],
        *,
        state: Path | None = None,
    ) -> None:
        self._key, self._clock, self._entropy, self._say = key, clock, entropy, say
        self._state = state
        wrong, self._sounded = _kept(state)
        """What was sounded here, with the instant at which it is over."""
        self.tries = Tries(wrong).restored(clock.monotonic_s())
        self.wrong_in_all = 0
        """Since the start; for whoever looks after the station."""

    def typed(self, line: str) -> Answer:
        """One line, without its end."""
        digits, star, rest = line.strip().removesuffix("#").partition("*")
        if not star or not digits.isdecimal() or not rest.isdecimal() or len(digits) > LONGEST or len(rest) > 3:
            return Answer("PIN*MA#")
        now_s = self._clock.monotonic_s()
        locked_s = self.tries.locked_for_s(now_s)
        if locked_s > 0:
            return Answer(f"KHOA {locked_s:.0f} GIAY / LOCKED")
        who = next((pin.name for pin in self._key.pins if pin.fits(digits)), None)
        if who is None:
            self.wrong_in_all += 1
            self.tries = self.tries.after_wrong(now_s)
            self._keep()
            _log.warning("local input: a wrong PIN (%d in a row)", self.tries.wrong)
            return Answer("SAI PIN / WRONG PIN")
        if self.tries.wrong:
            self.tries = Tries()
            self._keep()
        return self._stop(who) if int(rest) == STOP_CODE else self._sound(int(rest), who)

    def _sound(self, code: int, who: str) -> Answer:
        if code > HIGHEST_CODE:
            return Answer("KHONG CO MA / NO SUCH CODE")
        made = new_id(self._entropy)
        now = self._clock.now_ms()
        order = local_play(self._key.key, self._key.mandate, code, made, now)
        said = self._say(order)
        # Also where there was no room: it is said again, so it may sound yet, and must end by the next PIN*0#.
        self._sounded = [*self._still_on(), (made, InstantMs(now + LONGEST_LOCAL_MS))][-MOST_REMEMBERED:]
        self._keep()
        if not said:
            return Answer("DUONG DAY BAN / LINE BUSY")
        _log.warning("local input: %s sounds %d", who, code)
        return Answer("DA GUI RA LOA / SENT", done=True)

    def _stop(self, who: str) -> Answer:
        now = self._clock.now_ms()
        self._sounded = self._still_on()
        if not self._sounded:
            return Answer("KHONG CO GI / NOTHING")
        # None is forgotten before its time: whoever still hears one types it again.
        for one, _until in reversed(self._sounded):
            self._say(local_stop(self._key.key, self._key.mandate, one, new_id(self._entropy), now))
        _log.warning("local input: %s ends what was sounded", who)
        return Answer("DA GUI LENH DUNG / STOP SENT", done=True)

    def _still_on(self) -> list[tuple[Id16, InstantMs]]:
        now = self._clock.now_ms()
        return [(one, until) for one, until in self._sounded if until > now]

    def _keep(self) -> None:
        """On the disk before anything is answered: the plug may be pulled at once."""
        if self._state is None:
            return
        lines = [str(self.tries.wrong), *(f"{one.hex()} {until}" for one, until in self._sounded)]
        fresh = self._state.with_name(f"{self._state.name}.new")
        try:
            with fresh.open("w") as file:
                file.write("\n".join(lines) + "\n")
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self._state)
        except OSError as error:  # a full disk keeps nobody from warning the village
            _log.warning("local input: %s cannot be kept: %s", self._state, error)


class Keypad:
    """A serial line with a keypad, or a terminal, on it: lines in, answers out. `start`, then it runs until `stop`."""

    def __init__(
        self, path: str, baud: int, take: Callable[[str], Answer], clock: Clock, open_port: "OpenPort"
    ) -> None:
        self._path, self._baud, self._take, self._clock = path, baud, take, clock
        self._open_port = open_port
        self._port: Port | None = None
        self._line = bytearray()
        self._stopped = False

    def start(self) -> None:
        self._open()

    def stop(self) -> None:
        self._stopped = True
        if self._port is not None:
            self._port.close()

    def _open(self) -> None:
        if self._stopped:
            return
        try:
            self._port = self._open_port(self._path, self._baud, self._received, self._lost)
        except OperatorNeeded as error:
            _log.warning("local input: %s", error)
            self._clock.call_later(REOPEN_S, self._open)

    def _lost(self, reason: str) -> None:
        _log.warning("local input: %s is gone: %s", self._path, reason)
        self._port = None
        self._line.clear()
        self._clock.call_later(REOPEN_S, self._open)

    def _received(self, data: bytes) -> None:
        for byte in data:
            if byte not in b"#\r\n":
                self._line = self._line[-_MOST_LINE_BYTES:]
                self._line.append(byte)
                continue
            line, self._line = bytes(self._line), bytearray()
            if line and self._port is not None:
                answer = self._take(line.decode("ascii", "replace"))
                self._port.write(answer.text.encode("ascii", "replace") + b"\r\n")


def state_file(key_file: Path) -> Path:
    """Where its state lies: in the folder that systemd gave the service, which may not write beside its key."""
    folder = os.environ.get("STATE_DIRECTORY")
    return key_file.with_suffix(".tries") if not folder else Path(folder.partition(":")[0]) / "local.tries"


def _kept(state: Path | None) -> tuple[int, list[tuple[Id16, InstantMs]]]:
    """Wrong PINs in a row, and what was sounded."""
    if state is None:
        return 0, []
    try:
        count, *lines = state.read_text().splitlines()
        pairs = [line.split() for line in lines]
        return max(0, int(count)), [(Id16(bytes.fromhex(one)), InstantMs(int(until))) for one, until in pairs]
    except (OSError, ValueError):
        return 0, []
