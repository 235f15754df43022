"""The interface that the Python provider, the Java provider and the consumer share."""

from __future__ import annotations

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
    @kubbo.method(timeout=10.0)
    async def greet(self, user: User) -> str: ...
