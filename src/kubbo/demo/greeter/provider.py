"""A provider: it opens a port, and writes nothing anywhere."""

import asyncio

import kubbo

from .interface import GreetService, User


class Greeter(GreetService):
    async def greet(self, user: User) -> str:
        return f"Hello {user.name}"


async def main(server: kubbo.Server) -> None:
    async with server:
        server.export(Greeter())
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(kubbo.Server(port=20880)))
