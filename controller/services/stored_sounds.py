"""What lies at every node before it is needed: sirens, the drill announcement, recordings in languages without a voice.

Stored sounds have codes in an area's settings. People name sirens by their code; a standing recording is found by its
event and language.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import String, cast, or_
from sqlmodel import Session, col, select

from audio.shipped import LONGEST_MS, SHORTEST_MS
from audio.voices import primary
from controller.permissions import Permission
from controller.services.alert_languages import spoken_at
from controller.services.areas import lies_in, place_for, place_seen
from controller.services.bulletins import NewRendition, ship_bulletin
from controller.services.context import Changed, Context, Outgoing, note_deed
from controller.services.settings import issue_settings, places_with_settings, settings_of
from controller.services.settings_changes import MAX_SIRENS, store_siren
from controller.services.sight import bulletin_row
from controller.tables import Area, Bulletin, Node, Rendition, StandingRecording
from devices.protocol.common import DRILL_ANNOUNCEMENT
from loa.errors import Refused
from loa.names import AreaPath
from loa.units import Digest, DurationMs

FIRST_STANDING = 64
"""Codes below are for sirens that people name; from here on, standing recordings."""
LONGEST_EVENT = 80


@dataclass(frozen=True)
class StoredSound:
    """One sound at the nodes of an area. `event` and `language` of a standing recording."""

    code: int
    title: str
    digest: Digest
    language: str
    duration_ms: DurationMs
    bulletin: str | None
    event: str | None = None


def event_key(event: str) -> str:
    """An event as standing recordings are looked up by."""
    return " ".join(event.casefold().split())[:LONGEST_EVENT]


def stored_sounds(session: Session, ctx: Context, area: str) -> tuple[StoredSound, ...]:
    """What nodes of an area keep, by code. Raises Refused(not_found)."""
    place = place_seen(session, ctx, area)
    standing = {
        row.code: row
        for row in session.exec(select(StandingRecording).order_by(col(StandingRecording.area)))
        if AreaPath(row.area).covers(place)
    }
    found = []
    for siren in settings_of(session, ctx, place).sirens:
        digest, row = siren.rendition.digest, standing.get(siren.code)
        kept = session.get(Rendition, digest.hex())
        named = _bulletin_of(session, digest)
        found.append(
            StoredSound(
                siren.code, named.title if named else "", digest, kept.language if kept else siren.rendition.language,
                siren.rendition.duration_ms, named.id if named else None,
                row.event if row is not None and row.digest == digest.hex() else None,
            )
        )  # fmt: skip
    return tuple(sorted(found, key=lambda one: one.code))


def keep_siren(session: Session, ctx: Context, *, area: str, code: int, bulletin: str) -> Changed[int]:
    """As `store_siren`; a siren lasts 3 to 10 s, and its code leaves those of standing recordings alone.

    Raises Refused as `store_siren`; siren_length.
    """
    if FIRST_STANDING <= code < DRILL_ANNOUNCEMENT:
        raise Refused("bad_value", field="code", limit=f"1–{FIRST_STANDING - 1}, {DRILL_ANNOUNCEMENT}", reason=code)
    row = bulletin_row(session, ctx, bulletin)
    lasts_ms = sum(kept.duration_ms for one in row.renditions if (kept := session.get(Rendition, one)) is not None)
    if not SHORTEST_MS <= lasts_ms <= LONGEST_MS:
        raise Refused("siren_length", field="bulletin", limit="3–10", value=f"{lasts_ms / 1000:.1f}")
    return Changed(code, store_siren(session, ctx, area=area, code=code, bulletin=bulletin).outgoing)


def keep_standing(
    session: Session, ctx: Context, *, area: str, bulletin: str, event: str, language: str
) -> Changed[int]:
    """Have all nodes of an area keep an approved bulletin for this event and language; the code it got.

    Raises Refused as `store_siren`; field_required, language_differs, too_large.
    """
    place, key, tag = place_for(session, ctx, area, Permission.SETTINGS_MANAGE), event_key(event), language.casefold()
    for field, value in (("event", key), ("language", tag)):
        if not value:
            raise Refused("field_required", field=field)
    row = bulletin_row(session, ctx, bulletin)
    spoken_in = {kept.language for one in row.renditions if (kept := session.get(Rendition, one)) is not None}
    if spoken_in and {primary(one) for one in spoken_in} != {primary(tag)}:
        raise Refused("language_differs", field="language", limit=tag, value=", ".join(sorted(spoken_in)))
    held = session.get(StandingRecording, (str(place), key, tag))
    code = held.code if held is not None else _free_code(session, ctx)
    changed = store_siren(session, ctx, area=place, code=code, bulletin=bulletin)
    if held is None:
        held = StandingRecording(area=place, event=key, language=tag, code=code, bulletin=bulletin, digest="")
    held.bulletin, held.digest = bulletin, changed.value.rendition.digest.hex()
    session.add(held)
    session.flush()
    note_deed(session, ctx, "standing", "area", place, detail=f"{code} {key} {tag} {held.digest}")
    return Changed(code, changed.outgoing)


def remove_sound(session: Session, ctx: Context, *, area: str, code: int) -> Changed[None]:
    """Nodes of an area, and of every place inside, give up a stored sound; without 255 no drill sounds there.

    Raises Refused(not_found, not_permitted).
    """
    place = place_for(session, ctx, area, Permission.SETTINGS_MANAGE)
    outgoing, found = Outgoing(), False
    for where in sorted({place, *(one for one in places_with_settings(session) if place.covers(one))}):
        held = settings_of(session, ctx, where)
        kept = tuple(one for one in held.sirens if one.code != code)
        if kept != held.sirens:
            found = True
            outgoing += issue_settings(session, ctx, replace(held, area=where, sirens=kept))
    if not found:
        raise Refused("not_found", field="code", value=code)
    for row in session.exec(select(StandingRecording).where(StandingRecording.code == code)):
        if place.covers(row.area):
            session.delete(row)
    note_deed(session, ctx, "siren", "area", place, detail=f"{code} removed")
    return Changed(None, outgoing)


def ship_sounds(
    session: Session, ctx: Context, made: Mapping[int, tuple[str, NewRendition]], *, anew: bool = False
) -> Changed[tuple[int, ...]]:
    """Store what comes with the program at every node of the province; the codes that got a sound.

    anew: also where the province has a sound of its own. Raises Refused(not_permitted), Fault(storage_full).
    """
    ctx.demand(Permission.SETTINGS_MANAGE, ctx.province)
    taken = {one.code for one in settings_of(session, ctx).sirens}
    wanted = [code for code in sorted(made) if anew or code not in taken]
    outgoing = Outgoing()
    for code in wanted:
        title, rendition = made[code]
        bulletin = ship_bulletin(session, ctx, title=title, rendition=rendition)
        outgoing += store_siren(session, ctx, area=ctx.province, code=code, bulletin=bulletin).outgoing
    return Changed(tuple(wanted), outgoing)


def missing_at(session: Session, ctx: Context, areas: Iterable[AreaPath], nodes: Iterable[str], code: int) -> bool:
    """Whether somewhere in a target a siren's code means nothing, so that its nodes would leave the siren out."""
    homes = session.exec(select(Node.area).where(col(Node.id).in_(list(nodes)))).all()
    places = {*areas, *(AreaPath(one) for one in homes)}
    inside = {one for one in places_with_settings(session) if any(place.covers(one) for place in places)}
    return any(all(one.code != code for one in settings_of(session, ctx, place).sirens) for place in places | inside)


