"""A consumer: it asks the API server who is ready, and calls one of them."""

import asyncio

import kubbo

from .interface import GreetService, User


async def main() -> None:
    async with kubbo.Channel() as channel:
        greeter = channel.refer(GreetService, "kubernetes:///greeter.shop:dubbo")
        print(await greeter.greet(User(1, "Ann")))


asyncio.run(main())
