"""Who may do what: bearer tokens, and rules in the manner of Role and ClusterRole.

As long as no token is known, everybody may do everything. From the first one on, a wrong
token is 401, a missing one is the user system:anonymous, and what no rule allows is 403.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kubbo.sim.apiserver.objects import ApiError, Object

if TYPE_CHECKING:
    from kubbo.sim.apiserver.calls import Call

__all__ = ["Access", "Rule"]

_ANONYMOUS = "system:anonymous"
_PUBLIC = frozenset({"/healthz", "/livez", "/readyz", "/version"})  # system:public-info-viewer


@dataclass(frozen=True, slots=True)
class Rule:
    """Allows one verb on one resource (`pods`, `pods/status`); `*` stands for any.

    A rule for one namespace allows nothing at the scope of the cluster, such as a list over
    all namespaces.
    """

    verb: str
    resource: str
    namespace: str = "*"
    group: str = "*"

    def allows(self, call: Call) -> bool:
        """Whether it covers the call."""
        return (
            self.verb in ("*", call.verb)
            and self.resource in ("*", call.path_resource)
            and self.namespace in ("*", call.namespace)
            and self.group in ("*", call.group)
        )


class Access:
    """The tokens and their rules."""

    def __init__(self) -> None:
        self._tokens: dict[str, tuple[str, tuple[Rule, ...]]] = {}

    def grant(self, token: str, user: str, *rules: Rule) -> None:
        """Let the bearer of a token act as a user with exactly these rules."""
        self._tokens[token] = (user, rules)

    def revoke(self, token: str) -> None:
        """From now on the token is unknown: 401."""
        del self._tokens[token]

    def check(self, authorization: str, call: Call | None, path: str) -> None:
        """Let a request pass or not. `call` is None for a path that is no resource.

        Raises:
            ApiError: 401 or 403.
        """
        if not self._tokens:
            return
        scheme, _, token = authorization.partition(" ")
        user: str = _ANONYMOUS
        rules: tuple[Rule, ...] = ()
        if authorization:
            if scheme.lower() != "bearer" or token.strip() not in self._tokens:
                raise ApiError(401, "Unauthorized", "Unauthorized")
            user, rules = self._tokens[token.strip()]
        if call is None:
            if user == _ANONYMOUS and path.rstrip("/") not in _PUBLIC:
                raise ApiError(
                    403,
                    "Forbidden",
                    f'forbidden: User "{user}" cannot get path "{path}"',
                    details={},
                )
            return
        if not any(rule.allows(call) for rule in rules):
            raise _forbidden(user, call)


def _forbidden(user: str, call: Call) -> ApiError:
    plural = call.path_resource.partition("/")[0]
    qualified = f"{plural}.{call.group}" if call.group else plural
    what = f'{qualified} "{call.name}"' if call.name else qualified
    where = f'in the namespace "{call.namespace}"' if call.namespace else "at the cluster scope"
    details: Object = {"name": call.name} if call.name else {}
    if call.group:
        details["group"] = call.group
    details["kind"] = plural
    return ApiError(
        403,
        "Forbidden",
        f'{what} is forbidden: User "{user}" cannot {call.verb} resource '
        f'"{call.path_resource}" in API group "{call.group}" {where}',
        details=details,
    )
