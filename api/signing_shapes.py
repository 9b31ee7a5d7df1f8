"""How people sign what they approve or cancel, over HTTP."""

import base64
from typing import Annotated

from pydantic import Field

from api.alert_shapes import KindWord
from api.shapes import Asked, Hex32
from controller import passphrases
from controller.alert_desk import Detached, Hand, OwnKey
from loa.errors import Refused


class SignedBy(Asked):
    """One of the two: `passphrase` of a key that is kept here, or an `approval` made on your own device."""

    passphrase: Annotated[str, Field(max_length=passphrases.LONGEST_PASSPHRASE)] | None = Field(
        default=None, description="The release passphrase of a key of yours"
    )
    key: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")] | None = Field(
        default=None, description="Which key; yours for this kind, unless given"
    )
    approval: Annotated[str, Field(max_length=400)] | None = Field(
        default=None, description="COSE_Sign1 over exactly those bytes, payload detached, in base64"
    )

    def hand(self) -> Hand:
        """Raises Refused(field_required, bad_approval)."""
        if (self.passphrase is None) == (self.approval is None):
            raise Refused("field_required", field="passphrase")
        if self.passphrase is not None:
            return OwnKey(self.passphrase, self.key)
        try:
            return Detached(base64.b64decode((self.approval or "").encode("ascii"), validate=True))
        except ValueError as error:
            raise Refused("bad_approval", field="approval", reason="not base64") from error


class NewApproval(SignedBy):
    kind: KindWord = Field(description="What you approve, live or drill: another than the alert's is refused")
    body_sha256: Hex32 = Field(description="Of the body that you looked at; another is refused")
