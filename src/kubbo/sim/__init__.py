"""Stand-ins for the world outside, for tests and the demo; nothing of the product imports them."""
