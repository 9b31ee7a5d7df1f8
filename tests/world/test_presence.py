"""Who was there when, and who was there together."""

from hypothesis import given
from hypothesis import strategies as st

from loa.units import InstantMs
from simulators.world.presence import Presence, together

END = 60
Changes = st.lists(st.tuples(st.integers(0, END - 1), st.booleans()), max_size=8).map(sorted)


def _presence(changes: list[tuple[int, bool]]) -> Presence:
    made = Presence()
    for at, there in changes:
        made.note(InstantMs(at), there)
    return made


def test_a_centre_that_dies_as_it_issues_and_comes_back_at_the_end() -> None:
    box, centre = _presence([(0, True)]), _presence([(0, True), (10, False), (50, True)])
    assert list(together(box, centre, InstantMs(10), InstantMs(55))) == [(50, 55)]
    assert not centre.at(InstantMs(10))
    assert centre.has_lasted(5, InstantMs(55))
    assert not centre.has_lasted(6, InstantMs(55))
    assert not box.at(InstantMs(-1))


@given(Changes, Changes)
def test_together_is_when_both_are_there(one: list[tuple[int, bool]], other: list[tuple[int, bool]]) -> None:
    a, b = _presence(one), _presence(other)
    common = {at for begins, ends in together(a, b, InstantMs(0), InstantMs(END)) for at in range(begins, ends)}
    assert common == {at for at in range(END) if a.at(InstantMs(at)) and b.at(InstantMs(at))}
