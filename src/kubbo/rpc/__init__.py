"""Interfaces, the consumer that calls them and the provider that serves them."""
