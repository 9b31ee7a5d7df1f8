"""Enrolment from label to node: what each end believes, what a thief of a label can do, and what a power cut costs."""

import base64
from pathlib import Path

import pytest
from sqlmodel import select

from controller.sealing import Sealing
from controller.services import enrolments, labels, nodes
from controller.services.broker_logins import logins, password_hash
from controller.services.enrolments import MOST_WRONG_CODES, PENDING_MS, Confirmation, Verdict
from controller.services.receipts import record_receipts
from controller.tables import BrokerLogin, Enrolment, EnrolmentLabel, NodeKey, ReceiptRow
from devices.node.enrolled import Done, EnrolmentFolder, reset
from devices.node.enrolling import Enrolling
from devices.protocol.documents import Placement
from devices.protocol.envelope import encode, open_sealed
from devices.protocol.identity import NodeIdentity
from devices.protocol.label import roots_pin
from devices.protocol.reports import ReceiptEvent
from devices.protocol.trust import Root, RootSet
from loa.errors import Fault, Refused
from tests.controller.services.boxes import ROOTS, Box, Office
from tests.controller.services.conftest import QN, World, node_key

PLACE = f"{QN}/co-to"


class TornFolder(EnrolmentFolder):
    """The power fails just before the n-th write."""

    def __init__(self, data: Path, left: int) -> None:
        super().__init__(data)
        self.left = left

    def write(self, name: str, text: str) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
        super().write(name, text)


@pytest.fixture
def office(world: World) -> Office:
    return Office(world)


def _named(code: str | None, name: str = "ct-9") -> Confirmation:
    return Confirmation(code=code or "", name=name, area=PLACE)


async def test_from_label_to_node(office: Office, tmp_path: Path) -> None:
    label = office.label()
    box = Box(tmp_path / "box", office, label)
    assert await box.step() is None
    assert office.pending().code == box.code
    assert "ct-9" not in {one.id for one in office.world.run(lambda s: nodes.list_nodes(s, office.world.ctx))}
    assert office.confirm(label, _named(box.code)) == (Verdict.CONFIRMED, "ct-9")
    assert await box.step() == Done(label.name, "ct-9")

    identity = NodeIdentity.from_text(box.folder.path("identity.json").read_text())
    view = office.world.run(lambda session: nodes.node(session, office.world.ctx, "ct-9"))
    assert view.public_key == identity.key.public_key
    assert identity.roots == ROOTS
    password = box.folder.path("password").read_text().strip()
    ((name, hashed),) = office.world.run(logins).hashes
    assert name == "ct-9"
    assert hashed == password_hash(password, base64.b64decode(hashed.split("$")[3]))
    # The secrets of both sides are forgotten with the label's use.
    assert label.secret.hex() not in box.folder.path("state.json").read_text()
    assert label.code.replace("-", "") not in box.folder.path("state.json").read_text()
    row = office.world.run(lambda session: session.get_one(EnrolmentLabel, label.name))
    assert row.sealed_key == b""


async def test_the_private_key_never_leaves(office: Office, tmp_path: Path) -> None:
    label = office.label()
    box = Box(tmp_path / "box", office, label)
    await box.step()
    office.confirm(label, _named(box.code))
    await box.step()
    identity = NodeIdentity.from_text(box.folder.path("identity.json").read_text())
    password = box.folder.path("password").read_text().strip()
    said = repr(office.asked)
    for secret in (identity.key.seed, label.secret):
        assert secret.hex() not in said
        assert base64.b64encode(secret).decode() not in said
    assert password not in said


async def test_a_power_cut_at_every_write_costs_nothing(office: Office, tmp_path: Path) -> None:
    """However often the box starts anew, there is one enrolment, one key, and in the end one node."""
    for cut in range(1, 12):
        label = office.label()
        name = f"cut-{cut}"
        box = Box(tmp_path / name, office, label, seed=cut)
        box.folder = TornFolder(tmp_path / name, cut)
        done = None
        for _ in range(8):
            try:
                done = await box.step()
            except KeyboardInterrupt:
                continue
            if done is not None:
                break
            name_there, ctx = label.name, office.world.ctx
            held = office.world.run(lambda s, la=name_there, c=ctx: enrolments.enrolment(s, c, la))  # type: ignore[misc]
            if held.state == "pending":
                assert office.confirm(label, _named(box.code, name))[0] is Verdict.CONFIRMED
        assert done == Done(label.name, name)
        view = office.world.run(lambda session, n=name: nodes.node(session, office.world.ctx, n))  # type: ignore[misc]
        assert NodeIdentity.from_text(box.folder.path("identity.json").read_text()).key.public_key == view.public_key


