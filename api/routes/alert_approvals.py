"""Alerts approved and cancelled by people, each with a key of their own.

No Idempotency-Key here: what is kept under one is a plain hash of the request, which holds a passphrase. An approval or
a cancel given twice is one anyhow.
"""

from fastapi import APIRouter, Request, Response

from api.alert_shapes import AlertDetail, ApprovalTaken, kind_of
from api.asking import DeskHere
from api.needs import needs
from api.problems import documented, language_of
from api.routes.alerts import AlertInPath, detail_of
from api.signing_shapes import NewApproval, SignedBy
from api.tries import count_try
from controller.permissions import Permission
from controller.services.alerts import Seen
from loa.errors import Refused
from loa.problems import Language, explain

router = APIRouter(prefix="/api/v1/alerts", tags=["alerts"])
_SIGNING = (
    "csrf", "not_found", "wrong_passphrase", "key_retired", "no_release_key", "not_your_key", "bad_approval",
    "drill_mismatch",
    "mandate_exceeded", "mandate_expired", "key_revoked", "key_unknown", "alert_over", "alert_expired",
    "field_required",
)  # fmt: skip
_RELEASED: dict[Language, str] = {"vi": "Đã phát.", "en": "Released."}
_ARMED: dict[Language, str] = {
    "vi": "Đã đủ người duyệt: tự phát khi nguồn báo.", "en": "Approved: it goes out when its source says so.",
}  # fmt: skip


@router.post(
    "/{alert}/approvals", operation_id="approve_alert",
    responses=documented(
        *_SIGNING, "fresh_sign_in_required", "fresh_code_required", "content_changed", "alert_altered", "withdrawn",
        "not_approved",
    ) | {202: {"model": ApprovalTaken, "description": "Kept; one more person has to approve it"}},
)  # fmt: skip
@needs(Permission.ALERT_RELEASE)
async def approve_alert(
    alert: AlertInPath, asked: NewApproval, request: Request, response: Response, desk: DeskHere
) -> ApprovalTaken:
    """Approve what you looked at. With enough approvals it is out when this returns, or, where it has a `direct` rule,
    waits for its source: 200. Otherwise 202: one more person is needed.

    Password and code must have been given within five minutes (`/session/step-up`); API tokens never do this.
    """
    hand = asked.hand()
    count_try(request, desk)
    seen = Seen(kind_of(asked.kind), asked.body_sha256)
    done = await desk.centre.alerts.approve(alert, seen, hand, account=desk.account)
    count_try(request, desk, forgive=True)
    language = language_of(request.headers.get("accept-language"))
    shown = await detail_of(desk, alert)
    if done.released:
        return ApprovalTaken(outcome="released", words=_RELEASED[language], alert=shown)
    if done.armed:
        return ApprovalTaken(outcome="armed", words=_ARMED[language], alert=shown)
    response.status_code = 202
    missing = explain(Refused("second_person_required", limit=2), language)
    return ApprovalTaken(outcome="second_person_required", words=f"{missing.title}. {missing.remedy}", alert=shown)


@router.post(
    "/{alert}/cancel", operation_id="cancel_alert", responses=documented(*_SIGNING, "alert_not_released"),
)  # fmt: skip
@needs(Permission.ALERT_CANCEL)
async def cancel_alert(alert: AlertInPath, asked: SignedBy, request: Request, desk: DeskHere) -> AlertDetail:
    """End a released alert everywhere, by one person's word: what is signed was prepared with it (`cancel_body`).

    No fresh code is asked for. Once more sends it again.
    """
    hand = asked.hand()
    count_try(request, desk)
    await desk.centre.alerts.cancel(alert, hand, account=desk.account)
    count_try(request, desk, forgive=True)
    return await detail_of(desk, alert)
