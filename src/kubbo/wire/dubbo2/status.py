"""dubbo2's response statuses, as codes and back.

Java maps 25 to a serialization failure, 30 and 31 to a timeout, and everything else to
"network"; the code here keeps more. `refused` marks the statuses that a provider sends
before it runs the method, so that another provider may be tried.

A status has a text and nothing else. A provider of Kubbo that has too much to do says at the end of
it for how long it wants to be left alone, `(retry after 250 ms)`; to every other peer that is text.

Source: org.apache.dubbo.remoting.exchange.Response and DubboCodec.
"""

from __future__ import annotations

import re
from typing import Final

from kubbo.errors import Code
from kubbo.wire.session import Status

OK: Final = 20
SERIALIZATION_ERROR: Final = 25
CLIENT_TIMEOUT: Final = 30
SERVER_TIMEOUT: Final = 31
BAD_REQUEST: Final = 40
BAD_RESPONSE: Final = 50
SERVICE_NOT_FOUND: Final = 60
SERVICE_ERROR: Final = 70
SERVER_ERROR: Final = 80
CLIENT_ERROR: Final = 90
THREAD_POOL_EXHAUSTED: Final = 100

_RETRY_AFTER: Final = re.compile(r" \(retry after ([0-9]{1,6}) ms\)\Z")

_TO_CODE: Final[dict[int, tuple[Code, bool, str]]] = {
    SERIALIZATION_ERROR: (Code.INTERNAL, False, "serialization error"),
    CLIENT_TIMEOUT: (Code.DEADLINE_EXCEEDED, False, "client timeout"),
    SERVER_TIMEOUT: (Code.DEADLINE_EXCEEDED, False, "server timeout"),
    BAD_REQUEST: (Code.INVALID_ARGUMENT, True, "bad request"),
    BAD_RESPONSE: (Code.INTERNAL, False, "bad response"),
    SERVICE_NOT_FOUND: (Code.UNIMPLEMENTED, True, "service not found"),
    SERVICE_ERROR: (Code.UNKNOWN, False, "service error"),
    SERVER_ERROR: (Code.INTERNAL, False, "server error"),
    CLIENT_ERROR: (Code.UNAVAILABLE, False, "client error"),
    THREAD_POOL_EXHAUSTED: (Code.RESOURCE_EXHAUSTED, True, "thread pool exhausted"),
}

_FROM_CODE: Final[dict[Code, int]] = {
    Code.OK: OK,
    Code.CANCELLED: SERVER_ERROR,
    Code.UNKNOWN: SERVICE_ERROR,
    Code.INVALID_ARGUMENT: BAD_REQUEST,
    Code.DEADLINE_EXCEEDED: SERVER_TIMEOUT,
    Code.NOT_FOUND: SERVICE_NOT_FOUND,
    Code.ALREADY_EXISTS: SERVICE_ERROR,
    Code.PERMISSION_DENIED: SERVICE_ERROR,
    Code.RESOURCE_EXHAUSTED: THREAD_POOL_EXHAUSTED,
    Code.FAILED_PRECONDITION: SERVICE_ERROR,
    Code.ABORTED: SERVICE_ERROR,
    Code.OUT_OF_RANGE: BAD_REQUEST,
    Code.UNIMPLEMENTED: SERVICE_NOT_FOUND,
    Code.INTERNAL: SERVER_ERROR,
    Code.UNAVAILABLE: SERVER_ERROR,
    Code.DATA_LOSS: SERVER_ERROR,
    Code.UNAUTHENTICATED: SERVICE_ERROR,
}


def to_status(number: int, message: str) -> Status:
    """The meaning of a response status; a number nobody knows is `UNKNOWN`."""
    code, refused, name = _TO_CODE.get(number, (Code.UNKNOWN, False, "unknown status"))
    rest = _RETRY_AFTER.search(message) if number == THREAD_POOL_EXHAUSTED else None
    return Status(
        code,
        f"status {number} ({name}): {message or 'no message'}",
        refused,
        int(rest[1]) / 1000 if rest else None,
    )


def to_text(status: Status) -> str:
    """What is sent for a status besides its number."""
    if status.retry_after is None:
        return status.message
    return f"{status.message} (retry after {max(1, round(status.retry_after * 1000))} ms)"


def from_code(code: Code) -> int:
    """The status that says `code` best."""
    return _FROM_CODE[code]
