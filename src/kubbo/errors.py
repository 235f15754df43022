"""What can go wrong, and how far a call got when it did.

Every failed call carries a `Code` (the words of gRPC, which Triple speaks and dubbo2's
statuses map onto) and a `Progress`. Whether a retry is safe is read from `progress`
alone: nothing else in Kubbo guesses it from a class or a message.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kubbo.model import Endpoint, Step

__all__ = [
    "Code",
    "ConfigError",
    "DeadlineExceeded",
    "DecodeError",
    "EncodeError",
    "KubboError",
    "NoProvider",
    "Progress",
    "ProtocolError",
    "RemoteException",
    "RpcError",
    "TargetError",
    "UsageError",
]


class Code(IntEnum):
    """Outcome of a call. Source: the status codes of gRPC."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class Progress(IntEnum):
    """How far a failed attempt got; the higher, the less safe is a retry.

    `NOT_SENT`: the provider's method provably did not run (the request never left, or was
    refused before it was dispatched). `SENT`: nobody knows. `ANSWERED`: the provider ran it.
    """

    NOT_SENT = 0
    SENT = 1
    ANSWERED = 2


class KubboError(Exception):
    """Root of everything that Kubbo raises on purpose."""


class UsageError(KubboError):
    """The caller's mistake: repeating the call as it is cannot help."""


class TargetError(UsageError):
    """A target or a service key does not follow the grammar; the message says where."""


class ConfigError(UsageError):
    """A setting, a kubeconfig or a credential cannot be used; the message names the file."""


class EncodeError(UsageError):
    """A value does not fit its declared type.

    Attributes:
        path: where in the arguments, like `orders[3].id`; empty for the value itself.
    """

    def __init__(self, message: str, *, path: str = "") -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.message = message
        self.path = path


class DecodeError(KubboError):
    """Bytes of a peer that are no valid message, or exceed a limit.

    Attributes:
        offset: index of the offending byte in the message.
        path: where in the value, like `[2].owner.name`; empty at the top.
    """

    def __init__(self, message: str, *, offset: int = -1, path: str = "") -> None:
        where = f" at byte {offset}" if offset >= 0 else ""
        super().__init__(f"{message}{where}{f' (in {path})' if path else ''}")
        self.message = message
        self.offset = offset
        self.path = path


class ProtocolError(KubboError):
    """A peer broke the protocol; its connection is closed, the next call gets a new one."""


class RpcError(KubboError):
    """A call failed.

    Attributes:
        code: what kind of failure.
        message: one sentence for a person.
        progress: whether the provider may have run the method.
        endpoint: the provider of the last attempt, if one was chosen.
        attachments: what came along with the answer.
        attempts: the failures of earlier attempts, first one first.
        refused: the provider itself refused the call, so that it has seen it.
        retry_after: seconds for which the provider asks to be left alone, None if it does not.
        funnel: where no provider could be used: the narrowing from the service key to nothing,
            step by step.
        advice: the one next thing to do, a clause without its full stop; empty where `message`
            says it, or nobody knows.
    """

    def __init__(
        self,
        code: Code,
        message: str,
        *,
        progress: Progress = Progress.SENT,
        endpoint: Endpoint | None = None,
        attachments: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.progress = progress
        self.endpoint = endpoint
        self.attachments: Mapping[str, object] = attachments or {}
        self.attempts: tuple[RpcError, ...] = ()
        self.refused = False
        self.retry_after: float | None = None
        self.funnel: tuple[Step, ...] = ()
        self.advice = ""

    @property
    def headline(self) -> str:
        """Code, message and provider: the text without the funnel and the earlier attempts."""
        at = f" (provider {self.endpoint})" if self.endpoint is not None else ""
        return f"{self.code.name}: {self.message}{at}"

    def __str__(self) -> str:
        text = self.headline
        if self.funnel:
            text += f" [{' > '.join(map(str, self.funnel))}]"
        if self.advice:
            text += f"; {self.advice}"
        for number, error in enumerate(self.attempts, 1):
            text += f"; attempt {number}: {error.headline}"
        return text


class DeadlineExceeded(RpcError):  # noqa: N818 - named after its code, as callers know it
    """The deadline of the call passed. The provider may still be at work on it."""

    def __init__(
        self,
        message: str,
        *,
        progress: Progress = Progress.SENT,
        endpoint: Endpoint | None = None,
    ) -> None:
        super().__init__(Code.DEADLINE_EXCEEDED, message, progress=progress, endpoint=endpoint)


class NoProvider(RpcError):  # noqa: N818 - the words every Dubbo user looks for
    """No provider could be chosen; nothing was sent."""

    def __init__(self, message: str, *, funnel: Sequence[Step] = (), advice: str = "") -> None:
        super().__init__(Code.UNAVAILABLE, message, progress=Progress.NOT_SENT)
        self.funnel = tuple(funnel)
        self.advice = advice


class RemoteException(RpcError):  # noqa: N818 - it stands for a Java exception
    """The provider's method threw, and no Python class is declared for what it threw.

    Attributes:
        class_name: the Java class, like `com.example.BizException`.
        cause: what caused it, if that was sent.
        stack: the remote stack, one frame a line, innermost first.
        fields: the exception's other fields, by their Java names.
    """

    def __init__(
        self,
        class_name: str,
        message: str,
        *,
        cause: RemoteException | None = None,
        stack: Sequence[str] = (),
        fields: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(Code.UNKNOWN, message, progress=Progress.ANSWERED)
        self.class_name = class_name
        self.cause = cause
        self.stack = tuple(stack)
        self.fields: Mapping[str, object] = fields or {}

    @property
    def headline(self) -> str:
        """Class, message, provider and causes; the earlier attempts have no part in an answer."""
        at = f" (provider {self.endpoint})" if self.endpoint is not None else ""
        cause = f"; caused by {self.cause}" if self.cause is not None else ""
        return f"{self.class_name}: {self.message}{at}{cause}"

    def __str__(self) -> str:
        return self.headline
