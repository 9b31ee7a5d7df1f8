"""A payload byte by byte, with what each byte is for: the worked examples of docs/protocol.md."""

from typing import Any

import cbor2

from devices.protocol.envelope import CLASSES
from devices.protocol.fields import KEY_TYPE, KEY_VERSION, FieldPlan, plan_of
from tests.protocol.shapes import CLASSES as PARTS

_WIDTH = 20


def annotated(payload: bytes) -> str:
    """Lines of: offset, hex, meaning."""
    walk = _Walk(payload)
    if payload[:1] == b"\xd2":
        walk.sign1()
    else:
        walk.message(0, len(payload), 0)
    return "\n".join(walk.lines)


class _Walk:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.lines: list[str] = []

    def say(self, start: int, end: int, depth: int, words: str) -> None:
        for at in range(start, max(end, start + 1), _WIDTH):
            part = self.data[at : min(end, at + _WIDTH)]
            self.lines.append(f"{at:5d}  {part.hex():<{2 * _WIDTH}}  {'  ' * depth}{words}".rstrip())
            words = ""

    def head(self, at: int) -> tuple[int, int, int]:
        """Major type, argument, position after the head."""
        first = self.data[at]
        width = 1 << ((first & 0x1F) - 24) if first & 0x1F > 23 else 0
        argument = int.from_bytes(self.data[at + 1 : at + 1 + width], "big") if width else first & 0x1F
        return first >> 5, argument, at + 1 + width

    def sign1(self, start: int = 0, depth: int = 0) -> None:
        self.say(start, start + 1, depth, "tag 18: COSE_Sign1")
        self.say(start + 1, start + 2, depth, "array of 4")
        _, length, at = self.head(start + 2)
        self.say(start + 2, at, depth + 1, f"protected header, {length} bytes:")
        self.say(at, at + 1, depth + 2, "map of 2")
        self.say(at + 1, at + 3, depth + 3, "1 alg: -8 EdDSA")
        self.say(at + 3, at + 5, depth + 3, "4 kid: 8 bytes")
        self.say(at + 5, at + 13, depth + 3, "key id")
        self.say(at + 13, at + 14, depth + 1, "unprotected header: empty map")
        if self.data[at + 14] == 0xF6:
            end = at + 15
            self.say(at + 14, end, depth + 1, "payload: nil, it comes beside")
        else:
            _, length, body = self.head(at + 14)
            self.say(at + 14, body, depth + 1, f"payload, {length} bytes:")
            end = body + length
            self.message(body, end, depth + 2)
        self.say(end, end + 2, depth + 1, "signature, 64 bytes:")
        self.say(end + 2, end + 66, depth + 2, "Ed25519 over Sig_structure")

    def message(self, start: int, end: int, depth: int) -> None:
        raw: Any = cbor2.loads(self.data[start:end])
        self.map(start, depth, CLASSES[raw[KEY_TYPE]], header=True)

    def map(self, at: int, depth: int, cls: type[Any], *, header: bool = False) -> int:
        _, count, after = self.head(at)
        self.say(at, after, depth, f"map of {count}: {cls.__name__}")
        plans = {plan.key: plan for plan in plan_of(cls)}
        at = after
        for _ in range(count):
            _, key, value = self.head(at)
            if header and key in (KEY_TYPE, KEY_VERSION):
                _, number, end = self.head(value)
                words = f"0 type: {number} {cls.__name__}" if key == KEY_TYPE else f"1 version: {number}"
                self.say(at, end, depth + 1, words)
                at = end
            else:
                at = self.value(at, value, depth + 1, plans[key])
        return at

    def value(self, start: int, at: int, depth: int, plan: FieldPlan) -> int:
        """`start` is where the key begins, `at` the value."""
        major, count, after = self.head(at)
        name = f"{plan.key} {plan.name}"
        if major == 4:
            self.say(start, after, depth, f"{name}: array of {count}")
            for _ in range(count):
                after = self.element(after, depth + 1, plan)
            return after
        if major == 5:
            self.say(start, at, depth, f"{name}:")
            return self.map(at, depth + 1, _part(plan))
        end = after + count if major in (2, 3) else after
        if major == 2:
            self.say(start, after, depth, f"{name}: {count} bytes")
            if plan.name == "alert_body":
                self.message(after, end, depth + 1)
            else:
                self.say(after, end, depth + 1, "")
        else:
            self.say(start, end, depth, f"{name}: {self.told(at, end, plan)}")
        return end

    def element(self, at: int, depth: int, plan: FieldPlan) -> int:
        major, count, after = self.head(at)
        if major == 5:
            return self.map(at, depth, _part(plan))
        end = after + count if major in (2, 3) else after
        if plan.name == "approvals":
            self.say(at, after, depth, f"{count} bytes: COSE_Sign1")
            self.sign1(after, depth + 1)
            return end
        self.say(at, end, depth, self.told(at, end, plan) if major != 2 else f"{count} bytes")
        return end

    def told(self, at: int, end: int, plan: FieldPlan) -> str:
        value: Any = cbor2.loads(self.data[at:end])
        if isinstance(value, str):
            return f'"{value}"'
        name = getattr(plan.form.read(value), "name", None) if plan.form.words.startswith("uint: ") else None
        return f"{value} {name.lower()}" if name else str(value)


def _part(plan: FieldPlan) -> type[Any]:
    return PARTS[plan.form.words.rpartition("map: ")[2].rstrip(")")]
