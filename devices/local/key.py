"""A station's own key, the mandate that the roots signed for it, and the PINs that open it: one small file."""

import json
from dataclasses import dataclass
from pathlib import Path

from devices.local.pins import Pin
from devices.protocol.keys import SigningKey, key_id
from devices.protocol.local_orders import read_mandate
from devices.protocol.refusal import WireRefusal
from loa.errors import Refused

FORM = "loa-station-1"


@dataclass(frozen=True)
class StationKey:
    """The station's key with the mandate that the roots signed for it, and the PINs that open it."""

    key: SigningKey
    mandate: bytes
    pins: tuple[Pin, ...]

    def to_text(self) -> str:
        """JSON; holds the secret seed."""
        pins = [{"name": pin.name, "salt": pin.salt.hex(), "hash": pin.hash.hex()} for pin in self.pins]
        form = {"form": FORM, "public_key": self.key.public_key.hex(), "seed": self.key.seed.hex(),
                "mandate": self.mandate.hex(), "pins": pins}  # fmt: skip
        return json.dumps(form, indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_text(cls, text: str) -> "StationKey":
        """Raises Refused(bad_key_file)."""
        try:
            raw = json.loads(text)
            if raw["form"] != FORM:
                raise ValueError("not a station's key file")
            made = cls(
                SigningKey(bytes.fromhex(raw["seed"])), bytes.fromhex(raw["mandate"]),
                tuple(Pin(one["name"], bytes.fromhex(one["salt"]), bytes.fromhex(one["hash"])) for one in raw["pins"]),
            )  # fmt: skip
            if made.mandate and key_id(read_mandate(made.mandate).public_key) != made.key.key_id:
                raise ValueError("the mandate is for another key")
        except (ValueError, TypeError, KeyError, WireRefusal) as error:
            raise Refused("bad_key_file", field="local.key_file", limit=FORM, detail=str(error)[:100]) from error
        return made


def read_station_key(path: Path) -> StationKey:
    """Raises Refused(bad_key_file)."""
    try:
        return StationKey.from_text(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Refused("bad_key_file", field="local.key_file", limit=FORM, detail=str(error)) from error
