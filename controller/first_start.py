"""The first start of a province: sounds that its nodes will keep, then the account that sets everything else up."""

import logging

from controller.accounts import FirstAccount, ensure_first_account, has_accounts
from controller.centre import Centre
from controller.services.context import CONTROLLER
from loa.errors import OperatorNeeded
from loa.problems import explain

log = logging.getLogger("loa.centre")


async def first_start(centre: Centre) -> FirstAccount | None:
    """Three sirens and the drill announcement, and the first account; None at every later start, which changes nothing.

    The account comes last. Where the process is killed in between, the next start is the first one still; and nobody
    can have removed a sound before there was an account, so what an administrator removed stays removed.
    """
    if await centre.reading(has_accounts):
        return None
    try:
        await centre.alerts.install_sounds(account=CONTROLLER)
    except OperatorNeeded as error:  # the sirens are kept by then; the announcement takes a voice
        said = explain(error, "en")
        log.warning("No drill announcement yet, so no drill sounds: %s. %s", said.title, said.remedy)
        log.warning("Once that is seen to: loa alert sounds shipped")
    return await centre.unit_of_work(lambda session: ensure_first_account(session, centre))
