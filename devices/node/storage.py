"""What every storage has in common: which names it takes."""

import re

from loa.errors import Fault

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*(?:/[a-z0-9][a-z0-9.-]*)*\Z")
MAX_NAME = 200


def check_name(name: str) -> str:
    """The name itself, where it is one that stays inside its folder. Raises Fault(bad_storage_name)."""
    if len(name) > MAX_NAME or _NAME.match(name) is None:
        raise Fault("bad_storage_name", field="name", limit="[a-z0-9.-] joined by /", value=name[:100])
    return name
