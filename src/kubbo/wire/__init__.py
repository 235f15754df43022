"""Wire protocols, without I/O and without a clock."""
