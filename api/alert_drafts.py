"""What somebody asks for, as a draft that is spoken and composed: a template with its blanks filled, or words."""

from sqlmodel import Session

from api.alert_shapes import NewAlert, kind_of
from controller.permissions import Permission
from controller.services.alert_making import Draft, Words
from controller.services.alert_templates import fill, template, text_in
from controller.services.alert_texts import Template
from controller.services.context import Context
from controller.services.sight import targets_for
from controller.services.stored_sounds import languages_at
from devices.protocol.alerts import LONGEST_ALERT_MS
from loa.errors import Refused
from loa.units import InstantMs

ALWAYS = "vi"


def draft_of(session: Session, ctx: Context, asked: NewAlert) -> Draft:
    """Raises Refused(field_required, not_found, not_permitted, empty_target, blank_empty, unknown_field, too_large)."""
    one = None if asked.template is None else template(session, asked.template)
    if one is None and asked.blanks:
        raise Refused("field_required", field="template")
    title, words = asked.title, [Words(said.language, said.text) for said in asked.words]
    if one is not None:
        own = {said.language.casefold() for said in words}
        wanted = [tag for tag in _languages(session, ctx, asked, one) if tag.casefold() not in own]
        filled = fill(one, asked.blanks, wanted)
        title = title or filled.title
        words = [*(Words(language, text) for language, text in filled.texts.items()), *words]
        if not words:  # a siren alone would say nothing of what the template is for, its blanks unasked
            raise Refused("field_required", field="languages")
    event, severity, urgency = (
        given or (getattr(one, name) if one is not None else None)
        for name, given in (("event", asked.event), ("severity", asked.severity), ("urgency", asked.urgency))
    )
    for field, value in (("title", title), ("event", event or title), ("severity", severity), ("urgency", urgency)):
        if not value:
            raise Refused("field_required", field=field)
    lasts_ms = asked.lasts_ms or (None if asked.direct is None else LONGEST_ALERT_MS)
    return Draft(
        title=title or "", kind=kind_of(asked.kind), event=event or title or "", severity=severity or "",
        urgency=urgency or "", target_areas=tuple(asked.target_areas), target_nodes=tuple(asked.target_nodes),
        words=tuple(words), expires_at=None if lasts_ms is None else InstantMs(ctx.now + lasts_ms),
        direct=asked.direct.rule() if asked.direct is not None else None,
        references=tuple(asked.updates), source=None, template=asked.template, bulletins=tuple(asked.bulletins),
        siren=asked.siren, repeats=asked.repeats, gap_ms=asked.gap_ms, volume=asked.volume,
    )  # fmt: skip


def _languages(session: Session, ctx: Context, asked: NewAlert, one: Template) -> list[str]:
    """Those asked for, which the template must have; else Vietnamese and what is spoken there, as far as it has it."""
    if asked.languages is not None:
        for place, language in enumerate(asked.languages):
            if text_in(one, language) is None:
                raise Refused("not_found", field=f"languages.{place}", value=language)
        return asked.languages
    targets = targets_for(session, ctx, Permission.ALERT_COMPOSE, asked.target_areas, asked.target_nodes)
    return list(dict.fromkeys([ALWAYS, *languages_at(session, targets.areas, targets.nodes)]))
