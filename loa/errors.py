"""The errors of the house, branched by who must act.

LoaError
├── Refused         the caller must change what was asked (bad input, no permission, conflict)
├── OperatorNeeded  a person at the centre or in the field must act (unreachable, airtime lost)
└── Fault           the maintainer must act (a broken assumption, a broken file, a full disk)

Each carries a stable code; `loa.problems` holds the words for it in Vietnamese and English.
"""


class LoaError(Exception):
    """Root of all errors that this project raises on purpose.

    code: stable, lower-case, with underscores. field: the input at fault, dotted, or None.
    limit: the bound that was crossed, in words or a number. values: fill the text's blanks.
    """

    def __init__(
        self,
        code: str,
        *,
        field: str | None = None,
        limit: str | int | float | None = None,
        **values: object,
    ) -> None:
        super().__init__(code)
        self.code = code
        self.field = field
        self.limit = limit
        self.values: dict[str, object] = values

    def __str__(self) -> str:
        parts = [self.code]
        if self.field is not None:
            parts.append(f"field={self.field}")
        if self.limit is not None:
            parts.append(f"limit={self.limit}")
        parts += [f"{name}={value}" for name, value in self.values.items()]
        return " ".join(parts)


class Refused(LoaError):
    """The caller asked for something that cannot be had; asking again unchanged will not help."""


class OperatorNeeded(LoaError):
    """Something in the world needs a person: a loudspeaker out of reach, airtime lost."""


class Fault(LoaError):
    """Something of ours is broken; the maintainer must act."""
