"""The permission table and the rules that read it."""

import pytest

from controller.permissions import (
    FRESH_CODE,
    NEEDS_CODE,
    ROLES,
    SOUNDS,
    TOKEN_MAY,
    Authority,
    Permission,
    Post,
    Role,
    Scope,
    all_of,
    is_second_person,
    needs_code,
)
from loa.names import AreaPath

PROVINCE, HERE, THERE = AreaPath("quang-ninh"), AreaPath("quang-ninh/co-to"), AreaPath("quang-ninh/mong-cai")
VILLAGE = AreaPath("quang-ninh/co-to/thon-1")
P = Permission


def _one(role: Role, area: AreaPath = HERE, scope: Scope | None = None) -> Authority:
    return Authority((Post(role, area),), scope)


def test_a_post_reaches_its_area_and_what_lies_in_it() -> None:
    operator = _one(Role.OPERATOR)
    assert operator.may(P.BROADCAST_ISSUE, HERE, VILLAGE)
    assert not operator.may(P.BROADCAST_ISSUE, THERE)
    assert not operator.may(P.BROADCAST_ISSUE, HERE, THERE)
    assert not operator.may(P.BROADCAST_ISSUE, PROVINCE)
    assert not operator.may(P.BROADCAST_ISSUE, "quang-ninh/co-to-2"), "a name that only begins alike"
    assert not operator.may(P.ACCOUNT_MANAGE)
    assert not Authority().may(P.AREA_READ)


def test_several_areas_add_up_to_their_widest() -> None:
    both = Authority((Post(Role.TECHNICIAN, HERE), Post(Role.TECHNICIAN, THERE), Post(Role.READER, VILLAGE)))
    assert both.reach(P.NODE_TEST) == (HERE, THERE)
    assert both.reach(P.NODE_READ) == (HERE, THERE)
    assert both.may(P.NODE_TEST, HERE, THERE)


def test_wider_things_are_seen_where_they_concern_and_narrow_ones_from_above() -> None:
    reader = _one(Role.READER)
    assert reader.sees(P.BROADCAST_READ, around=[PROVINCE])
    assert reader.sees(P.BROADCAST_READ, around=[VILLAGE])
    assert not reader.sees(P.BROADCAST_READ, around=[THERE])
    assert not reader.sees(P.NODE_READ, inside=[PROVINCE])
    assert reader.sees(P.NODE_READ, inside=[VILLAGE])
    assert _one(Role.READER, PROVINCE).sees(P.NODE_READ, inside=[THERE])


def test_a_token_is_never_wider_than_its_owner() -> None:
    everything = frozenset(Permission)
    narrow = _one(Role.OPERATOR, HERE, Scope(everything, PROVINCE))
    assert narrow.reach(P.BROADCAST_ISSUE) == (HERE,)
    assert _one(Role.DUTY_OFFICER, PROVINCE, Scope(everything, HERE)).reach(P.BROADCAST_ISSUE) == (HERE,)
    assert _one(Role.OPERATOR, HERE, Scope(everything, THERE)).reach(P.BROADCAST_ISSUE) == ()
    assert _one(Role.OPERATOR, HERE, Scope(frozenset({P.NODE_READ}), HERE)).permissions() == {P.NODE_READ}
    assert Authority(all_of(PROVINCE).posts, Scope(everything, PROVINCE)).permissions() == TOKEN_MAY
    assert TOKEN_MAY.isdisjoint({P.ALERT_RELEASE, P.ALERT_CANCEL, P.BULLETIN_APPROVE, P.NODE_TEST, P.ACCOUNT_MANAGE})


@pytest.mark.parametrize("role", Role)
def test_whoever_can_make_a_sound_signs_in_with_a_code(role: Role) -> None:
    assert needs_code([role]) == bool(ROLES[role] & NEEDS_CODE)
    assert needs_code([role]) or ROLES[role].isdisjoint(SOUNDS | {P.BULLETIN_APPROVE, P.ACCOUNT_MANAGE})
    assert needs_code([role]) is (role not in {Role.AUDITOR, Role.READER})
    assert SOUNDS <= FRESH_CODE <= NEEDS_CODE


def test_every_permission_is_somebodys() -> None:
    assert {one for held in ROLES.values() for one in held} == set(Permission)
    assert set(ROLES) == set(Role)
    assert all_of(PROVINCE).may(P.BROADCAST_ISSUE, THERE)


def test_a_second_person_is_somebody_else() -> None:
    assert is_second_person("mai", "lan")
    assert not is_second_person("lan", "lan")
    assert not is_second_person("lan", "mai", "lan")
    assert not is_second_person("lan", None)
