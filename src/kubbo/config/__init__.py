"""Configuration, without I/O: what may be set, where, and which layer wins.

    options.py        what a call may be given, in Python's words
    settings.py       the table of all settings, by Dubbo's keys
    document.py       YAML as nodes with line and column
    matching.py       conditions on addresses and texts
    overrides.py      Dubbo's configurator rules
    configuration.py  a whole configuration, of many files
    layers.py         which layer wins, and why
    question.py       asking for that
    schema.py         the JSON Schema

Who reads files and ConfigMaps is elsewhere; here is what their text means. Only the options are
named here: a program without a configuration loads nothing else.
"""

from kubbo.config.options import DEFAULT_RETRIES, DEFAULT_TIMEOUT, Options, Parameter

__all__ = ["DEFAULT_RETRIES", "DEFAULT_TIMEOUT", "Options", "Parameter"]