@pytest.mark.parametrize("code", ["enrolment_rejected", "already_enrolled", "wrong_roots", "bad_key_file"])
async def test_whoever_stands_between_delays_and_ends_nothing(office: Office, tmp_path: Path, code: str) -> None:
    """Refusals bear no MAC: without the label's secret anybody can say them, and the box goes on asking."""
    label, asked = office.label(), 0

    def between(_path: str, reply: dict[str, object]) -> dict[str, object]:
        nonlocal asked
        asked += 1
        if asked in (1, 3):
            raise Refused(code, field="enrolment")
        if asked == 4:
            office.confirm(label, _named(office.pending().code))
        return reply

    office.tamper = between
    box = Box(tmp_path / "box", office, label)
    assert await box.enrolling().run() == Done(label.name, "ct-9")
    assert asked == 5


async def test_a_stolen_label_before_its_use(office: Office, tmp_path: Path) -> None:
    """The thief's box waits for a technician, who has another code before their eyes; and the real box tells of it."""
    label = office.label()
    thief, box = Box(tmp_path / "thief", office, label), Box(tmp_path / "box", office, label, seed=1)
    await thief.step()
    with pytest.raises(Refused, match="label_used"):
        await box.step()
    at_centre = office.pending().code
    assert thief.code == at_centre
    assert box.code is None  # nothing to compare: the technician at the pole has no reason to confirm
    office.world.run(lambda session: enrolments.reject(session, office.world.ctx, label.name))
    with pytest.raises(Refused, match="enrolment_rejected"):
        await thief.step()
    assert office.world.run(logins).hashes == ()


async def test_a_stolen_label_after_its_use_does_nothing(office: Office, tmp_path: Path) -> None:
    label = office.label()
    box = Box(tmp_path / "box", office, label)
    await box.step()
    office.confirm(label, _named(box.code))
    await box.step()
    before = office.world.run(lambda session: nodes.node(session, office.world.ctx, "ct-9"))
    with pytest.raises(Refused, match="label_used"):
        await Box(tmp_path / "thief", office, label, seed=7).step()
    assert office.world.run(lambda session: nodes.node(session, office.world.ctx, "ct-9")) == before


async def test_a_captured_hello_gets_what_the_box_got_and_no_more(office: Office, tmp_path: Path) -> None:
    """Played back, it makes no second enrolment; without the box's own exchange key the answer is of no use."""
    label = office.label()
    box = Box(tmp_path / "box", office, label)
    await box.step()
    path, hello = office.asked[0]
    assert office.post(path, hello) == office.post(path, hello)
    assert len(office.world.run(lambda session: session.exec(select(Enrolment)).all())) == 1
    for part in ("public_key", "exchange", "commitment", "mac"):
        changed = dict(hello) | {part: base64.b64encode(bytes(32)).decode()}
        with pytest.raises(Refused, match="label_used"):
            office.post(path, changed)


async def test_a_question_needs_the_session_and_an_old_answer_is_no_answer(office: Office, tmp_path: Path) -> None:
    label = office.label()
    box = Box(tmp_path / "box", office, label)
    await box.step()
    path, question = office.asked[-1]
    with pytest.raises(Refused, match="enrolment_forged"):
        office.post(path, dict(question) | {"fresh": base64.b64encode(bytes(16)).decode()})
    old = office.post(path, question)  # "pending", rightly said, to an earlier question
    office.confirm(label, _named(box.code))
    office.tamper = lambda _path, _reply: dict(old)
    with pytest.raises(Refused, match="enrolment_forged"):
        await box.step()
    office.tamper = lambda _path, reply: reply
    assert await box.step() == Done(label.name, "ct-9")


@pytest.mark.parametrize("part", ["node", "area", "broker", "authority", "state", "at"])
async def test_nobody_in_between_changes_what_was_decided(office: Office, tmp_path: Path, part: str) -> None:
    label = office.label()
    box = Box(tmp_path / "box", office, label)
    await box.step()
    office.confirm(label, _named(box.code))
    other = {"state": "rejected", "node": "hg-1", "at": "1"}.get(part, "elsewhere")
    office.tamper = lambda path, reply: reply | ({part: other} if path.endswith("state") else {})
    with pytest.raises(Refused, match="enrolment_forged"):
        await box.step()
    assert not box.folder.path("identity.json").exists()


