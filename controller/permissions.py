"""Who may do what, where: one table of roles and permissions, and the rules that read it. Values in, values out.

A person holds posts: a role at an area. A post reaches its area and all that lies within it. What belongs to a wider
area and concerns a post's area may be seen from there, never changed. What a person may not see is not there for them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from loa.names import AreaPath


class Role(StrEnum):
    """What a person is, at an area."""

    DUTY_OFFICER = "duty_officer"
    """Of the province, at 3 a.m. in a typhoon: speaks to all of it and takes back."""
    PROVINCE_ADMIN = "province_admin"
    """Accounts, areas, boxes, backups; makes no sound."""
    OPERATOR = "operator"
    """Of a commune: makes bulletins and programmes, and says what is approved."""
    APPROVER = "approver"
    """Of a commune: approves what others made."""
    TECHNICIAN = "technician"
    """At the foot of a pole, across communes."""
    AUDITOR = "auditor"
    """Reads everything, the record too."""
    READER = "reader"
    """Sees what is said and what was heard."""


class Permission(StrEnum):
    """One thing that may be done, as a route names it."""

    AREA_READ = "area.read"
    AREA_MANAGE = "area.manage"
    BULLETIN_READ = "bulletin.read"
    BULLETIN_DRAFT = "bulletin.draft"
    BULLETIN_APPROVE = "bulletin.approve"
    BULLETIN_WITHDRAW = "bulletin.withdraw"
    PROGRAMME_READ = "programme.read"
    PROGRAMME_MANAGE = "programme.manage"
    PROGRAMME_STOP = "programme.stop"
    BROADCAST_READ = "broadcast.read"
    BROADCAST_ISSUE = "broadcast.issue"
    BROADCAST_RECALL = "broadcast.recall"
    RECEIPT_READ = "receipt.read"
    ALERT_READ = "alert.read"
    ALERT_COMPOSE = "alert.compose"
    """To write down what others may then approve; it makes no sound."""
    ALERT_RELEASE = "alert.release"
    ALERT_CANCEL = "alert.cancel"
    CAP_SUBMIT = "cap.submit"
    """To hand in alerts of others: they are judged and wait for people; it makes no sound."""
    NODE_READ = "node.read"
    NODE_ENROL = "node.enrol"
    NODE_VOLUME = "node.volume"
    NODE_TEST = "node.test"
    SETTINGS_MANAGE = "settings.manage"
    FIGURES_READ = "figures.read"
    ACCOUNT_READ = "account.read"
    ACCOUNT_MANAGE = "account.manage"
    KEY_OWN = "key.own"
    """A release key of one's own: made, put under another passphrase, retired."""
    KEY_MANAGE = "key.manage"
    """People's keys and appointments, as the roots signed them."""
    RECORD_READ = "record.read"
    BACKUP_MAKE = "backup.make"


class Open(StrEnum):
    """What a route names that asks for no permission."""

    PUBLIC = "public"
    """Anybody."""
    SIGNED_IN = "signed_in"
    """Whoever is signed in, about themselves."""
    PERSON = "person"
    """The same, and by a person's own session, not by an API token."""


P = Permission
_SEES = frozenset({
    P.AREA_READ, P.BULLETIN_READ, P.PROGRAMME_READ, P.BROADCAST_READ, P.RECEIPT_READ, P.ALERT_READ, P.NODE_READ,
})  # fmt: skip
_TAKES_BACK = frozenset({P.BULLETIN_WITHDRAW, P.PROGRAMME_STOP, P.BROADCAST_RECALL})
_SPEAKS = frozenset({
    P.BULLETIN_DRAFT, P.PROGRAMME_MANAGE, P.BROADCAST_ISSUE, P.NODE_VOLUME, P.NODE_TEST, P.ALERT_COMPOSE,
    P.ALERT_RELEASE, P.ALERT_CANCEL, P.KEY_OWN,
})  # fmt: skip

ROLES: dict[Role, frozenset[Permission]] = {
    Role.DUTY_OFFICER: _SEES | _TAKES_BACK | _SPEAKS | {P.BULLETIN_APPROVE, P.CAP_SUBMIT, P.FIGURES_READ},
    Role.PROVINCE_ADMIN: _SEES | {
        P.AREA_MANAGE, P.NODE_ENROL, P.SETTINGS_MANAGE, P.FIGURES_READ, P.ACCOUNT_READ, P.ACCOUNT_MANAGE, P.KEY_MANAGE,
        P.RECORD_READ, P.BACKUP_MAKE,
    },
    Role.OPERATOR: _SEES | _TAKES_BACK | _SPEAKS,
    Role.APPROVER: _SEES | _TAKES_BACK | {
        P.BULLETIN_APPROVE, P.ALERT_COMPOSE, P.ALERT_RELEASE, P.ALERT_CANCEL, P.KEY_OWN,
    },
    Role.TECHNICIAN: _SEES | {P.NODE_ENROL, P.NODE_VOLUME, P.NODE_TEST},
    Role.AUDITOR: _SEES | {P.FIGURES_READ, P.ACCOUNT_READ, P.RECORD_READ},
    Role.READER: _SEES,
}  # fmt: skip
"""The table."""

