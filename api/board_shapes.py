"""What an alert's board looks like over HTTP."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from api.shapes import Page, Shown, moment, moment_or_none
from controller.ladder import Line, Place
from controller.ladder_words import code_of, end_words, place_words, rung_words, step_words
from controller.services.boards import Board
from controller.tables import Alert

StateWord = Literal["unreached", "partly", "reached"]


class BothWords(Shown):
    vi: str
    en: str


class RouteShown(Shown):
    """By which topic it was said, as far as it was handed to the broker."""

    route: Literal["area", "node"]
    name: str = Field(description="The area's path, or the node's name")
    first_at: datetime
    last_at: datetime
    times: int


class TotalsShown(Shown):
    """Counts over what you see of it."""

    nodes: int
    rungs: dict[str, int] = Field(
        description="waiting: nodes that nothing was sent to; sent, received, started: those that came so far or "
        "further; finished: those that said so; sounded: those with evidence. From received on by signed receipts alone"
    )
    ends: dict[str, int] = Field(description="confirmed, cancelled, expired, unreachable")
    open: int = Field(description="Nodes of which something is awaited")
    reached: int = Field(description="Nodes that signed that they began to sound")
    villages: int
    villages_unreached: int
    people: int | None = Field(description="By the villages' populations, where they are known")
    people_reached: int | None = Field(description="In villages where at least one loudspeaker began to sound")
    first_sound_at: datetime | None


class PlaceShown(Shown):
    path: str
    name: str
    population: int | None
    languages: list[str]
    nodes: int
    reached: int
    state: StateWord
    step: str = Field(description="What to do next, as a code")
    step_words: BothWords


class BoardShown(Shown):
    """The board, the villages where nobody was reached first, by people and then by nodes."""

    alert: str
    title: str
    kind: Literal["live", "drill"]
    at: datetime
    released_at: datetime | None
    expires_at: datetime
    recalled: bool
    link_up: bool = Field(description="Whether the centre reaches its broker")
    closed_at: datetime | None
    closed_by: str | None
    may_be_closed: bool = Field(description="Each node is confirmed, cancelled, expired or unreachable now")
    totals: TotalsShown
    routes: list[RouteShown]
    villages: Page[PlaceShown]


class NodeLine(Shown):
    """One node. Instants from received_at on are what it signed."""

    node: str
    area: str
    station: str | None = Field(description="Of a wired node: the station that it is behind")
    rung: str
    rung_words: BothWords
    end: str | None
    reason: str | None = Field(description="Why it is unreachable")
    refusal: str | None = Field(description="The code by which it refused")
    end_words: BothWords
    since: datetime | None
    reached: bool
    sent_at: datetime | None = Field(description="First handed to the broker, by any route")
    sent_again_at: datetime | None = Field(description="Last sent on its own topic")
    attempts: int = Field(description="How often it was sent again on its own topic")
    received_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    sounded_at: datetime | None
    heard_at: datetime | None = Field(description="Last signed word of any kind, by our clock")
    step: str
    step_words: BothWords


class SentAgain(Shown):
    nodes: int = Field(description="To so many it goes out now, on their own topics and their villages'")


def totals_shown(board: Board) -> TotalsShown:
    one = board.totals
    return TotalsShown(
        nodes=one.nodes, rungs=one.rungs, ends=one.ends, open=one.open, reached=one.reached, villages=one.villages,
        villages_unreached=one.villages_unreached, people=one.people, people_reached=one.people_reached,
        first_sound_at=moment_or_none(one.first_sound_at),
    )  # fmt: skip


def board_shown(board: Board, villages: Page[PlaceShown], *, may_be_closed: bool) -> BoardShown:
    alert: Alert = board.alert
    return BoardShown(
        alert=alert.id,
        title=alert.title,
        kind="live" if alert.kind == 1 else "drill",
        at=moment(board.facts.now),
        released_at=moment_or_none(alert.released_at),
        expires_at=moment(board.facts.expires_at),
        recalled=board.facts.recalled,
        link_up=board.facts.link_up,
        closed_at=None if board.closed is None else moment(board.closed.closed_at),
        closed_by=None if board.closed is None else board.closed.closed_by,
        may_be_closed=may_be_closed,
        totals=totals_shown(board),
        routes=[
            RouteShown(
                route="node" if area.startswith("@") else "area", name=area.lstrip("@"), first_at=moment(first),
                last_at=moment(last), times=times,
            )
            for area, first, last, times in board.routes
        ],
        villages=villages,
    )  # fmt: skip


def place_shown(place: Place) -> PlaceShown:
    return PlaceShown(
        path=place.path, name=place.name, population=place.population, languages=list(place.languages),
        nodes=len(place.lines), reached=place.reached, state=place.state, step=place.step,
        step_words=BothWords(vi=place_words(place, "vi"), en=place_words(place, "en")),
    )  # fmt: skip


def line_shown(line: Line, board: Board) -> NodeLine:
    facts = line.facts
    return NodeLine(
        node=facts.node,
        area=facts.area,
        station=facts.station,
        rung=line.rung.name.lower(),
        rung_words=BothWords(vi=rung_words(line.rung, "vi"), en=rung_words(line.rung, "en")),
        end=line.end,
        reason=line.reason,
        refusal=code_of(line) or None,
        end_words=BothWords(vi=end_words(line, "vi"), en=end_words(line, "en")),
        since=moment_or_none(line.since),
        reached=line.reached,
        sent_at=moment_or_none(facts.sent_at),
        sent_again_at=moment_or_none(board.sent.get(facts.node)),
        attempts=facts.attempts,
        received_at=moment_or_none(facts.received_at),
        started_at=moment_or_none(facts.started_at),
        finished_at=moment_or_none(facts.finished_at),
        sounded_at=moment_or_none(facts.sounded_at),
        heard_at=moment_or_none(facts.heard_at),
        step=line.step,
        step_words=BothWords(
            vi=step_words(line.step, (line,), "vi"), en=step_words(line.step, (line,), "en")
        ),
    )  # fmt: skip
