"""Whether an alert was seen before: a rule over what is remembered of earlier ones."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from enum import StrEnum

from controller.cap.model import Alert
from loa.units import Digest, InstantMs

Name = tuple[str, str, InstantMs]
"""sender, identifier, sent: what CAP tells alerts apart by."""


class Seen(StrEnum):
    """What the memory says of an alert."""

    NEW = "new"
    KNOWN = "known"
    OTHER = "other"
    """Its name was used before, for something else."""


def content_digest(alert: Alert) -> Digest:
    """Of all that the alert says. The same alert in another encoding, order or wrapper has the same.

    What is not said is left out, so that digests that are kept outlive a field that the model learns.
    """
    said = json.dumps(_said(asdict(alert)), sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return Digest(hashlib.sha256(said.encode("ascii")).digest())


def _said(value: object) -> object:
    if isinstance(value, dict):
        return {name: _said(one) for name, one in value.items() if one not in (None, "", ())}
    if isinstance(value, tuple):
        return [_said(one) for one in value]
    return value


def seen(alert: Alert, memory: Mapping[Name, Digest]) -> Seen:
    """Hold an alert against the digests that are remembered by name."""
    remembered = memory.get(alert.name)
    if remembered is None:
        return Seen.NEW
    return Seen.KNOWN if remembered == content_digest(alert) else Seen.OTHER
