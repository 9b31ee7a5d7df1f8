"""What a box's owner may set. Everything that the controller decides comes as settings over the wire instead."""

from dataclasses import dataclass

from devices.protocol.timekeeping import STEADY_WAIT_S


@dataclass(frozen=True, kw_only=True)
class NodeConfig:
    rtc_trusted: bool = False
    """The box has a battery clock: its time counts until the controller's is known."""
    audio_limit_bytes: int | None = None
    """The most that renditions may take; None: as much as the disk has room for."""
    journal_limit_bytes: int = 2 * 1024 * 1024
    health_interval_s: int | None = None
    """Instead of the settings' interval, for trials."""
    time_wait_s: float = STEADY_WAIT_S
    """Between two exchanges of clocks once the drift is known. Longer ones let the estimate wander with the weather."""
