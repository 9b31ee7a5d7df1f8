"""Notices by e-mail and webhook. Apprise knows how; of its hundred schemes four are let through, with few arguments.

An address holds secrets: a password, or the path of a webhook. What is shown, logged and recorded of it holds none.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urlsplit

from loa.errors import Refused

if TYPE_CHECKING:
    from apprise import Apprise

MAIL, WEB = frozenset({"mailto", "mailtos"}), frozenset({"json", "jsons"})
SCHEMES = MAIL | WEB
LONGEST_ADDRESS = 1000
PATIENCE_S = 10
_MAIL_ARGUMENTS = frozenset({"smtp", "from", "name", "to", "cc", "bcc", "reply", "mode", "user", "pass"})
"""Apprise knows more, and some of them read files of this machine (keys for PGP)."""
_FORCED = {"cto": str(PATIENCE_S), "rto": str(PATIENCE_S), "redirect": "no"}
_LEAST_SECRET = 4
_ONE_AT_A_TIME = threading.Lock()
"""What went wrong is read from apprise's log, which is one for all."""


def checked_address(text: str, *, field: str = "url") -> str:
    """An address that may be told, as it was given. Raises Refused(bad_notice_address)."""
    parts = _parts(text, field)
    asked = dict(parse_qsl(parts.query, keep_blank_values=True))
    if parts.scheme in MAIL:
        unknown = sorted(name for name in asked if name.lower() not in _MAIL_ARGUMENTS)
    else:  # a header begins with a plus sign, which is a blank to others
        unknown = sorted(name for name in asked if name[:1] not in ("+", " "))
    if unknown:
        raise _bad(field, f"{unknown[0]} is not taken")
    with _ONE_AT_A_TIME, _quiet():
        known = _plugin(text) is not None
    if not known:
        raise _bad(field, "it names nobody, or no server")
    return text


def shown_of(text: str) -> str:
    """What may be shown: the scheme, the server, for e-mail the recipients. No password, no path, no argument."""
    parts = _parts(text, "url")
    where = f"{parts.hostname}{f':{parts.port}' if parts.port else ''}"
    if parts.scheme in WEB:
        return f"{parts.scheme}://{where}/…"
    asked = dict(parse_qsl(parts.query))
    to = asked.get("to") or parts.path.strip("/").replace("/", ", ") or f"{parts.username or ''}@{parts.hostname}"
    return f"{parts.scheme}://{asked.get('smtp', where)} → {to}"


def deliver(text: str, title: str, body: str) -> str:
    """Try once, for 10 s a step at most; "" where it was taken, else what went wrong, without secrets.

    Takes its time: call it in a thread.
    """
    with _ONE_AT_A_TIME, _quiet() as heard:
        plugin = _plugin(text)
        taken = plugin is not None and plugin.notify(body=body, title=title)
    return "" if taken else _without_secrets("; ".join(heard)[:400] or "not taken", text)


@contextmanager
def _quiet() -> Iterator[list[str]]:
    """What apprise warns of; none of it comes into a log, for it holds addresses."""
    heard: list[str] = []

    def kept(record: logging.LogRecord) -> bool:
        if record.levelno >= logging.WARNING:
            heard.append(record.getMessage())
        return False

    loggers = [logging.getLogger(name) for name in ("apprise", "urllib3.connectionpool")]
    for logger in loggers:
        logger.addFilter(kept)
    try:
        yield heard
    finally:
        for logger in loggers:
            logger.removeFilter(kept)


def _parts(text: str, field: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        port_is_good = parts.port is None or parts.port > 0
    except ValueError as error:
        raise _bad(field, "not an address") from error
    if parts.scheme.lower() not in SCHEMES:
        raise _bad(field, f"{parts.scheme[:20] or 'no scheme'}://")
    if len(text) > LONGEST_ADDRESS or not parts.hostname or not port_is_good or not text.isprintable():
        raise _bad(field, "not an address")
    return parts._replace(scheme=parts.scheme.lower())


def _bad(field: str, reason: str) -> Refused:
    return Refused("bad_notice_address", field=field, limit="mailto, mailtos, json, jsons", reason=reason)


def _plugin(text: str) -> "Apprise | None":
    """Apprise with this address alone. Whatever was given: it waits for so long, and follows no redirect."""
    from apprise import Apprise, AppriseAsset  # takes half a second

    parts = urlsplit(text)
    kept = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name not in _FORCED]
    query = urlencode([*kept, *_FORCED.items()], quote_via=quote)
    asset = AppriseAsset(plugin_paths=[], secure_logging=True, async_mode=False, app_id="Loa", app_desc="Loa")
    made = Apprise(asset=asset)
    added = made.add(parts._replace(query=query).geturl())
    return made if added and len(made) == 1 else None


def _without_secrets(words: str, text: str) -> str:
    parts = urlsplit(text)
    secrets = {parts.password, parts.username, *parts.path.split("/"), *(v for _, v in parse_qsl(parts.query))}
    for secret in sorted((one for one in secrets if one and len(one) >= _LEAST_SECRET), key=len, reverse=True):
        words = words.replace(secret, "…").replace(quote(secret), "…")
    return words
