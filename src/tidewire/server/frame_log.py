"""`--debug-frames`: a line for each WebSocket frame, with secrets masked. For development."""

import json
import re
import sys
from datetime import datetime
from typing import Any, Final, Literal

from tidewire.fanout.frames import Frame
from tidewire.server.protocol import DirectProtocol

# Longer texts are cut; a line should fit on a screen.
TEXT_CHARACTERS: Final = 500
# A text that is longer is not parsed: only its beginning is masked and shown.
PARSED_CHARACTERS: Final = 100_000
MASK: Final = "***"

_NAMES: Final = r"token|passw|secret|cookie|authori[sz]ation|ticket|session|csrf|api_?key|credential|signature"
_SECRET_NAME: Final = re.compile(_NAMES, re.IGNORECASE)
# `Bearer x`, and `Authorization: Basic x`: two words, of which the second is secret.
_SCHEME: Final = re.compile(r"(\bbearer|authori[sz]ation\W{1,6}\w+)\s+[^\s\"',;]+", re.IGNORECASE)
_ASSIGNED: Final = re.compile(rf"([\w-]*(?:{_NAMES})[\w-]*\\?[\"']?\s*[=:]\s*\\?[\"']?)[^\s&;,\"'\\]+", re.IGNORECASE)
# A JWT, or a value that Django has signed: parts of letters and digits, joined by dots or colons.
_SIGNED: Final = re.compile(r"[\w-]{4,}(?:[.:][\w=-]{4,}){1,}")
_SIGNED_CHARACTERS: Final = 40


def masked(text: str) -> str:
    """Return a message as one printable line, with the values of secrets replaced."""
    try:
        value = json.loads(text) if len(text) <= PARSED_CHARACTERS else None
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, (dict, list)):
        line = json.dumps(_masked_value(value), ensure_ascii=False)
    else:
        # Cut generously, because the mask of a long secret is short.
        line = _masked_words(text[: 10 * TEXT_CHARACTERS])
    if len(line) > TEXT_CHARACTERS:
        line = f"{line[:TEXT_CHARACTERS]}..."
    # A client could otherwise send commands to the terminal.
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in line)


def _masked_value(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            _masked_words(name): MASK if _SECRET_NAME.search(name) and part is not None else _masked_value(part)
            for name, part in value.items()
        }
    if isinstance(value, list):
        return [_masked_value(part) for part in value]
    return _masked_words(value) if isinstance(value, str) else value


def _masked_words(text: str) -> str:
    text = _SCHEME.sub(rf"\1 {MASK}", text)
    text = _ASSIGNED.sub(rf"\1{MASK}", text)
    return _SIGNED.sub(_masked_if_signed, text)


def _masked_if_signed(match: re.Match[str]) -> str:
    found = match[0]
    return MASK if len(found) >= _SIGNED_CHARACTERS and any(letter.isdigit() for letter in found) else found


def topic_of(text: str) -> str | None:
    """Return the topic that an event of tidewire names."""
    if '"topic"' not in text[:PARSED_CHARACTERS]:
        return None
    try:
        topic = json.loads(text).get("topic")
    except (ValueError, AttributeError, RecursionError):
        return None
    return topic if isinstance(topic, str) else None


class LoggedProtocol(DirectProtocol):
    """A socket that prints its frames on standard error: `12:03:04.123 -> notifications 45 B :52352 {...}`.

    `->` is a frame to the client, `<-` one of the client. The name is that of the topic, or the path of the socket
    without its query, and the number is the client's port, which tells the tabs of a browser apart.
    """

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self._print("<-", payload if isBinary else payload.decode())
        super().onMessage(payload, isBinary)

    def onCloseFrame(self, code: int | None, reasonRaw: bytes | None) -> Any:
        self._print_control("<-", f"close {code or ''}".strip())
        return super().onCloseFrame(code, reasonRaw)

    def onPing(self, payload: bytes) -> None:
        self._print_control("<-", "ping")
        super().onPing(payload)

    def onPong(self, payload: bytes) -> None:
        self._print_control("<-", "pong")
        super().onPong(payload)

    def _sendAutoPing(self) -> None:
        self._print_control("->", "ping")
        super()._sendAutoPing()

    def sendCloseFrame(self, code: int | None = None, reasonUtf8: bytes | None = None, isReply: bool = False) -> None:
        if self.state == self.STATE_OPEN:
            self._print_control("->", f"close {code or ''}".strip())
        super().sendCloseFrame(code, reasonUtf8, isReply)

    def write(self, frames: list[Any], wire: bytes) -> None:
        if self.state == self.STATE_OPEN and self.send_state == self.SEND_STATE_GROUND:
            self._print_frames(frames)
        super().write(frames, wire)

    def try_write(self, frames: list[Any], wire: bytes, limit: int) -> bool:
        waiting = self.backlog
        if waiting and waiting + len(wire) > limit:
            return False
        self.write(frames, wire)
        return True

    def handle_reply(self, message: dict[str, Any]) -> None:
        if message.get("type") == "websocket.send" and self.state == self.STATE_OPEN:
            text, data = message.get("text"), message.get("bytes")
            if text is not None or data is not None:
                self._print("->", data if text is None else text)
        super().handle_reply(message)

    def _print_frames(self, frames: list[Frame]) -> None:
        for frame in frames:
            self._print("->", frame.text)

    def _print(self, direction: Literal["->", "<-"], content: str | bytes | None) -> None:
        if isinstance(content, str):
            name = topic_of(content) or self._path
            self._print_line(direction, name, f"{len(content.encode())} B", masked(content))
        else:
            self._print_line(direction, self._path, f"{len(content or b'')} B", "(binary)")

    def _print_control(self, direction: Literal["->", "<-"], name: str) -> None:
        self._print_line(direction, self._path, "control", name)

    def _print_line(self, direction: str, name: str, size: str, text: str) -> None:
        now = datetime.now().astimezone().strftime("%H:%M:%S.%f")[:-3]
        port = (getattr(self, "client_addr", None) or ("", ""))[1]
        # Not logged: a project's LOGGING may send it elsewhere, or nowhere.
        print(f"{now} {direction} {masked(name)} {size} :{port} {text}", file=sys.stderr, flush=True)  # noqa: T201

    @property
    def _path(self) -> str:
        path = getattr(self, "path", b"")
        text = path.decode("utf8", "replace") if isinstance(path, bytes) else str(path)
        return text.partition("?")[0]