async def test_nobody_in_between_gives_the_box_other_roots(office: Office, tmp_path: Path) -> None:
    """Without the secret the MAC fails; with it (a stolen label), the roots are not those on the label."""
    other = RootSet(version=1, roots=(Root(public_key=node_key("evil").public_key, sealed=False),), threshold=1)
    label = office.label()
    office.tamper = lambda _path, reply: reply | {"roots": base64.b64encode(encode(other)).decode()}
    with pytest.raises(Refused, match="enrolment_forged"):
        await Box(tmp_path / "box", office, label).step()
    assert roots_pin(other) != label.roots_pin
    office.tamper = lambda _path, reply: reply
    office.roots = encode(other)
    with pytest.raises(Refused, match="wrong_roots"):
        await Box(tmp_path / "second", office, office.label()).step()


async def test_who_does_not_know_the_secret_gets_nowhere(office: Office, tmp_path: Path) -> None:
    label = office.label()
    for wrong in (
        type(label)(label.id, bytes(16), label.address),  # a label that is there, another secret
        type(label)(bytes(5), label.secret, label.address),  # no such label
    ):
        with pytest.raises(Refused, match="enrolment_forged"):
            await Box(tmp_path / wrong.name, office, wrong).step()
    assert await Box(tmp_path / "box", office, label).step() is None, "the label has not been used up"


@pytest.mark.parametrize("how", ["revoked", "expired"])
async def test_a_label_that_is_over(office: Office, tmp_path: Path, how: str) -> None:
    label = office.label()
    world = office.world
    if how == "revoked":
        world.run(lambda session: labels.revoke_label(session, world.ctx, id=label.name))
    else:
        world.clock.at += 91 * 86_400_000
    with pytest.raises(Refused, match="enrolment_forged"):
        await Box(tmp_path / "box", office, label).step()
    (view,) = world.run(lambda session: labels.list_labels(session, world.ctx, used=True))
    assert view.state == how
    assert world.run(lambda session: labels.list_labels(session, world.ctx)) == ()


async def test_three_wrong_codes_end_it(office: Office, tmp_path: Path) -> None:
    label = office.label()
    box = Box(tmp_path / "box", office, label)
    await box.step()
    assert box.code is not None
    wrong = f"{(int(box.code.replace(' ', '')) + 1) % 1_000_000:06d}"
    for _ in range(MOST_WRONG_CODES - 1):
        assert office.confirm(label, _named(wrong)) == (Verdict.WRONG_CODE, None)
    assert office.confirm(label, _named(wrong)) == (Verdict.REJECTED, None)
    with pytest.raises(Refused, match="enrolment_over"):
        office.confirm(label, _named(box.code))
    with pytest.raises(Refused, match="enrolment_rejected"):
        await box.step()


async def test_nothing_is_confirmed_before_the_box_told_its_nonce_or_after_a_week(
    office: Office, tmp_path: Path
) -> None:
    label = office.label()
    box = Box(tmp_path / "box", office, label)
    office.tamper = lambda _path, reply: reply | {"mac": base64.b64encode(bytes(32)).decode()}
    with pytest.raises(Refused, match="enrolment_forged"):
        await box.step()
    assert office.pending().code is None
    with pytest.raises(Refused, match="enrolment_not_ready"):
        office.confirm(label, _named("000 000"))
    office.tamper = lambda _path, reply: reply
    await box.step()
    office.world.clock.at += PENDING_MS - 1
    assert await box.step() is None
    office.world.clock.at += 1
    with pytest.raises(Refused, match="enrolment_over"):
        office.confirm(label, _named(box.code))
    with pytest.raises(Refused, match="enrolment_rejected"):
        await box.step()


async def test_a_new_box_takes_a_nodes_place_and_the_history_stays(office: Office, tmp_path: Path) -> None:
    world = office.world
    old = world.run(lambda session: nodes.node(session, world.ctx, "ct-3"))
    said = [world.receipt("ct-3", ReceiptEvent.BOOTED)]
    world.run(lambda session: record_receipts(session, said, world.ctx.now))
    label = office.label()
    box = Box(tmp_path / "box", office, label)
    await box.step()
    world.clock.at += 1000
    assert office.confirm(label, Confirmation(code=box.code or "", replaces="ct-3")) == (Verdict.CONFIRMED, "ct-3")
    assert await box.step() == Done(label.name, "ct-3")
    new = world.run(lambda session: nodes.node(session, world.ctx, "ct-3"))
    assert (new.area, new.public_key != old.public_key) == (old.area, True)
    assert world.run(nodes.node_keys)[new.id] == new.public_key, "the old key is believed no more"
    keys = world.run(
        lambda session: {row.public_key: row for row in session.exec(select(NodeKey).where(NodeKey.node == "ct-3"))}
    )
    assert (keys[old.public_key].until, keys[new.public_key].until) == (world.ctx.now, None)
    assert len(world.run(lambda session: session.exec(select(ReceiptRow).where(ReceiptRow.node == "ct-3")).all())) == 1
    placement = world.run(lambda session: nodes.move_node(session, world.ctx, id="ct-3", area=PLACE)).value.placement
    message = open_sealed(placement).message
    assert isinstance(message, Placement)
    assert message.public_key == new.public_key


