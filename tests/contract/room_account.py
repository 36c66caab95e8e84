"""The account of chat messages between pods: each message, the sockets that it was due to, and their receipts."""

from collections import Counter
from dataclasses import dataclass, field

# A socket's group is joined, and a message passed on, within this time. A message nearer to the begin or the end of a
# socket may or may not reach it.
GRACE_SECONDS = 1.0


@dataclass
class Socket:
    """A socket from its handshake to its close, of one kind of pod."""

    room: str
    kind: str
    opened_at: float
    closed_at: float = float("inf")
    received: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Message:
    """A message. Its text is unique; `sender` names its order."""

    text: str
    room: str
    sender: Socket
    number: int
    sent_at: float


@dataclass
class Account:
    """Counts of deliveries by the kinds of pods of sender and receiver."""

    due: Counter[tuple[str, str]] = field(default_factory=Counter)
    lost: Counter[tuple[str, str]] = field(default_factory=Counter)
    doubled: int = 0
    reordered: int = 0
    # Messages of a socket that was closed just after, which no socket received.
    unsent: int = 0

    def lines(self) -> list[str]:
        """Return the account as a table."""
        rows = [f"{'from':10}{'to':10}{'due':>8}{'lost':>6}"]
        rows += [
            f"{source:10}{target:10}{count:8}{self.lost[source, target]:6}"
            for (source, target), count in sorted(self.due.items())
        ]
        total = f"{sum(self.due.values()):8}{sum(self.lost.values()):6}"
        return [
            *rows,
            f"{'all':20}{total}",
            f"doubled {self.doubled}, reordered {self.reordered}, unsent {self.unsent}",
        ]


def account(sockets: list[Socket], messages: list[Message]) -> Account:
    """Compare all receipts with all messages. Sockets that are open at the end have no `closed_at`."""
    result = Account()
    by_text = {message.text: message for message in messages}
    receipts = {id(socket): set(socket.received) for socket in sockets}
    arrived = set().union(*receipts.values()) if receipts else set()
    for message in messages:
        if message.text not in arrived and message.sender.closed_at - message.sent_at < GRACE_SECONDS:
            result.unsent += 1
            continue
        for socket in sockets:
            is_due = (
                socket.room == message.room
                and socket.opened_at + GRACE_SECONDS <= message.sent_at
                and message.sent_at + GRACE_SECONDS <= socket.closed_at
            )
            if is_due:
                kinds = (message.sender.kind, socket.kind)
                result.due[kinds] += 1
                result.lost[kinds] += message.text not in receipts[id(socket)]
    for socket in sockets:
        result.doubled += len(socket.received) - len(receipts[id(socket)])
        result.reordered += _out_of_order([by_text[text] for text in socket.received])
    return result


def _out_of_order(received: list[Message]) -> int:
    """Return the number of messages that came after a later one of the same sender."""
    count = 0
    last: dict[int, int] = {}
    for message in received:
        count += message.number < last.get(id(message.sender), -1)
        last[id(message.sender)] = max(message.number, last.get(id(message.sender), -1))
    return count
