"""What the provider and its consumers share: the Dubbo interface, as Java declares it."""

from dataclasses import dataclass
from typing import Protocol

import kubbo


@kubbo.pojo("com.example.User")
@dataclass
class User:
    id: kubbo.java.Long
    name: str


@kubbo.service("com.example.GreetService", version="1.0.0")
class GreetService(Protocol):
    @kubbo.method(idempotent=True, timeout=0.5)
    async def greet(self, user: User) -> str: ...
