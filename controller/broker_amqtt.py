"""amqtt 0.12.1 as an embedded broker, with the defects held off that we know of.

Run as ``python -m controller.broker_amqtt BIND PORT`` by `controller.broker`, in an interpreter of its own. Each
override names its defect; tests/controller/test_broker_amqtt.py shows each one held off. The version is pinned, since
the overrides reach into its inside.
"""

import asyncio
import logging
import signal
import sys
from typing import Any

import amqtt.broker
from amqtt.broker import Broker
from amqtt.events import BrokerEvents
from amqtt.mqtt.protocol.broker_handler import BrokerProtocolHandler

MOST_WAITING = 1000
"""Messages that wait for one slow client; more are dropped, as mosquitto does."""

CONFIGURATION: dict[str, Any] = {
    "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
}


class SteadyHandler(BrokerProtocolHandler):  # type: ignore[misc]
    """One client's side of the broker, which gives up a client that has been silent for too long."""

    waiting = 0

    @classmethod
    async def init_from_connect(cls, *given: Any, **named: Any) -> tuple[Any, Any]:
        # Defect: sessions that should outlive a connection lose what came meanwhile, and cannot be taken over. Each
        # connection starts afresh, which the client is told (no session present).
        handler, session = await super().init_from_connect(*given, **named)
        session.clean_session = True
        return handler, session

    def handle_read_timeout(self) -> None:
        # Defect: a half-open client is never dropped. Its socket takes no farewell, so it is cut off.
        _cut_off(self)


def _cut_off(handler: Any) -> None:
    writer = getattr(handler.writer, "_writer", None)
    if writer is not None:
        handler.writer.is_closed = True
        writer.transport.abort()


class SteadyBroker(Broker):  # type: ignore[misc]
    """The broker without its known defects."""

    async def _handle_client_session(  # noqa: PLR0917 - the shape is the broker's
        self,
        reader: Any,
        writer: Any,
        client_session: Any,
        handler: Any,
        server: Any,  # noqa: ARG002
        listener_name: str,
    ) -> None:
        # Defect: after a connection it sends retained messages of every topic that anybody subscribed to, and that
        # loop breaks when the subscriptions change under it, which leaves the client without its message loop.
        authenticated = await self._authenticate(client_session, self.listeners_config[listener_name])
        if client_session.transitions.is_connected():
            await self._supersede(client_session.client_id)
        client_session.transitions.connect()
        client_session.keep_alive = -(-client_session.keep_alive * 3 // 2)  # as MQTT 3.1.1 has it
        handler.attach(client_session, reader, writer)
        self._sessions[client_session.client_id] = (client_session, handler)
        await handler.mqtt_connack_authorize(authenticated)
        if not authenticated:
            await writer.close()
            return
        await self.plugins_manager.fire_event(
            BrokerEvents.CLIENT_CONNECTED, client_id=client_session.client_id, client_session=client_session
        )
        await handler.start()
        await self._publish_session_retained_messages(client_session)
        await self._client_message_loop(client_session, handler)

    async def _delete_session(self, client_id: str) -> None:
        # Defect: a second client with the same id does not close the first, which then hears nothing and never knows.
        await self._supersede(client_id)
        await super()._delete_session(client_id)

    async def _supersede(self, client_id: str) -> None:
        session, handler = self._sessions.get(client_id, (None, None))
        if session is not None and handler is not None and session.transitions.is_connected():
            _cut_off(handler)
            await handler.handle_connection_closed()

    async def _cleanup_session(self, client_id: str) -> None:
        # Defect: the monitor lists sessions that ended and removes them later by name, by when the client may be back.
        session, _ = self._sessions.get(client_id, (None, None))
        if session is not None and session.transitions.is_connected() and self.transitions.state == "started":
            return
        await super()._cleanup_session(client_id)

    async def _handle_message_delivery(
        self,
        client_session: Any,
        handler: Any,  # noqa: ARG002
        wait_deliver: Any,
    ) -> bool:
        # Defect: what came with QoS 0 goes out with the subscription's QoS, so a stream would cost confirmations.
        message = wait_deliver.result()
        if message is None:
            return True
        if not message.topic or message.topic.startswith("$") or "#" in message.topic or "+" in message.topic:
            return False
        if message.publish_packet and message.publish_packet.retain_flag:
            await self.retain_message(client_session, message.topic, message.data, message.qos)
        await self._broadcast_message(client_session, message.topic, message.data, message.qos)
        return True

    async def _run_broadcast(self, running_tasks: Any) -> None:
        # Defect: messages for a client that reads slowly pile up without limit.
        broadcast = await self._broadcast_queue.get()
        topic, data, published_qos = broadcast["topic"], broadcast["data"], broadcast.get("qos", 0) or 0
        for wanted, subscriptions in list(self._subscriptions.items()):
            if not self._matches(topic, wanted):
                continue
            for session, subscribed_qos in list(subscriptions):
                handler = self._get_handler(session)
                if handler is None or session.transitions.state != "connected":
                    continue
                if handler.waiting >= MOST_WAITING:
                    continue
                handler.waiting += 1
                task = asyncio.ensure_future(
                    handler.mqtt_publish(topic, data, min(published_qos, subscribed_qos), retain=False)
                )
                task.add_done_callback(lambda _, of=handler: _one_less(of))
                running_tasks.append(task)


def _one_less(handler: Any) -> None:
    handler.waiting -= 1


async def run(bind: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT."""
    host = f"[{bind}]" if ":" in bind else bind
    amqtt.broker.BrokerProtocolHandler = SteadyHandler  # looked up there for every connection
    broker = SteadyBroker(CONFIGURATION | {"listeners": {"default": {"type": "tcp", "bind": f"{host}:{port}"}}})
    await broker.start()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    await ended.wait()
    await broker.shutdown()


def main() -> None:
    logging.basicConfig(level=logging.ERROR, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    asyncio.run(run(sys.argv[1], int(sys.argv[2])))


if __name__ == "__main__":
    main()
