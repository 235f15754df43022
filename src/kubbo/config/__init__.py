"""Configuration, without I/O: what may be set, where, and which layer wins.

    options.py      what a call may be given, in Python's words

Who reads files and ConfigMaps is elsewhere; here is what their text means.
"""

from kubbo.config.options import DEFAULT_RETRIES, DEFAULT_TIMEOUT, Options, Parameter

__all__ = ["DEFAULT_RETRIES", "DEFAULT_TIMEOUT", "Options", "Parameter"]
