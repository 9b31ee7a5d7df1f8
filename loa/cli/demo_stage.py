"""The stage is set: a centre with its page, and a province of loudspeakers that are all in contact."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from controller.accounts import FirstAccount
from controller.centre import Centre
from controller.services.nodes import NodeView
from devices.protocol.reports import Health
from loa.cli.demo_scene import (
    ACCOUNT,
    NODES,
    WIRED,
    SceneOptions,
    enrol_province,
    open_centre,
    open_province,
)
from loa.cli.demo_screen import Screen
from loa.clock import Clock
from loa.entropy import Entropy
from loa.errors import OperatorNeeded
from simulators.places import LOUDSPEAKERS
from simulators.tap import AudioTap
from simulators.village import Village

_CONTACT_S = 60.0
_SETTLE_S = 20.0
_GOOD_TIME_MS = 60
"""A request and its reply alone take twice this on the bus."""


@contextlib.asynccontextmanager
async def centre_up(
    options: SceneOptions, screen: Screen, clock: Clock, entropy: Entropy
) -> AsyncIterator[tuple[Centre, str, FirstAccount | None]]:
    """The centre, its page's URL, and what is shown once of the first account. Raises as `open_centre`."""
    words = screen.words
    screen.title(words("subtitle", nodes=NODES, wireless=NODES - WIRED, wired=WIRED))
    screen.phase("phase_setup")
    async with contextlib.AsyncExitStack() as stack:
        with screen.step("centre") as step:
            centre, url, first = await stack.enter_async_context(open_centre(options, clock, entropy))
            step.finish(words("centre_done", url=url))
        with screen.step("broker") as step:
            step.finish(f"{centre.broker.name if centre.broker else ''} {centre.broker_url}")
        with screen.step("page") as step:
            if first is not None:
                step.finish(words("sign_in", account=ACCOUNT, password=first.password, secret=first.code_secret))
        yield centre, url, first


@contextlib.asynccontextmanager
async def province_up(
    centre: Centre, heard: Path, screen: Screen, clock: Clock, entropy: Entropy
) -> AsyncIterator[tuple[Village, AudioTap]]:
    """Every loudspeaker enrolled, switched on, in contact and on time. Raises OperatorNeeded(demo_no_contact)."""
    words = screen.words
    async with contextlib.AsyncExitStack() as stack:
        with screen.step("province") as step:
            identities = await enrol_province(centre, entropy)
            village, tap = await stack.enter_async_context(open_province(centre, identities, heard, clock, entropy))
            deadline = clock.monotonic_s() + _CONTACT_S
            while len(ready := [one for one in await centre.nodes() if _in_contact(one)]) < NODES:
                step.update(words("province_wait", ready=len(ready), nodes=NODES), len(ready) / NODES)
                if clock.monotonic_s() > deadline:
                    missing = sorted({plan.node for plan in LOUDSPEAKERS} - {one.id for one in ready})
                    raise OperatorNeeded("demo_no_contact", nodes=", ".join(missing))
                await clock.sleep(0.1)
            settled_s = clock.monotonic_s() + _SETTLE_S
            while clock.monotonic_s() < settled_s and (error := worst_time_error_ms(village)) > _GOOD_TIME_MS:
                step.update(words("province_settles", error=error))
                await clock.sleep(0.1)
            worst = max(abs(box.clock.skew.offset_ms) for box in village.boxes) / 1000
            step.finish(words("province_done", nodes=NODES, worst=worst))
        yield village, tap


def worst_time_error_ms(village: Village) -> int:
    """The widest bound that any node gives for its estimate of the centre's clock."""
    return max(error if (error := box.node.status().time_error_ms) is not None else 9999 for box in village.boxes)


def _in_contact(view: NodeView) -> bool:
    """Placed, trusting, and told the time."""
    health = view.health
    return (
        isinstance(health, Health)
        and health.placement_version >= view.placement_version
        and health.trust_version > 0
        and health.time_error_ms is not None
    )