async def test_the_box_that_was_replaced_is_told_so(office: Office, tmp_path: Path) -> None:
    """It asks with its own session, rightly; it is not that node any more."""
    first, second = office.label(), office.label()
    one, two = Box(tmp_path / "one", office, first), Box(tmp_path / "two", office, second, seed=1)
    await one.step()
    office.confirm(first, _named(one.code))
    await two.step()
    office.confirm(second, Confirmation(code=two.code or "", replaces="ct-9"))
    with pytest.raises(Refused, match="enrolment_rejected"):
        await one.step()
    assert await two.step() == Done(second.name, "ct-9")


async def test_another_box_cannot_take_a_name_that_is_there(office: Office, tmp_path: Path) -> None:
    label = office.label()
    box = Box(tmp_path / "box", office, label)
    await box.step()
    with pytest.raises(Refused, match="already_exists"):
        office.confirm(label, _named(box.code, "ct-1"))
    assert office.confirm(label, _named(box.code))[0] is Verdict.CONFIRMED, "and it can be confirmed under another"


async def test_enrolling_again_needs_a_reset(office: Office, tmp_path: Path) -> None:
    label = office.label()
    box = Box(tmp_path / "box", office, label)
    await box.step()
    office.confirm(label, _named(box.code))
    await box.step()
    assert await box.step() == Done(label.name, "ct-9"), "the same label again is the same box"
    again = Box(tmp_path / "box", office, office.label(), seed=2)
    with pytest.raises(Refused, match="already_enrolled"):
        await again.step()
    (tmp_path / "box" / "journal").write_bytes(b"of the old name")
    assert reset(tmp_path / "box") == "ct-9"
    assert not (tmp_path / "box" / "journal").exists()
    assert await again.step() is None
    with pytest.raises(Refused, match="not_enrolled"):
        reset(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


async def test_the_box_goes_on_asking_while_nobody_vouches_for_the_refusal(office: Office, tmp_path: Path) -> None:
    """In between, somebody answers whatever they like, for an hour of the box's clock; then the way is free."""
    label = office.label()
    box = Box(tmp_path / "box", office, label)
    answers = 0

    def forged(_path: str, reply: dict[str, object]) -> dict[str, object]:
        nonlocal answers
        answers += 1
        if answers == 40:
            office.tamper = lambda _path, reply: reply
        if box.code is not None:
            office.confirm(label, _named(box.code))
        said: list[dict[str, object]] = [
            reply | {"mac": ""}, {}, {"state": "rejected", "mac": ""}, reply | {"roots": "AAAA"},
        ]  # fmt: skip
        return said[answers % len(said)]

    office.tamper = forged
    enrolling: Enrolling = box.enrolling()

    def shown(code: str) -> None:
        office.confirm(label, _named(code))

    enrolling._tell = shown
    assert await enrolling.run() == Done(label.name, "ct-9")
    assert answers == 40


def test_who_retires_is_let_into_the_broker_no_more(world: World) -> None:
    world.run(lambda session: session.add(BrokerLogin(username="ct-1", password_hash="$7$", changed_at=0)))
    world.run(lambda session: nodes.retire_node(session, world.ctx, id="ct-1"))
    assert world.run(logins).hashes == ()


def test_what_is_sealed_opens_under_its_own_key_and_name_alone(world: World) -> None:
    sealed = Sealing(b"s" * 32).seal(b"secret", "label A", world.ctx.entropy)
    assert Sealing(b"s" * 32).open(sealed, "label A") == b"secret"
    for key, name in ((b"t" * 32, "label A"), (b"s" * 32, "label B")):
        with pytest.raises(Fault, match="sealing_key_changed"):
            Sealing(key).open(sealed, name)
