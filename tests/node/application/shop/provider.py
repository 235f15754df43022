"""The Python provider: `kubbo serve shop.provider:Greeter`."""

from __future__ import annotations

import asyncio
import os

from shop.interface import GreetService, User


class Greeter(GreetService):
    async def greet(self, user: User) -> str:
        await asyncio.sleep(0.01)  # so that calls are in flight whenever something happens
        return f"Hello {user.name} ({user.id}) from python {os.environ['HOSTNAME']}"
