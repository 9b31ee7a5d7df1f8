"""The record: who did what, from where, under which key, and where it was heard; some of it, or all as a proof."""

import tempfile
from collections.abc import Iterator
from datetime import datetime
from typing import IO, Annotated

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from pydantic import Field
from sqlmodel import Session

from api.asking import Cursor, DeskHere, Limit
from api.needs import needs
from api.problems import documented
from api.shapes import Page, Shown, Text, from_cursor, moment, to_cursor
from controller.chain import Entry
from controller.permissions import Permission
from controller.services import record, record_export
from controller.services.context import Context

router = APIRouter(prefix="/api/v1/record", tags=["record"])
_IN_MEMORY = 1 << 20


class HeardShown(Shown):
    """Where a broadcast was heard, as receipts had said by then."""

    outcomes: dict[str, int] = Field(description="Nodes by outcome")
    receipts: int
    sha256: str = Field(description="Over all receipts about it, hex")


class MarkShown(Shown):
    """A head of the record in short."""

    number: int
    mark: str = Field(description="The beginning of the entry's hash, hex")
    forks: int = Field(description="How often the record had been restored by then")


class EntryShown(Shown):
    number: int
    at: datetime
    account: str = Field(description="A person; `loa` is the controller itself, `roots` who holds the roots")
    origin: str = Field(description="An address; `local` is the server itself")
    key: str = Field(description="Ids of the keys under which it went out, 16 hex digits each")
    verb: str
    object_kind: str
    object_id: str
    detail: str
    forks: int
    heard: HeardShown | None
    lost: MarkShown | None = Field(description="Of a restore: the head of the lost branch that a node told of")
    hash: str = Field(description="SHA-256, hex; the next entry names it")


class ToldHead(Shown):
    """The head that a node says it was told."""

    node: str
    head: MarkShown
    held: bool = Field(description="Whether the record still has that entry")


def _shown(entry: Entry, hashed: bytes) -> EntryShown:
    heard, known = entry.heard, entry.known
    return EntryShown(
        number=entry.number,
        at=moment(entry.at),
        account=entry.account,
        origin=entry.origin,
        key=entry.key.hex(),
        verb=entry.verb,
        object_kind=entry.object_kind,
        object_id=entry.object_id,
        detail=entry.detail,
        forks=entry.forks,
        heard=None
        if heard is None
        else HeardShown(
            outcomes={one.outcome: one.nodes for one in heard.outcomes},
            receipts=heard.receipts,
            sha256=heard.digest.hex(),
        ),
        lost=None if known is None else MarkShown(number=known.number, mark=known.mark.hex(), forks=known.forks),
        hash=hashed.hex(),
    )


@router.get("", operation_id="list_record", responses=documented("bad_cursor"))
@needs(Permission.RECORD_READ)
async def list_entries(
    desk: DeskHere,
    *,
    verb: Annotated[Text | None, Query(description="issue, recall, heard, unknown, restore, …")] = None,
    account: Annotated[Text | None, Query(description="Whose deeds")] = None,
    object_id: Annotated[Text | None, Query(description="Of what: a broadcast's id, a node's name …")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[EntryShown]:
    """Entries of the record, the newest first."""
    after = from_cursor(cursor, int)
    desk.everywhere(Permission.RECORD_READ)
    found = await desk.read(
        lambda session, _: record_export.entries(
            session, before=after[0] if after else None, verb=verb, account=account, object_id=object_id,
            limit=limit + 1,
        )
    )  # fmt: skip
    shown = [_shown(*one) for one in found[:limit]]
    return Page(items=shown, next_cursor=to_cursor(shown[-1].number) if len(found) > limit else None)


@router.get(
    "/export",
    operation_id="export_record",
    response_class=StreamingResponse,
    responses=documented() | {200: {"content": {"application/jsonl": {"schema": {"type": "string"}}}}},
)
@needs(Permission.RECORD_READ)
async def export_record(desk: DeskHere) -> StreamingResponse:
    """The whole record with its signed heads, as a file that `loa audit verify` proves offline."""
    file = tempfile.SpooledTemporaryFile(_IN_MEMORY, mode="w+", encoding="utf-8", newline="")  # noqa: SIM115

    desk.everywhere(Permission.RECORD_READ)

    def write(session: Session, context: Context) -> None:
        record_export.export(session, context, file.write)

    await desk.read(write)
    file.seek(0)
    return StreamingResponse(
        _pieces(file),
        media_type="application/jsonl",
        headers={"Content-Disposition": 'attachment; filename="loa-record.jsonl"'},
    )


def _pieces(file: IO[str]) -> Iterator[str]:
    with file:
        while piece := file.read(65_536):
            yield piece


@router.get("/heads", operation_id="list_told_heads", responses=documented())
@needs(Permission.RECORD_READ)
async def list_heads(desk: DeskHere) -> list[ToldHead]:
    """Which head of the record each node says it was told: what a restored or rewritten record cannot change."""

    desk.everywhere(Permission.RECORD_READ)

    def look(session: Session, _context: Context) -> list[ToldHead]:
        return [
            ToldHead(
                node=node,
                head=MarkShown(number=mark.number, mark=mark.mark.hex(), forks=mark.forks),
                held=record.is_ours(session, mark),
            )
            for node, mark in record_export.told_heads(session)
        ]

    return await desk.read(look)
