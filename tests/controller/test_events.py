"""Changes are told to whoever listens; a slow listener is told to look again and never waited for."""

from controller.events import Events


async def test_listeners_hear_in_order_and_a_slow_one_is_told_to_look_again() -> None:
    events = Events()
    events.publish("node", "n-1")  # nobody listens
    with events.subscribed() as quick, events.subscribed(3) as slow:
        assert events.listeners == 2
        for number in range(5):
            events.publish("broadcast", str(number), status="issued")
        assert [(await quick.next()).id for _ in range(5)] == ["0", "1", "2", "3", "4"]
        assert [(await slow.next()).kind for _ in range(2)] == ["resync", "broadcast"]
        events.publish("air", "x", on=True)
        async for change in slow:
            assert (change.kind, change.id, dict(change.data)) == ("air", "x", {"on": True})
            break
    assert events.listeners == 0
