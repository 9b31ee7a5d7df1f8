"""People: their accounts, posts, disabling, resets. Every change of what somebody may do ends their sessions."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlmodel import Session, col, select

from controller.accounts import check_name, end_sessions, posts_of
from controller.permissions import PROVINCE_ONLY, Permission, Post, Role, needs_code
from controller.services.areas import place_for
from controller.services.context import Context, note_deed
from controller.tables import Account, AccountPost, RecoveryCode
from loa.errors import Refused
from loa.units import InstantMs

MOST_POSTS = 64


@dataclass(frozen=True)
class PersonView:
    """A person as others see them."""

    name: str
    full_name: str
    posts: tuple[Post, ...]
    disabled_at: InstantMs | None
    has_code: bool
    one_time: bool
    """The password was given to them and they have not changed it yet."""
    created_at: InstantMs

    @property
    def needs_code(self) -> bool:
        return needs_code(post.role for post in self.posts)


def list_people(session: Session, ctx: Context) -> tuple[PersonView, ...]:
    """Everyone, by name."""
    ctx.demand(Permission.ACCOUNT_READ, ctx.province)
    return tuple(_view(session, row) for row in session.exec(select(Account).order_by(col(Account.name))))


def person(session: Session, ctx: Context, name: str) -> PersonView:
    """One of them. Raises Refused(not_found)."""
    ctx.demand(Permission.ACCOUNT_READ, ctx.province)
    return _view(session, _row(session, name))


def add_person(
    session: Session, ctx: Context, *, name: str, full_name: str, password_hash: str, posts: Iterable[Post]
) -> PersonView:
    """A new account with its posts; the first password is to be changed.

    Raises Refused(bad_value, account_exists, not_found, role_needs_province, too_many).
    """
    ctx.demand(Permission.ACCOUNT_MANAGE, ctx.province)
    if session.get(Account, check_name(name)) is not None:
        raise Refused("account_exists", field="name", value=name)
    row = Account(name=name, full_name=full_name, password_hash=password_hash, one_time=True, created_at=ctx.now)
    session.add(row)
    session.flush()
    _put_posts(session, ctx, name, posts)
    note_deed(session, ctx, "add", "account", name, detail=_said(posts_of(session, name)))
    return _view(session, row)


def set_posts(session: Session, ctx: Context, *, name: str, posts: Iterable[Post]) -> PersonView:
    """Give somebody these posts instead of those they had.

    Raises Refused(not_found, role_needs_province, too_many, last_admin).
    """
    ctx.demand(Permission.ACCOUNT_MANAGE, ctx.province)
    row, before = _row(session, name), posts_of(session, name)
    wanted = tuple(sorted(set(posts)))
    if wanted == before:
        return _view(session, row)
    for old in session.exec(select(AccountPost).where(AccountPost.account == name)):
        session.delete(old)
    session.flush()
    _put_posts(session, ctx, name, wanted)
    _check_admins(session, ctx)
    end_sessions(session, name)
    note_deed(session, ctx, "posts", "account", name, detail=f"{_said(wanted)}; before: {_said(before)}")
    return _view(session, row)


def disable(session: Session, ctx: Context, *, name: str) -> PersonView:
    """They cannot sign in any more; sessions and API tokens end at once. Raises Refused(not_found, last_admin)."""
    ctx.demand(Permission.ACCOUNT_MANAGE, ctx.province)
    row = _row(session, name)
    if row.disabled_at is None:
        row.disabled_at = ctx.now
        session.add(row)
        session.flush()
        _check_admins(session, ctx)
        end_sessions(session, name, tokens=True)
        note_deed(session, ctx, "disable", "account", name)
    return _view(session, row)


def enable(session: Session, ctx: Context, *, name: str) -> PersonView:
    """They may sign in again. Raises Refused(not_found)."""
    ctx.demand(Permission.ACCOUNT_MANAGE, ctx.province)
    row = _row(session, name)
    if row.disabled_at is not None:
        row.disabled_at = None
        session.add(row)
        note_deed(session, ctx, "enable", "account", name)
    return _view(session, row)


def reset(session: Session, ctx: Context, *, name: str, password_hash: str, code: bool) -> PersonView:
    """A new first password, and with `code` a new device for codes too; sessions and API tokens end.

    Raises Refused(not_found).
    """
    ctx.demand(Permission.ACCOUNT_MANAGE, ctx.province)
    row = _row(session, name)
    row.password_hash, row.one_time = password_hash, True
    if code:
        row.code_secret = row.new_code_secret = None
        for old in session.exec(select(RecoveryCode).where(RecoveryCode.account == name)):
            session.delete(old)
    session.add(row)
    end_sessions(session, name, tokens=True)
    note_deed(session, ctx, "reset", "account", name, detail="password and code" if code else "password")
    return _view(session, row)


def _put_posts(session: Session, ctx: Context, name: str, posts: Iterable[Post]) -> None:
    wanted = sorted(set(posts))
    if len(wanted) > MOST_POSTS:
        raise Refused("too_many", field="roles", limit=MOST_POSTS)
    for post in wanted:
        place_for(session, ctx, post.area, Permission.ACCOUNT_MANAGE, field="roles.area")
        if post.role in PROVINCE_ONLY and post.area != ctx.province:
            raise Refused("role_needs_province", field="roles.area", limit=ctx.province, value=post.role)
        session.add(AccountPost(account=name, role=post.role, area=post.area))
    session.flush()


def _check_admins(session: Session, ctx: Context) -> None:
    """Somebody must be left who can give posts. Raises Refused(last_admin)."""
    left = (
        select(Account.name)
        .join(AccountPost, col(AccountPost.account) == col(Account.name))
        .where(
            AccountPost.role == Role.PROVINCE_ADMIN,
            AccountPost.area == ctx.province,
            col(Account.disabled_at).is_(None),
        )
    )
    if session.exec(left.limit(1)).first() is None:
        raise Refused("last_admin", field="account")


def _said(posts: Iterable[Post]) -> str:
    return ", ".join(f"{post.role}@{post.area}" for post in posts) or "none"


def _row(session: Session, name: str) -> Account:
    row = session.get(Account, name)
    if row is None:
        raise Refused("not_found", field="account", value=name[:64])
    return row


def _view(session: Session, row: Account) -> PersonView:
    return PersonView(
        row.name, row.full_name, posts_of(session, row.name),
        None if row.disabled_at is None else InstantMs(row.disabled_at), row.code_secret is not None, row.one_time,
        InstantMs(row.created_at),
    )  # fmt: skip
