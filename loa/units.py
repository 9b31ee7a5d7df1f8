"""Units as types, so that a second is never mistaken for a millisecond."""

from typing import NewType

InstantMs = NewType("InstantMs", int)
"""Milliseconds since 1970-01-01T00:00:00 UTC, leap seconds not counted (as POSIX does)."""

DurationMs = NewType("DurationMs", int)
"""A length of time in milliseconds."""

ByteCount = NewType("ByteCount", int)
"""A number of bytes."""

BytesPerSecond = NewType("BytesPerSecond", float)
"""A transfer rate in bytes a second."""

Lufs = NewType("Lufs", float)
"""Integrated loudness, ITU-R BS.1770 / EBU R 128."""

DbTp = NewType("DbTp", float)
"""True peak in decibels relative to full scale, ITU-R BS.1770 annex 2."""

Percent = NewType("Percent", int)
"""A whole number from 0 to 100."""

NodeId = NewType("NodeId", str)
"""A node's name on the wire: 1 to 32 of ``[a-z0-9-]``. Checked by `loa.names.node_id`."""

StationId = NewType("StationId", str)
"""A station's name on the wire, in the same form as a node's."""

Id16 = NewType("Id16", bytes)
"""A 16-byte identifier of a broadcast or an order."""

Digest = NewType("Digest", bytes)
"""A SHA-256 digest, 32 bytes."""

KeyId = NewType("KeyId", bytes)
"""The first 8 bytes of the SHA-256 of an Ed25519 public key."""
