"""A serial port on the event loop: bytes in as they come, bytes out without blocking. pyserial opens and sets it."""

import asyncio
import os
from collections.abc import Callable
from typing import Protocol

import serial

from loa.errors import OperatorNeeded


class Port(Protocol):
    """An open port: bytes out; bytes in go to what it was opened with."""

    def write(self, data: bytes) -> None: ...

    def close(self) -> None: ...


OpenPort = Callable[[str, int, Callable[[bytes], None], Callable[[str], None]], Port]
"""Path, baud, who gets the bytes, who is told that the port is gone. Raises OperatorNeeded(serial_unavailable)."""


class SerialPort:
    """An open port, 8N1. `received` gets bytes; `lost` is called once, with the reason, when the port is gone."""

    def __init__(self, path: str, baud: int, received: Callable[[bytes], None], lost: Callable[[str], None]) -> None:
        """Raises OperatorNeeded(serial_unavailable)."""
        try:
            self._serial = serial.Serial(path, baud, timeout=0)
        except (OSError, ValueError) as error:  # SerialException is an OSError
            raise OperatorNeeded("serial_unavailable", field="port", value=path, reason=str(error)) from error
        self._received = received
        self._lost = lost
        self._out = bytearray()
        self._open = True
        self._fd: int = self._serial.fileno()
        os.set_blocking(self._fd, False)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._fd, self._readable)

    def write(self, data: bytes) -> None:
        """Hand bytes to the port; what it does not take at once waits here."""
        if not self._open:
            return
        waiting = bool(self._out)
        self._out += data
        if not waiting:
            self._writable()

    def close(self) -> None:
        if not self._open:
            return
        self._open = False
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        self._serial.close()

    def _readable(self) -> None:
        try:
            data = os.read(self._fd, 4096)
        except BlockingIOError:
            return
        except OSError as error:
            self._gone(str(error))
            return
        if data:
            self._received(data)
        else:
            self._gone("closed at the other end")

    def _writable(self) -> None:
        try:
            while self._out:
                del self._out[: os.write(self._fd, self._out)]
            self._loop.remove_writer(self._fd)
        except BlockingIOError:
            self._loop.add_writer(self._fd, self._writable)
        except OSError as error:
            self._gone(str(error))

    def _gone(self, reason: str) -> None:
        if self._open:
            self.close()
            self._lost(reason)
