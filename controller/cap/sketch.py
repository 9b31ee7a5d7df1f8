"""What can be said of an alert at a glance, even of one that is refused: its raw texts, bounded, on one line."""

from dataclasses import dataclass
from typing import Final

from controller.cap.elements import NAMESPACES, Node
from controller.cap.parsing import DEFAULT_LANGUAGE
from controller.cap.values import instant
from loa.errors import Refused
from loa.units import DurationMs, InstantMs

MAX_SHOWN: Final = 500


@dataclass(frozen=True)
class Sketch:
    """Raw and unchecked; "" where it is not there. languages: one an info."""

    identifier: str = ""
    sender: str = ""
    sent: str = ""
    version: str = ""
    status: str = ""
    msg_type: str = ""
    languages: tuple[str, ...] = ()
    ends: tuple[str, ...] = ()
    """`expires` of each info, "" where it has none."""

    def expires(self, default_life_ms: DurationMs) -> tuple[InstantMs | None, bool]:
        """When the last info ends, and whether that is the default; None where that cannot be said."""
        said = [found for text in self.ends if (found := _instant(text)) is not None]
        sent = _instant(self.sent)
        left_out = sent is not None and any(not text for text in self.ends) and self.msg_type != "Cancel"
        default = InstantMs(sent + default_life_ms) if sent is not None and left_out else None
        if default is not None and default > max(said, default=InstantMs(default - 1)):
            return default, True
        return (max(said), False) if said else (None, False)


def sketched(node: Node) -> Sketch:
    """Of an element that may lack anything, and may be in any namespace."""
    infos = node.all("info")
    return Sketch(
        identifier=_first(node, "identifier"),
        sender=_first(node, "sender"),
        sent=_first(node, "sent"),
        version=NAMESPACES.get(node.namespace, ""),
        status=_first(node, "status"),
        msg_type=_first(node, "msgType"),
        languages=tuple(_first(info, "language") or DEFAULT_LANGUAGE for info in infos),
        ends=tuple(_first(info, "expires") for info in infos),
    )


def _first(node: Node, name: str) -> str:
    text = next(iter(node.texts(name)), "")
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text[:MAX_SHOWN])


def _instant(text: str) -> InstantMs | None:
    try:
        return instant(text, "") if text else None
    except Refused:
        return None
