"""What obeying works on: the parts of a node that an accepted message changes."""

from dataclasses import dataclass

from devices.node.afterwards import Afterwards
from devices.node.conductor import Conductor
from devices.node.ledger import Ledger
from devices.node.notes import Notes
from devices.node.receiving import Receiving
from devices.node.records import Records
from devices.node.timing import NodeTime
from devices.protocol.identity import NodeIdentity


@dataclass(frozen=True)
class Senses:
    """The parts of one node."""

    identity: NodeIdentity
    records: Records
    time: NodeTime
    ledger: Ledger
    notes: Notes
    conductor: Conductor
    receiving: Receiving
    after: Afterwards
