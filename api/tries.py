"""Tries of a release passphrase, counted by account."""

from fastapi import Request

from api.asking import Desk
from api.gate import ApiLimits, Throttle


def count_try(request: Request, desk: Desk, *, forgive: bool = False) -> None:
    """Each try of a passphrase counts, and so does each new one, which costs as much. Raises Refused(rate_limited).

    forgive: it was right; forget those before.
    """
    throttle: Throttle = request.app.state.throttle
    limits: ApiLimits = request.app.state.limits
    if forgive:
        throttle.forgive(limits.sign_in_rate, "passphrase", desk.account)
    else:
        throttle.count(limits.sign_in_rate, "passphrase", desk.account)
