"""From the endpoints that are known to the one that takes a call, and on to the next one."""
