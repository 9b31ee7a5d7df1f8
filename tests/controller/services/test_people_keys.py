"""People's keys in the tables, and what the roots did on the record."""

from dataclasses import replace
from pathlib import Path

import pytest
from sqlmodel import Session, select

from controller import keyfiles
from controller.keyfiles import CentreKeys
from controller.peoplekeys import Cost, approve, seal_seed, unseal_seed
from controller.rootwork import new_appointment
from controller.services import emergencies, people_keys, trust
from controller.services.alert_bodies import AlertForm, compose_alert
from controller.services.context import Context, Outgoing
from controller.services.people_keys import PersonKeyView
from controller.tables import Account, PersonKey, RecordEntry
from devices.protocol.keys import SigningKey, key_id
from devices.protocol.trust import Appointment, Power
from loa.errors import Refused
from loa.names import AreaPath
from loa.precedence import Kind, Precedence
from loa.units import InstantMs
from tests.controller.services.conftest import World

LIGHT = Cost(8, 1, 1)
WORDS, PASSWORD = "thuyền về bến cũ", "mat-khau-dang-nhap"
CO_TO = "quang-ninh/co-to"


def refused(code: str, world: World, work: object) -> None:
    with pytest.raises(Refused) as caught:
        world.run(work)  # type: ignore[arg-type]
    assert caught.value.code == code


@pytest.fixture
def people(world: World) -> World:
    """Lan and Bình have accounts."""

    def work(session: Session) -> None:
        for name in ("lan", "binh"):
            session.add(Account(name=name, password_hash="x", created_at=1))

    world.run(work)
    return world


def make(
    world: World, account: str = "lan", kind: Kind = Kind.LIVE, area: str = CO_TO
) -> tuple[PersonKeyView, SigningKey]:
    ctx = replace(world.ctx, account=account)
    key = SigningKey(ctx.entropy(32))
    wished = new_appointment(
        holder=account, public_key=key.public_key, area=AreaPath(area), ceiling=Precedence.EMERGENCY,
        powers=Power.APPROVE, kind=kind, now_ms=ctx.now, entropy=ctx.entropy,
    )  # fmt: skip
    sealed = seal_seed(key.seed, WORDS, ctx.entropy, cost=LIGHT)
    return (
        world.run(lambda session: people_keys.keep_person_key(session, ctx, sealed_seed=sealed, wished=wished)),
        key,
    )


def test_a_key_is_kept_sealed_and_given_to_its_owner_alone(people: World) -> None:
    view, key = make(people)
    ctx, other = people.ctx, replace(people.ctx, account="binh")
    assert (view.account, view.kind, view.public_key) == ("lan", Kind.LIVE, key.public_key)
    sealed = people.run(lambda session: people_keys.sealed_seed_of(session, ctx, view.id))
    assert unseal_seed(sealed, WORDS) == key.seed
    refused("not_found", people, lambda session: people_keys.sealed_seed_of(session, other, view.id))
    refused("not_found", people, lambda session: people_keys.retire_person_key(session, other, view.id))
    refused(
        "drill_mismatch", people, lambda session: people_keys.sealed_seed_of(session, ctx, view.id, kind=Kind.DRILL)
    )
    columns = people.run(lambda session: session.exec(select(PersonKey)).one().model_dump())
    assert not any(key.seed in value for value in columns.values() if isinstance(value, bytes))


def test_an_area_that_is_not_there_and_too_many_at_once(people: World) -> None:
    with pytest.raises(Refused, match="not_found"):
        make(people, area="quang-ninh/nowhere")
    make(people)
    first, _ = make(people, kind=Kind.DRILL)
    make(people, kind=Kind.DRILL)
    with pytest.raises(Refused, match="too_many"):
        make(people, kind=Kind.DRILL)
    people.run(lambda session: people_keys.retire_person_key(session, people.ctx, first.id))
    make(people, kind=Kind.DRILL)
    assert len(people.run(lambda session: people_keys.list_person_keys(session, account="lan"))) == 4
    assert people.run(lambda session: people_keys.list_person_keys(session, account="binh")) == ()


def test_another_passphrase_and_who_was_quicker(people: World) -> None:
    view, key = make(people)
    ctx = people.ctx
    before = people.run(lambda session: people_keys.sealed_seed_of(session, ctx, view.id))
    after = seal_seed(key.seed, "cá lên bờ ăn trăng", ctx.entropy, cost=LIGHT)
    people.run(lambda session: people_keys.seal_anew(session, ctx, view.id, before=before, after=after))
    refused(
        "content_changed", people,
        lambda session: people_keys.seal_anew(session, ctx, view.id, before=before, after=before),
    )  # fmt: skip
    now = people.run(lambda session: people_keys.sealed_seed_of(session, ctx, view.id))
    assert unseal_seed(now, "cá lên bờ ăn trăng") == key.seed


def test_a_retired_key_is_gone_for_good(people: World) -> None:
    view, _ = make(people)
    ctx = people.ctx
    retired = people.run(lambda session: people_keys.retire_person_key(session, ctx, view.id))
    people.clock.at += 5
    assert people.run(lambda session: people_keys.retire_person_key(session, ctx, view.id)) == retired
    refused("key_retired", people, lambda session: people_keys.sealed_seed_of(session, ctx, view.id))
    assert people.run(lambda session: session.exec(select(PersonKey.sealed_seed)).one()) == b""
    held = [retired.wished]
    revocation = people_keys.revocation_of(retired, held, people.ctx.now)
    assert revocation.ids == (key_id(retired.public_key), retired.wished.id)


