"""Codes as accounts keep them: taken once, set up, replaced by recovery codes; and what a session was shown lately."""

from sqlmodel import Session, select

from controller import codes
from controller.accounts import Caller, Means, end_sessions
from controller.tables import Account, ApiToken, RecoveryCode
from loa.errors import Refused


def take_code(session: Session, means: Means, name: str, code: str) -> None:
    """Use up a code, or a recovery code, of an account. Raises Refused(bad_code, code_used)."""
    account = session.get(Account, name)
    if account is None or account.code_secret is None:
        raise Refused("bad_code", field="code")
    if codes.is_recovery_code(code):
        row = session.get(RecoveryCode, (name, codes.recovery_hash(code, name, means.accounts_key)))
        if row is None:
            raise Refused("bad_code", field="code")
        if row.used_at is not None:
            raise Refused("code_used", field="code")
        row.used_at = means.clock.now_ms()
        session.add(row)
        return
    secret = codes.open_secret(account.code_secret, name, means.accounts_key)
    account.code_step = codes.step_taken(secret, code, means.clock.now_ms(), account.code_step)
    session.add(account)


def is_right(session: Session, means: Means, name: str, code: str) -> bool:
    """Whether `take_code` would take it now; for a look at the tables, of which nothing is kept.

    Raises Refused(code_used): who shows one twice is to wait for the next, and a used one helps nobody who guessed it.
    """
    try:
        take_code(session, means, name, code)
    except Refused as error:
        if error.code == "code_used":
            raise
        return False
    return True


def begin_code(session: Session, means: Means, name: str) -> str:
    """Hand out a secret for codes; it counts once a code of it is confirmed."""
    account = session.get_one(Account, name)
    secret = codes.new_secret(means.entropy)
    account.new_code_secret = codes.seal_secret(secret, name, means.accounts_key, means.entropy)
    session.add(account)
    return secret


def confirm_code(session: Session, means: Means, caller: Caller, code: str) -> tuple[str, ...]:
    """The secret handed out last counts from now on, and other sessions end. Returns recovery codes, shown this once.

    Raises Refused(no_code_begun, bad_code).
    """
    account = session.get_one(Account, caller.account)
    if account.new_code_secret is None:
        raise Refused("no_code_begun", field="code")
    secret = codes.open_secret(account.new_code_secret, account.name, means.accounts_key)
    account.code_step = codes.step_taken(secret, code, means.clock.now_ms(), 0)
    account.code_secret, account.new_code_secret = account.new_code_secret, None
    session.add(account)
    end_sessions(session, account.name, but=caller.token_hash)
    step_up(session, means, caller.token_hash)
    return renew_recovery_codes(session, means, account.name)


def renew_recovery_codes(session: Session, means: Means, name: str) -> tuple[str, ...]:
    """New recovery codes instead of all that there were; shown this once."""
    for old in session.exec(select(RecoveryCode).where(RecoveryCode.account == name)):
        session.delete(old)
    session.flush()
    fresh = codes.new_recovery_codes(means.entropy)
    hashes = (codes.recovery_hash(code, name, means.accounts_key) for code in fresh)
    session.add_all(RecoveryCode(account=name, code_hash=one) for one in hashes)
    return fresh


def step_up(session: Session, means: Means, hashed: str, *, with_password: bool = False) -> None:
    """A code was given in this session just now, and the password too where that is so."""
    token = session.get_one(ApiToken, hashed)
    token.code_at = means.clock.now_ms()
    if with_password:
        token.password_at = token.code_at
    session.add(token)
