"""Questions to a centre over HTTPS, with nothing beyond Python's own library: boxes and stations ask few."""

import http.client
import json
from collections.abc import Mapping
from urllib.parse import urlsplit

from cryptography.exceptions import UnsupportedAlgorithm

from devices.links.tls import check_pin, unverified_context
from loa.errors import OperatorNeeded, Refused

_TIMEOUT_S = 15.0
_LONGEST_REPLY = 64 * 1024
Body = Mapping[str, object]


class HttpsCentre:
    """A centre by its address; its certificate's key must have the label's pin, whatever its date and name."""

    def __init__(self, address: str, tls_pin: bytes | None) -> None:
        self._address, self._pin = address, tls_pin

    def post(self, path: str, body: Body) -> Body:
        parts = urlsplit(self._address)
        host, port = parts.hostname or "", parts.port
        if parts.scheme == "https":
            secure = http.client.HTTPSConnection(host, port, timeout=_TIMEOUT_S, context=unverified_context())
        connection = secure if parts.scheme == "https" else http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
        try:
            connection.connect()
            if parts.scheme == "https" and self._pin is not None:
                check_pin(secure.sock.getpeercert(binary_form=True), self._pin)
            connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
            reply = connection.getresponse()
            found = json.loads(reply.read(_LONGEST_REPLY))
        except (OSError, http.client.HTTPException, ValueError, RecursionError, UnsupportedAlgorithm) as error:
            raise OperatorNeeded("centre_unreachable", value=self._address, reason=str(error)[:100]) from error
        finally:
            connection.close()
        if not isinstance(found, dict):
            raise OperatorNeeded("centre_unreachable", value=self._address, reason="not a centre's reply")
        if reply.status >= 400:
            code = str(found.get("code", "centre_unreachable"))
            raise Refused(code, field=str(found.get("field")), value=self._address, reason=reply.status)
        return found
