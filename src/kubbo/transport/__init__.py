"""The asyncio side: sessions driven over sockets."""
