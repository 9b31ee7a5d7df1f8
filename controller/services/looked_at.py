"""What somebody looked at before they changed it, where the tables keep no version: the hash of its content."""

import hashlib
import json

from loa.errors import Refused


def content_hash(content: object) -> str:
    """Of what there is, in hex; "" of nothing."""
    if not content:
        return ""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def demand_looked_at(seen: str | None, now: str) -> None:
    """`seen`: the hash of what was looked at; None where nobody asks. Raises Refused(content_changed)."""
    if seen is not None and seen != now:
        raise Refused("content_changed", field="content_hash")
