"""A node's identity: its name, its key and the roots pinned at enrolment, as a small JSON text."""

import json
from dataclasses import dataclass

from devices.protocol.envelope import decode, encode
from devices.protocol.keys import SigningKey, key_id
from devices.protocol.refusal import WireRefusal
from devices.protocol.trust import RootSet
from loa.errors import LoaError, Refused
from loa.names import node_id
from loa.units import InstantMs, NodeId

FORM = "loa-node-1"


@dataclass(frozen=True)
class NodeIdentity:
    """What a box is given at enrolment and keeps secret."""

    node: NodeId
    key: SigningKey
    roots: RootSet
    pinned_at: InstantMs = InstantMs(0)
    """When, by the centre's clock: nothing signed counts here as of before, whatever the box forgets. 0: not known."""

    def to_text(self) -> str:
        """JSON; holds the secret seed."""
        return (
            json.dumps(
                {
                    "form": FORM,
                    "node": self.node,
                    "key_id": self.key.key_id.hex(),
                    "public_key": self.key.public_key.hex(),
                    "seed": self.key.seed.hex(),
                    "roots": encode(self.roots).hex(),
                    "pinned_at": self.pinned_at,
                    "root_key_ids": [key_id(root.public_key).hex() for root in self.roots.roots],
                },
                indent=2,
            )
            + "\n"
        )

    @classmethod
    def from_text(cls, text: str) -> "NodeIdentity":
        """Raises Refused(bad_key_file)."""
        try:
            raw = json.loads(text)
            if not isinstance(raw, dict) or raw.get("form") != FORM:
                raise Refused("bad_key_file", field="form", limit=FORM, detail="not a node's identity file")
            roots = decode(bytes.fromhex(raw["roots"]))
            pinned_at = InstantMs(int(raw.get("pinned_at", 0)))
            identity = cls(node_id(raw["node"]), SigningKey(bytes.fromhex(raw["seed"])), _root_set(roots), pinned_at)
        except (ValueError, TypeError, KeyError, AttributeError, WireRefusal, LoaError) as error:
            raise Refused("bad_key_file", limit=FORM, detail=str(error)[:100]) from error
        if raw.get("public_key") != identity.key.public_key.hex():
            raise Refused("bad_key_file", field="public_key", limit=FORM, detail="seed and public key do not match")
        return identity


def _root_set(message: object) -> RootSet:
    if not isinstance(message, RootSet):
        raise ValueError("the roots are not a root set")
    return message
