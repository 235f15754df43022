"""What runs in the pods of tests/node: a provider, and a consumer that never stops calling."""
