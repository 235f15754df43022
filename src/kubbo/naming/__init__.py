"""From a target to the endpoints behind it."""