SOUNDS = frozenset({P.BROADCAST_ISSUE, P.PROGRAMME_MANAGE, P.NODE_TEST, P.ALERT_RELEASE})
"""What makes loudspeakers sound, now or by the timetable."""
FRESH_CODE = SOUNDS | {P.ACCOUNT_MANAGE, P.KEY_MANAGE, P.KEY_OWN}
"""A page's session, or a command's, needs a code of the last minutes for these: a stolen one alone is not enough."""
FRESH_SIGN_IN = frozenset({P.ALERT_RELEASE})
"""These want the password again too."""
NEEDS_CODE = FRESH_CODE | {P.BULLETIN_APPROVE, P.AREA_MANAGE, P.NODE_ENROL, P.SETTINGS_MANAGE, P.BACKUP_MAKE}
"""Who holds one of these signs in with a code besides the password."""
TOKEN_MAY = frozenset(Permission) - {
    P.BULLETIN_APPROVE, P.NODE_TEST, P.ALERT_COMPOSE, P.ALERT_RELEASE, P.ALERT_CANCEL, P.ACCOUNT_MANAGE,
    P.KEY_MANAGE, P.KEY_OWN,
}  # fmt: skip
"""What an API token may carry. The rest is for people, here and now."""
PROVINCE_ONLY = frozenset({Role.DUTY_OFFICER, Role.PROVINCE_ADMIN, Role.AUDITOR})
"""Roles that are held at the province and nowhere else."""


@dataclass(frozen=True, order=True)
class Post:
    """A role at an area."""

    role: Role
    area: AreaPath

    def has(self, permission: Permission) -> bool:
        return permission in ROLES[self.role]


@dataclass(frozen=True)
class Scope:
    """What an API token was given of its owner's permissions, and where."""

    permissions: frozenset[Permission]
    area: AreaPath


@dataclass(frozen=True)
class Authority:
    """What somebody may do: their posts, narrowed by the scope of the API token they use, if they use one."""

    posts: tuple[Post, ...] = ()
    scope: Scope | None = None

    @property
    def by_token(self) -> bool:
        return self.scope is not None

    def reach(self, permission: Permission) -> tuple[AreaPath, ...]:
        """Where they have it: the widest areas, sorted. Empty: nowhere."""
        areas = {post.area for post in self.posts if post.has(permission)}
        scope = self.scope
        if scope is not None:
            if permission not in scope.permissions or permission not in TOKEN_MAY:
                return ()
            inside = {area for area in areas if scope.area.covers(area)}
            areas = inside | ({scope.area} if any(area.covers(scope.area) for area in areas) else set())
        return tuple(sorted(area for area in areas if not any(o != area and o.covers(area) for o in areas)))

    def may(self, permission: Permission, *areas: str) -> bool:
        """Whether they have it at each of these areas; with none given, whether they have it anywhere."""
        reach = self.reach(permission)
        return bool(reach) and all(any(own.covers(area) for own in reach) for area in areas)

    def sees(self, permission: Permission, *, inside: Iterable[str] = (), around: Iterable[str] = ()) -> bool:
        """Whether something is there for them: `inside` one of their areas, or `around` one (within it or holding it).

        inside: places whose things are seen from there and from above. around: places whose things concern all that
        lies in them too, as a provincial broadcast does.
        """
        reach = self.reach(permission)
        return any(own.covers(place) for own in reach for place in inside) or any(
            own.covers(place) or AreaPath(place).covers(own) for own in reach for place in around
        )

    def permissions(self) -> frozenset[Permission]:
        """All that they have anywhere."""
        return frozenset(one for one in Permission if self.reach(one))


def all_of(province: AreaPath) -> Authority:
    """The controller itself, or who acts at its own machine: every role at the province."""
    return Authority(tuple(Post(role, province) for role in Role))


def needs_code(roles: Iterable[Role]) -> bool:
    """Whether somebody with these roles must sign in with a code besides the password."""
    return any(ROLES[role] & NEEDS_CODE for role in roles)


def is_second_person(person: str, *others: str | None) -> bool:
    """Whether `person` is somebody else than each of the others; where one is not known, not."""
    return all(other is not None and other != person for other in others)


class Actor(str):
    """The name of an account with what its person may do: who acts, wherever an account is asked for."""

    __slots__ = ("authority",)
    authority: Authority

    def __new__(cls, account: str, authority: Authority) -> "Actor":
        made = super().__new__(cls, account)
        made.authority = authority
        return made