@pytest.fixture
def keys(people: World, tmp_path: Path) -> CentreKeys:
    """A centre's keys, its trust document issued."""
    made = keyfiles.create_centre(tmp_path / "keys", people.ctx.province, people.clock.now_ms(), people.ctx.entropy)
    people.ctx = replace(people.ctx, keys=made.controller)
    renew(people, made)
    return made


def renew(world: World, keys: CentreKeys) -> Outgoing:
    fresh = keyfiles.load_centre(keys.directory)
    return world.run(
        lambda session: trust.renew_trust(
            session, world.ctx, appointments=fresh.appointments, revocations=fresh.revocations,
            root_sets=fresh.root_sets,
        )
    )  # fmt: skip


def by_roots(world: World, keys: CentreKeys, view: PersonKeyView, *, sole: bool = False) -> Appointment:
    wished = view.wished
    return keyfiles.appoint(
        keys.directory, holder=wished.holder, public_key=wished.public_key, area=wished.area, ceiling=wished.ceiling,
        powers=Power(wished.powers), kind=wished.kind, sole=sole, now_ms=world.clock.now_ms(),
        entropy=world.ctx.entropy,
    )  # fmt: skip


def deeds(world: World) -> list[tuple[str, str]]:
    rows = world.run(lambda session: list(session.exec(select(RecordEntry).order_by(RecordEntry.number))))  # type: ignore[arg-type]
    return [(row.verb, row.detail) for row in rows if row.verb in ("appoint", "revoke", "replace_roots")]


def test_what_the_roots_did_is_on_the_record_once(people: World, keys: CentreKeys) -> None:
    view, _ = make(people)
    by_roots(people, keys, view, sole=True)
    renew(people, keys)
    renew(people, keys)
    people.clock.at += 86_400_000
    assert renew(people, keys).documents, "mandates are renewed daily"
    keyfiles.revoke(keys.directory, [key_id(view.public_key)], now_ms=people.clock.now_ms(), reason="left office")
    renew(people, keys)
    keyfiles.new_root_set(keys.directory, threshold=1, now_ms=people.clock.now_ms())
    renew(people, keys)
    assert deeds(people) == [
        ("appoint", "controller: order,documents,placement,service,renew in quang-ninh up to priority, live"),
        ("appoint", "lan: approve in quang-ninh/co-to up to emergency, live, ALONE"),
        ("revoke", "left office"),
        ("replace_roots", "1 of 3 must sign"),
    ]


def release(world: World, keys: CentreKeys, data: bytes, *approvals: bytes) -> str:
    roots = keyfiles.load_centre(keys.directory).roots
    return world.run(lambda session: emergencies.release_alert(session, world.ctx, data, approvals, roots=roots)).value


def test_a_sign_in_password_alone_makes_no_emergency(people: World, keys: CentreKeys) -> None:
    """Whoever has the account, the database and the controller's key still lacks the passphrase."""
    view, key = make(people)
    ctx = people.ctx
    form = AlertForm(target_areas=[CO_TO], siren=1)
    data = people.run(lambda session: compose_alert(session, ctx, form))
    sealed = people.run(lambda session: people_keys.sealed_seed_of(session, ctx, view.id))
    with pytest.raises(Refused, match="wrong_passphrase"):
        unseal_seed(sealed, PASSWORD)
    for approvals in ((), (approve(data, ctx.keys),), (approve(data, SigningKey(bytes(32))),)):
        with pytest.raises(Refused):
            release(people, keys, data, *approvals)
    approval = approve(data, SigningKey(unseal_seed(sealed, WORDS)))
    with pytest.raises(Refused, match="key_unknown"):
        release(people, keys, data, approval)
    by_roots(people, keys, view)
    renew(people, keys)
    assert release(people, keys, data, approval)
    assert key.public_key == view.public_key


def test_retired_and_revoked_a_key_releases_nothing_more(people: World, keys: CentreKeys) -> None:
    view, key = make(people)
    by_roots(people, keys, view)
    renew(people, keys)
    ctx = people.ctx
    form = AlertForm(target_areas=[CO_TO], siren=1)
    data = people.run(lambda session: compose_alert(session, ctx, form))
    retired = people.run(lambda session: people_keys.retire_person_key(session, ctx, view.id))
    held = keyfiles.read_appointments(keyfiles.load_centre(keys.directory).appointments)
    asked = people_keys.revocation_of(retired, held, InstantMs(people.clock.now_ms()))
    keyfiles.revoke(keys.directory, asked.ids, now_ms=asked.at, reason=asked.reason)
    renew(people, keys)
    with pytest.raises(Refused, match="key_revoked"):
        release(people, keys, data, approve(data, key))


def test_the_context_says_who(people: World) -> None:
    ctx: Context = replace(people.ctx, account="binh")
    view, _ = make(people, "binh")
    assert people.run(lambda session: people_keys.own_key(session, ctx, view.id)).account == "binh"