def standing_for(
    session: Session, events: Sequence[str], languages: Iterable[str], places: Sequence[AreaPath]
) -> dict[str, StandingRecording]:
    """By language, the recording that lies at nodes of these places: the first event that has one, the widest area."""
    keys = [event_key(one) for one in events if one.strip()]
    rows = session.exec(select(StandingRecording).where(col(StandingRecording.event).in_(keys))).all()
    near = [row for row in rows if any(one.covers(row.area) or AreaPath(row.area).covers(one) for one in places)]
    near.sort(key=lambda row: (keys.index(row.event), len(AreaPath(row.area).codes), row.area))
    found: dict[str, StandingRecording] = {}
    for language in dict.fromkeys(languages):
        same = [row for row in near if row.language == language.casefold()]
        alike = [row for row in near if primary(row.language) == primary(language)]
        if same or alike:
            found[language] = (same or alike)[0]
    return found


def languages_at(session: Session, areas: Sequence[AreaPath], nodes: Sequence[str]) -> tuple[str, ...]:
    """What is spoken in a target, the most widely spoken first. A place without an answer speaks as what holds it."""
    homes = session.exec(select(Node.area).where(col(Node.id).in_(nodes))).all() if nodes else []
    places = [*areas, *(AreaPath(one) for one in homes)]
    around = {str(one) for place in places for one in place.with_ancestors()}
    rows = session.exec(
        select(Area.path, Area.languages).where(or_(lies_in(Area.path, places), col(Area.path).in_(around)))
    )
    said = {AreaPath(path): tuple(languages) for path, languages in rows}
    counts: dict[str, int] = {}
    for path in sorted(said):
        if any(place.covers(path) for place in places):
            for language in spoken_at(path, said):
                counts[language] = counts.get(language, 0) + 1
    return tuple(sorted(counts, key=lambda one: (-counts[one], one)))


def _bulletin_of(session: Session, digest: Digest) -> Bulletin | None:
    """The newest bulletin that is this sound alone."""
    named = cast(col(Bulletin.renditions), String) == f'["{digest.hex()}"]'
    return session.exec(select(Bulletin).where(named).order_by(col(Bulletin.created_at).desc()).limit(1)).first()


def _free_code(session: Session, ctx: Context) -> int:
    taken = {row.code for row in session.exec(select(StandingRecording))}
    for place in {ctx.province, *places_with_settings(session)}:
        taken |= {one.code for one in settings_of(session, ctx, place).sirens}
    for code in range(FIRST_STANDING, DRILL_ANNOUNCEMENT):
        if code not in taken:
            return code
    raise Refused("too_many", field="sirens", limit=MAX_SIRENS)
