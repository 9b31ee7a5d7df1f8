"""The tables, one aggregate a file. Importing this package registers all of them with SQLModel.metadata."""

from controller.tables.accounts import Account, AccountPost, ApiToken, RecoveryCode
from controller.tables.alert_making import AlertLevelTable, AlertTemplateRow, StandingRecording
from controller.tables.alerts import Alert, AlertApproval
from controller.tables.areas import Area
from controller.tables.boards import AlertBoard, AlertEscalation, EscalationStep, Notice, NoticeAddress, OrderRoute
from controller.tables.broadcasts import Broadcast, BroadcastNode, OwedOrder
from controller.tables.bulletins import Bulletin, Rendition
from controller.tables.cap import CapAlert, CapLink, CapSource
from controller.tables.documents import StateDocument
from controller.tables.enrolments import AreaMove, BrokerLogin, Enrolment, EnrolmentLabel, NodeKey
from controller.tables.nodes import Node, NodeState, Station
from controller.tables.people_keys import PersonKey
from controller.tables.plans import PlanMark
from controller.tables.programmes import Programme
from controller.tables.receipts import ReceiptRow
from controller.tables.record import RecordEntry, RecordHeadRow
from controller.tables.records import IdempotentReply

__all__ = [
    "Account",
    "AccountPost",
    "Alert",
    "AlertApproval",
    "AlertBoard",
    "AlertEscalation",
    "AlertLevelTable",
    "AlertTemplateRow",
    "ApiToken",
    "Area",
    "AreaMove",
    "Broadcast",
    "BroadcastNode",
    "BrokerLogin",
    "Bulletin",
    "CapAlert",
    "CapLink",
    "CapSource",
    "Enrolment",
    "EnrolmentLabel",
    "EscalationStep",
    "IdempotentReply",
    "Node",
    "NodeKey",
    "NodeState",
    "Notice",
    "NoticeAddress",
    "OrderRoute",
    "OwedOrder",
    "PersonKey",
    "PlanMark",
    "Programme",
    "ReceiptRow",
    "RecordEntry",
    "RecordHeadRow",
    "RecoveryCode",
    "Rendition",
    "StandingRecording",
    "StateDocument",
    "Station",
]
