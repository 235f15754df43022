"""The table of docs/compatibility.md: which tests prove which cell, and what is lost by whom.

A cell names tests by the beginnings of their ids. It says "yes" when all of them passed and
nothing is noted, "partly" or "no" when a note says what is missing, and then the note's own tests
passed, which assert just that. So a line of the page is a claim that this run has proved; what no
test proves is not on the page. `test_compatibility.py` compares the page with the run, and writes
it when `KUBBO_WRITE_COMPATIBILITY=1` says so.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["COLUMNS", "FEATURES", "NARROWED", "OUTCOMES", "Note", "patterns", "render"]

OUTCOMES = pytest.StashKey[dict[str, bool]]()
"""In the session: which tests passed, by their ids; one that fails as expected has passed."""

NARROWED = pytest.StashKey[bool]()
"""In the configuration: whether tests were left out, by -k and the like."""

COLUMNS = {
    "java33>python": "Java 3.3 calls Python",
    "python>java33": "Python calls Java 3.3",
    "java32>python": "Java 3.2 calls Python",
    "python>java32": "Python calls Java 3.2",
    "go>python": "Go calls Python",
    "python>go": "Python calls Go",
}

FILES = {
    "java33>python": "test_java_calls_python.py::",
    "python>java33": "test_python_calls_java.py::",
    "java32>python": "test_java_32_consumer.py::",
    "python>java32": "test_java_32_provider.py::",
    "go>python": "test_go.py::",
    "python>go": "test_go.py::",
}


@dataclass(frozen=True)
class Note:
    """What is missing, whose doing it is, and the tests that assert it."""

    text: str
    tests: tuple[str, ...] = ()
    none: bool = False
    """Nothing of the feature is left: the cell says "no"."""


@dataclass(frozen=True)
class Cell:
    """The beginnings of the ids of its tests, from tests/interop on."""

    tests: tuple[str, ...]
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True)
class Feature:
    """A row; a column that it lacks is not tested or does not exist there."""

    name: str
    cells: dict[str, Cell] = field(default_factory=dict)


# --- what is lost ----------------------------------------------------------------------------

NANOSECONDS = Note(
    "Python's own times hold microseconds and the years 1 to 9999: finer digits are cut off, other"
    " years are refused with an error that names the argument. Undeclared values keep all.",
    (
        "test_java_calls_python.py::test_declared_times_keep_microseconds",
        "test_java_calls_python.py::test_a_declared_date_beyond_python_is_refused",
    ),
)
BEYOND = Note(
    "The answer of a method that declares a time is cut to microseconds; an answer that a declared"
    " `datetime` cannot hold is an error. Sent, and undeclared, the record that stands for such a"
    " time keeps all.",
    (
        "test_python_calls_java.py::test_a_record_of_a_time_is_sent",
        "test_python_calls_java.py::test_a_typed_date_beyond_python_is_an_error",
    ),
)
HASH_SET = Note(
    "A declared `set` has no order in Python: `LinkedHashSet` and `TreeSet` go back as `HashSet`."
    " Undeclared they come back as they were.",
    ("test_java_calls_python.py::test_a_declared_set_is_a_hash_set",),
)
MINUS_ZERO = Note(
    "hessian-lite writes -0.0 as 0.0; what Kubbo sends is right.",
    (
        "test_java_to_java.py::test_every_case_comes_back",
        "test_python_calls_java.py::test_java_sees_what_java_sent[double/minus-zero]",
    ),
)
SCRIPT = Note(
    "hessian-lite loses the script of a `Locale` (`zh_CN_#Hans` is read as `zh_CN`).",
    ("test_python_calls_java.py::test_a_typed_value_comes_back[locale/zh-Hans-CN]",),
)
UNLISTED = Note(
    "Dubbo 3.3 checks classes when it writes, too: an exception that no method declares is refused,"
    " and the caller gets status 50 with Java's reason. 3.2 writes it.",
    (
        "test_python_calls_java.py::test_an_unlisted_exception_is_told",
        "test_java_32_provider.py::test_an_unlisted_exception_arrives",
    ),
)
COLLSER_SENT = Note(
    "Dubbo 3.2 does not send `List.of`, `Set.of` and `Map.of`: what they turn into"
    " (`java.util.CollSer`) is not in its own allow list.",
    ("test_java_32_consumer.py::test_dubbo_3_2_does_not_send",),
)
COLLSER_ANSWERED = Note(
    "Dubbo 3.2 does not answer with `List.of`, `Set.of` and `Map.of`: status 50 without a message.",
    (
        "test_java_32_provider.py::test_dubbo_3_2_refuses[list/of-2]",
        "test_java_32_provider.py::test_dubbo_3_2_refuses[map/of]",
        "test_java_32_provider.py::test_dubbo_3_2_refuses[set/of-2]",
    ),
)
OLD_CODEC = Note(
    "hessian-lite 3.2 cannot build a record, and reads an enum of an object that lies in an object"
    " of another class as a map: neither can it read what it wrote itself.",
    ("test_java_32_consumer.py::test_dubbo_3_2_does_not_read",),
)
OLD_CODEC_PROVIDER = Note(
    OLD_CODEC.text,
    (
        "test_java_32_provider.py::test_dubbo_3_2_refuses[object/point]",
        "test_java_32_provider.py::test_dubbo_3_2_refuses[object/everything]",
    ),
)
REFILLED = Note(
    "hessian-lite 3.2 calls a constructor of an exception: one that is sent as a value arrives with"
    " a stack that it did not have.",
    ("test_java_32_consumer.py::test_dubbo_3_2_adds_a_stack",),
)
GO_NULLS = Note(
    'Go\'s strings, enums and structs have no null: zero values come back ("", the first'
    " constant, an empty object).",
    ("test_go.py::test_go_loses_nulls",),
)
GO_NULL_ARGUMENT = Note(
    "dubbo-go writes the type of a null argument as `V`, which is no parameter's: Java refuses it"
    " like Kubbo.",
    ("test_go.py::test_go_cannot_send_null", "test_go.py::test_java_takes_no_null_of_go_either"),
)
GO_NULL_FIELDS = Note(
    "A Go program cannot say null for a string or an enum inside an object.",
    ("test_go.py::test_go_loses_null_strings",),
)
GO_NULL_STRING = Note(
    "dubbo-go's reflection refuses null for a string or for bytes; where a method takes any type,"
    " dubbo-go answers null with its attachments.",
    (
        "test_go.py::test_go_refuses[string/null]",
        "test_go.py::test_go_refuses[bytes/null]",
        "test_go.py::test_go_answers_null_with_rubbish",
    ),
)
GO_SURROGATE = Note(
    "Go's decoder knows no half of a surrogate pair and closes the connection.",
    ("test_go.py::test_go_closes_the_connection[char/surrogate]",),
)
GO_NARROW = Note(
    "Go's decoder makes `[]int32` of `short[]` and `[]float64` of `float[]`: a method that takes"
    " the narrower type is never called.",
    ("test_go.py::test_go_refuses[array/short]", "test_go.py::test_go_refuses[array/float]"),
)
GO_WIDER = Note(
    "Go reads a short and a byte as `int32`, a float as `float64`, a char as `string`.",
    ("test_go.py::test_go_widens",),
)
GO_DECIMAL = Note(
    "Go's Decimal holds 81 digits; a longer one costs the connection.",
    ("test_go.py::test_go_closes_the_connection[decimal/100-digits]",),
)
GO_UNKNOWN = Note(
    "A class that no Go type is registered for, of the application or of Java, is a map in Go.",
    ("test_go.py::test_go_reads_an_unknown_class_as_a_map",),
)
GO_SQL = Note(
    "Go's structs for `java.sql.Date` and `Time` hide their value from whoever gets them.",
    ("test_go.py::test_go_reads_an_sql_date_without_its_value",),
    none=True,
)
GO_MEGABYTE = Note(
    "dubbo-go takes and sends 1,024,000 bytes where Dubbo allows 8 MiB; what is larger is refused,"
    " or costs the connection.",
    ("test_go.py::test_a_consumer_of_go_takes_one_megabyte",),
)
GO_MEGABYTE_PROVIDER = Note(
    GO_MEGABYTE.text, ("test_go.py::test_a_provider_of_go_takes_one_megabyte",)
)
GO_NOT_FOUND = Note(
    "dubbo-go tells a missing service or method as a `java.lang.Throwable`, as if the call had"
    " run: it is not retried elsewhere.",
    ("test_go.py::test_go_tells_what_it_does_not_serve",),
)
GO_THROWABLE = Note(
    "A plain error of Go is a `java.lang.Throwable` with its text (Java's class check makes a map"
    " of it, Kubbo a RemoteException).",
    ("test_go.py::test_gos_exceptions_tell_class_and_message",),
)
GO_OBEYS_NOT = Note(
    "dubbo-go takes READONLY for a heartbeat and goes on calling; Kubbo goes on answering while it"
    " drains.",
    ("test_go.py::test_go_does_not_obey_readonly",),
    none=True,
)
GO_SAYS_NOT = Note(
    "dubbo-go closes its connections at once when told to end, without READONLY; new calls go to"
    " other providers.",
    (
        "test_go.py::test_go_ends_without_readonly",
        "test_go.py::test_python_outlives_a_provider_of_go",
    ),
    none=True,
)
TLS_33 = Note(
    "A consumer of Dubbo 3.3 stays with plain text unless it is given a certificate and key of its"
    " own, and then fails every handshake unless"
    " `-Dio.netty.handler.ssl.defaultEndpointVerificationAlgorithm=NONE`: Netty 4.2 verifies a"
    " name that Dubbo does not tell it.",
    (
        "test_tls.py::test_java_without_a_certificate_speaks_plain_text",
        "test_tls.py::test_java_verifies_a_name_that_it_does_not_know",
    ),
)

JAVA_ASKS_NOT = Note(
    "A provider of Dubbo 3 sends no heartbeats; it closes a connection on which nothing came for"
    " three of its periods. Kubbo asks before that, and connects anew.",
    ("test_heartbeats.py::test_java_closes_what_is_idle_and_nothing_else",),
    none=True,
)
JAVA_NOTICES_LATE = Note(
    "A Java consumer sends heartbeats, but its calls wait for their timeout, whether they are"
    " answered or not.",
    ("test_heartbeats.py::test_java_leaves_a_call_to_a_dead_provider_waiting",),
    none=True,
)
GO_NOTICES_LATE = Note(
    "dubbo-go closes a connection after four heartbeats without an answer; the call waits for"
    " its timeout in any case.",
    ("test_heartbeats.py::test_go_notices_a_dead_provider",),
    none=True,
)
GO_MAPS = Note(
    "dubbo-go takes no constant's name for an enum in map form and tells its own as an object;"
    " octets come back as a list of numbers.",
    ("test_go_generic.py::test_go_knows_no_constants_and_no_octets_in_map_form",),
)
GO_BEANS = Note(
    "dubbo-go has no bean form.",
    ("test_go_generic.py::test_go_takes_no_bean_form",),
    none=True,
)
GO_METADATA = Note(
    "Of the MetadataService dubbo-go has `getMetadataInfo`, for a revision that it knows; it tells"
    " no list and no types.",
    ("test_go_generic.py::test_go_has_nothing_else_of_the_metadata_service",),
)
GO_TLS_CONSUMER = Note(
    "dubbo-go's `WithClientTLSOption` does not reach the dubbo protocol: it stays with plain text"
    " until getty is told (`getty.SetClientConf`). Then it wants a certificate and key of its own,"
    " and verifies no provider.",
    (
        "test_tls.py::test_gos_option_for_tls_leaves_a_consumer_with_plain_text",
        "test_tls.py::test_go_verifies_no_provider",
    ),
)
GO_TLS_PROVIDER = Note(
    "dubbo-go's `WithServerTLSOption` does not reach the dubbo protocol: it serves plain text until"
    " getty is told (`getty.SetServerConfig`). Then it wants some certificate of every consumer.",
    (
        "test_tls.py::test_gos_option_for_tls_leaves_a_provider_with_plain_text",
        "test_tls.py::test_go_wants_a_certificate",
    ),
)

# --- the rows --------------------------------------------------------------------------------


def values(name: str, *cases: str, **more: tuple[Note, ...] | tuple[str, ...]) -> Feature:
    """A row of values.

    Args:
        name: of the row.
        cases: how the ids of Java's cases begin.
        more: `go`, how those of Go's cases begin in both directions, `to_go` and `from_go` in
            one, or tests of their own; and notes by `java33_python` and the like.
    """
    tests = {
        "java33>python": (
            "test_a_declared_value_comes_back",
            "test_an_undeclared_value_comes_back",
        ),
        "python>java33": ("test_a_typed_value_comes_back", "test_java_sees_what_java_sent"),
        "java32>python": (
            "test_a_declared_value_comes_back",
            "test_an_undeclared_value_comes_back",
        ),
        "python>java32": ("test_a_typed_value_comes_back",),
        "go>python": ("test_go_calls_python",),
        "python>go": ("test_python_calls_go",),
    }
    of_go = more.pop("go", ())
    beginnings = dict.fromkeys(COLUMNS, cases)
    beginnings["go>python"] = more.pop("from_go", of_go)  # type: ignore[assignment]  # ids, by name
    beginnings["python>go"] = more.pop("to_go", of_go)  # type: ignore[assignment]  # ids, by name
    cells = {}
    for column in COLUMNS:
        notes = more.pop(column.replace(">", "_"), ())
        if not beginnings[column] and not notes:
            continue
        named = tuple(
            f"{FILES[column]}{each}"
            for case in beginnings[column]
            for each in (
                [case] if case.startswith("test_") else [f"{test}[{case}" for test in tests[column]]
            )
        )
        cells[column] = Cell(named, notes)  # type: ignore[arg-type]  # notes, by name
    assert not more, more
    return Feature(name, cells)


def calls(name: str, **tests: str | tuple[str | Note, ...]) -> Feature:
    """A row of behaviour: the test's name in its column's file, or its file and name; notes."""
    cells = {}
    for column in COLUMNS:
        told = tests.pop(column.replace(">", "_"), ())
        told = (told,) if isinstance(told, str) else told
        named = tuple(
            each if "::" in each else FILES[column] + each for each in told if isinstance(each, str)
        )
        notes = tuple(each for each in told if isinstance(each, Note))
        if named or notes:
            cells[column] = Cell(named, notes)
    assert not tests, tests
    return Feature(name, cells)


def java(name: str, called: str, calling: str) -> Feature:
    """A row that 3.3 and 3.2 share, and Go does not have."""
    return calls(
        name,
        java33_python=called,
        java32_python=called,
        python_java33=calling,
        python_java32=calling,
    )


def generic(version: str, *tests: str) -> tuple[str, ...]:
    """Tests of test_generic.py with one version of Dubbo, where `{}` is."""
    return tuple(f"test_generic.py::{each.format(version)}" for each in tests)


GENERIC_FROM_JAVA = (
    "test_a_generic_consumer_in_java_calls_python[{}-$invoke]",
    "test_java_gets_what_a_java_provider_gives[{}-",
)
GENERIC_TO_JAVA = (
    "test_java_finds_a_method_by_its_name[{}-",
    "test_a_value_goes_to_java_and_comes_back_in_map_form[{}-",
    "test_classes_that_are_given_come_as_themselves[{}-",
    "test_a_graph_reaches_java_and_comes_back[{}]",
    "test_what_java_throws_keeps_its_class_and_message[{}-",
    "test_what_java_does_not_find_is_told[{}]",
)
GENERIC_ASYNC = (
    "test_a_generic_consumer_in_java_calls_python[{}-$invokeAsync]",
    "test_java_gets_what_a_java_provider_gives[{}-",
    "test_the_future_of_a_generic_call_fails_with_it[{}]",
)
GENERIC_ASYNC_TO_JAVA = ("test_java_finds_a_method_by_its_name[{}-",)
BEANS_FROM_JAVA = (
    "test_java_gets_the_descriptors_of_a_java_provider[{}-",
    "test_java_gets_objects_in_bean_form[{}-",
    "test_an_object_with_getters_in_bean_form[{}]",
    "test_java_gets_a_generic_exception[{}-",
)
BEANS_TO_JAVA = (
    "test_java_understands_our_descriptors_and_we_its[{}-",
    "test_what_java_throws_keeps_its_class_and_message[{}-",
)
STRICT_CONSUMER = Note(
    "A consumer of Dubbo 3.3 does not send its own descriptors unless its class check is relaxed"
    " (`dubbo.application.serialize-check-status=WARN`).",
    ("test_generic.py::test_a_java_consumer_refuses_descriptors_by_default",),
)
STRICT_PROVIDER = Note(
    "A provider of Dubbo 3.3 refuses descriptors unless its class check is relaxed"
    " (`dubbo.application.serialize-check-status=WARN`).",
    ("test_generic.py::test_a_java_provider_refuses_descriptors_by_default",),
)
BEAN_GETTERS = {
    version: Note(
        "In bean form a Java provider tells the objects of its answer by their getters: a field"
        " that has none is lost. A Kubbo provider keeps it.",
        generic(version, "test_java_answers_without_public_fields_in_bean_form[{}]"),
    )
    for version in ("3.3.6", "3.2.16")
}
DISCOVERED = {
    version: tuple(
        f"test_discovery.py::{test}[{version}]"
        for test in (
            "test_java_finds_a_provider_by_its_application",
            "test_every_service_of_the_application_is_found",
            "test_calls_go_to_every_instance",
            "test_what_the_application_does_not_serve_is_not_found",
        )
    )
    for version in ("3.3.6", "3.2.16")
}

VALUES = [
    values("int, Integer", "int/", go=("int/",)),
    values("long, Long", "long/", go=("long/",)),
    values(
        "short, byte, char, float and their boxes",
        "short/",
        "byte/",
        "char/",
        "float/",
        to_go=("short/", "byte/", "char/", "float/"),
        go_python=(GO_WIDER,),
        python_go=(GO_SURROGATE,),
    ),
    values("boolean", "true", "false", go=("boolean/",)),
    values(
        "double",
        "double/",
        go=("double/",),
        java33_python=(MINUS_ZERO,),
        java32_python=(MINUS_ZERO,),
    ),
    values(
        "null",
        "null",
        go_python=(GO_NULL_ARGUMENT, GO_NULL_FIELDS),
        python_go=(GO_NULLS, GO_NULL_STRING),
    ),
    values("String, of any length, with emoji", "string/", go=("string/",)),
    values("byte[]", "bytes/", go=("bytes/",)),
    values("arrays", "array/", go=("array/",), python_go=(GO_NARROW,)),
    values(
        "lists",
        "list/",
        go=("list/",),
        java32_python=(COLLSER_SENT,),
        python_java32=(COLLSER_ANSWERED,),
    ),
    values(
        "sets",
        "set/",
        go=("set/",),
        java33_python=(HASH_SET,),
        java32_python=(HASH_SET, COLLSER_SENT),
        python_java32=(COLLSER_ANSWERED,),
    ),
    values(
        "maps, with keys of any type",
        "map/",
        go=("map/",),
        java32_python=(COLLSER_SENT,),
        python_java32=(COLLSER_ANSWERED,),
    ),
    values("enums", "enum/", go=("enum/",)),
    values(
        "objects: nested, inherited, generic, records",
        "object/",
        go=("object/",),
        java33_python=(NANOSECONDS,),
        java32_python=(OLD_CODEC,),
        python_java32=(OLD_CODEC_PROVIDER,),
        go_python=(GO_UNKNOWN, GO_NULL_FIELDS),
        python_go=(GO_NULLS,),
    ),
    values("graphs with cycles", "graph/", from_go=("test_go_keeps_cycles",)),
    values(
        "exceptions as values", "exception/", java32_python=(REFILLED,), python_java32=(REFILLED,)
    ),
    values(
        "java.util.Date",
        "date/",
        go=("date/",),
        java33_python=(NANOSECONDS,),
        java32_python=(NANOSECONDS,),
        python_java33=(BEYOND,),
        python_java32=(BEYOND,),
    ),
    values(
        "java.time",
        "time/",
        to_go=("time/",),
        from_go=("test_go_reads_what_python_produces[time/",),
        java33_python=(NANOSECONDS,),
        java32_python=(NANOSECONDS,),
        python_java33=(BEYOND,),
        python_java32=(BEYOND,),
        go_python=(GO_UNKNOWN,),
    ),
    values("java.sql", "sql/", go_python=(GO_SQL,)),
    values("BigDecimal", "decimal/", go=("decimal/",), python_go=(GO_DECIMAL,)),
    values("BigInteger", "biginteger/", go=("integer/",)),
    values(
        "UUID",
        "uuid",
        to_go=("uuid/",),
        from_go=("test_go_reads_what_python_produces[uuid",),
    ),
    values(
        "Locale",
        "locale/",
        from_go=("test_go_reads_what_python_produces[locale/",),
        python_java33=(SCRIPT,),
        python_java32=(SCRIPT,),
    ),
    values("BitSet, Class, Calendar, Currency, Atomic*", "bitset", "class/", "calendar", "atomic/"),
]

BEHAVIOUR = [
    calls(
        "typed calls with objects",
        java33_python="test_an_object_arrives",
        java32_python="test_an_object_arrives",
        python_java33="test_the_provider_is_the_one_that_was_named",
        python_java32="test_the_provider_is_the_one_that_was_named",
        go_python="test_go_greets_python",
        python_go="test_python_greets_go",
    ),
    calls(
        "group and version",
        java33_python="test_group_and_version_choose_the_service",
        java32_python="test_group_and_version_choose_the_service",
        python_java33="test_group_and_version_choose_the_service",
        python_java32="test_group_and_version_choose_the_service",
        go_python="test_python_tells_group_and_version_apart_for_go",
        python_go="test_go_tells_group_and_version_apart",
    ),
    calls(
        "overloads",
        java33_python="test_overloads_are_chosen_by_type",
        java32_python="test_overloads_are_chosen_by_type",
        python_java33="test_overloads_are_chosen_by_the_python_method",
        python_java32="test_overloads_are_chosen_by_the_python_method",
        go_python="test_overloads_are_chosen_by_gos_types",
    ),
    calls(
        "several arguments",
        java33_python="test_several_arguments_arrive_in_order",
        java32_python="test_several_arguments_arrive_in_order",
        python_java33="test_several_arguments_arrive_in_order",
        python_java32="test_several_arguments_arrive_in_order",
        go_python="test_gos_several_arguments_arrive",
        python_go="test_go_takes_several_arguments",
    ),
    calls(
        "void",
        java33_python="test_void_is_answered",
        java32_python="test_void_is_answered",
        python_java33="test_void_is_none",
        python_java32="test_void_is_none",
        go_python="test_go_gets_void",
        python_go="test_go_answers_void",
    ),
    calls(
        "one-way",
        java33_python="test_oneway_is_executed",
        java32_python="test_oneway_is_executed",
        python_java33="test_oneway_is_executed",
        python_java32="test_oneway_is_executed",
        go_python="test_gos_oneway_is_executed",
        python_go="test_go_executes_oneway",
    ),
    calls(
        "$echo",
        java33_python="test_echo_is_answered_without_a_service",
        java32_python="test_echo_is_answered_without_a_service",
        python_java33="test_echo_is_answered",
        python_java32="test_echo_is_answered",
        go_python="test_python_answers_gos_echo",
        python_go="test_go_answers_echo",
    ),
    calls(
        "attachments to the provider",
        java33_python="test_attachments_travel_both_ways",
        java32_python="test_attachments_travel_both_ways",
        python_java33="test_attachments_travel_both_ways",
        python_java32="test_attachments_travel_both_ways",
        go_python="test_gos_attachments_arrive",
        python_go="test_go_sees_attachments",
    ),
    java(
        "attachments to the consumer",
        "test_attachments_travel_both_ways",
        "test_attachments_travel_both_ways",
    ),
    calls(
        "answers in any order",
        java33_python="test_answers_come_in_any_order",
        java32_python="test_answers_come_in_any_order",
        python_java33="test_many_calls_share_a_connection",
        python_java32="test_many_calls_share_a_connection",
        go_python="test_python_answers_go_in_any_order",
        python_go="test_go_answers_in_any_order",
    ),
    calls(
        "messages of 7 MiB",
        java33_python="test_seven_mebibytes_each_way",
        java32_python="test_seven_mebibytes_each_way",
        python_java33="test_seven_mebibytes_each_way",
        python_java32="test_seven_mebibytes_each_way",
        go_python=(Note(GO_MEGABYTE.text, GO_MEGABYTE.tests, none=True),),
        python_go=(Note(GO_MEGABYTE.text, GO_MEGABYTE_PROVIDER.tests, none=True),),
    ),
    calls(
        "declared exceptions, with their fields",
        java33_python="test_a_declared_exception_is_javas_own",
        java32_python="test_a_declared_exception_is_javas_own",
        python_java33="test_a_declared_exception_is_its_class",
        python_java32="test_a_declared_exception_is_its_class",
        go_python="test_a_declared_exception_is_gos_own",
        python_go="test_gos_declared_exception_is_its_class",
    ),
    calls(
        "other exceptions",
        java33_python=(
            "test_an_exception_of_the_jdk_arrives",
            "test_an_undeclared_exception_is_a_runtime_exception",
        ),
        java32_python=(
            "test_an_exception_of_the_jdk_arrives",
            "test_an_undeclared_exception_is_a_runtime_exception",
        ),
        python_java33=("test_a_runtime_exception_keeps_class_cause_and_stack", UNLISTED),
        python_java32=(
            "test_a_runtime_exception_keeps_class_cause_and_stack",
            "test_an_unlisted_exception_arrives",
        ),
        go_python="test_go_gets_javas_exceptions",
        python_go=("test_gos_exceptions_tell_class_and_message", GO_THROWABLE),
    ),
    calls(
        "deadlines",
        java33_python="test_a_timeout_is_code_2_and_ends_the_method",
        java32_python="test_a_timeout_is_code_2_and_ends_the_method",
        python_java33="test_a_deadline_ends_one_call_only",
        python_java32="test_a_deadline_ends_one_call_only",
        go_python="test_gos_timeout_ends_the_method",
        python_go="test_a_deadline_ends_a_call_to_go",
    ),
    calls(
        "a call that is given up",
        python_java33="test_a_call_given_up_disturbs_nobody",
        python_java32="test_a_call_given_up_disturbs_nobody",
        python_go="test_a_call_to_go_can_be_given_up",
    ),
    calls(
        "what is not served is told",
        java33_python=("test_a_wrong_service_is_told", "test_a_wrong_method_is_told"),
        java32_python=("test_a_wrong_service_is_told", "test_a_wrong_method_is_told"),
        python_java33="test_java_refuses_what_it_does_not_serve",
        python_java32="test_java_refuses_what_it_does_not_serve",
        go_python="test_python_tells_go_what_it_does_not_serve",
        python_go=("test_go_tells_what_it_does_not_serve", GO_NOT_FOUND),
    ),
    calls(
        "generic calls: `$invoke` with maps",
        java33_python=(
            *generic("3.3.6", *GENERIC_FROM_JAVA, "test_java_gets_a_generic_exception[{}-"),
            "test_generic.py::test_java_is_told_how_generic_calls_are_turned_on",
        ),
        python_java33=(
            "test_generic_calls_take_and_give_records",
            "test_a_generic_value_comes_back",
            *generic("3.3.6", *GENERIC_TO_JAVA),
        ),
        java32_python=generic(
            "3.2.16", *GENERIC_FROM_JAVA, "test_java_gets_a_generic_exception[{}-"
        ),
        python_java32=(
            "test_generic_calls_take_and_give_records",
            *generic("3.2.16", *GENERIC_TO_JAVA),
        ),
        go_python=(
            "test_go_generic.py::test_a_value_comes_back_to_go_in_map_form",
            "test_go_generic.py::test_a_map_of_go_is_the_object_that_is_declared",
            "test_go_generic.py::test_go_knows_the_exception_of_a_generic_call",
        ),
        python_go=(
            "test_go_generic.py::test_a_value_comes_back_from_go_in_map_form",
            "test_go_generic.py::test_an_object_reaches_go_as_a_map",
            "test_go_generic.py::test_gos_errors_keep_class_and_message_in_generic_calls",
            GO_MAPS,
        ),
    ),
    calls(
        "generic calls: `$invokeAsync`",
        java33_python=generic("3.3.6", *GENERIC_ASYNC),
        python_java33=generic("3.3.6", *GENERIC_ASYNC_TO_JAVA),
        java32_python=generic("3.2.16", *GENERIC_ASYNC),
        python_java32=generic("3.2.16", *GENERIC_ASYNC_TO_JAVA),
    ),
    calls(
        "generic calls: `generic=bean`",
        java33_python=(*generic("3.3.6", *BEANS_FROM_JAVA), STRICT_CONSUMER),
        python_java33=(*generic("3.3.6", *BEANS_TO_JAVA), STRICT_PROVIDER, BEAN_GETTERS["3.3.6"]),
        java32_python=generic("3.2.16", *BEANS_FROM_JAVA),
        python_java32=(*generic("3.2.16", *BEANS_TO_JAVA), BEAN_GETTERS["3.2.16"]),
        python_go=(GO_BEANS,),
    ),
    calls(
        "MetadataService",
        java33_python="test_metadata.py::test_java_reads_the_metadata_of_python",
        python_java33="test_metadata.py::test_python_reads_the_metadata_of_java",
        java32_python="test_discovery.py::test_java_finds_a_provider_by_its_application[3.2.16]",
        python_java32="test_metadata.py::test_describe_asks_dubbo_3_2_by_the_name_of_its_application",
        go_python="test_go_generic.py::test_go_reads_the_metadata_of_python",
        python_go=("test_go_generic.py::test_python_reads_the_metadata_of_go", GO_METADATA),
    ),
    calls(
        "application-level discovery: found by application, asked what it serves",
        java33_python=DISCOVERED["3.3.6"],
        java32_python=DISCOVERED["3.2.16"],
    ),
    calls(
        "another serialization is refused with what to set",
        java33_python="test_another_serialization_is_answered",
        java32_python="test_another_serialization_is_answered",
    ),
    calls(
        "heartbeats of the consumer are answered",
        java33_python="test_javas_heartbeats_are_answered",
        java32_python="test_javas_heartbeats_are_answered",
        python_java33="test_java_answers_heartbeats",
        python_java32="test_java_answers_heartbeats",
        go_python="test_python_answers_gos_heartbeats",
        python_go="test_go_answers_heartbeats",
    ),
    calls(
        "heartbeats of the provider are answered",
        python_java33=(JAVA_ASKS_NOT,),
        python_java32=(JAVA_ASKS_NOT,),
        python_go=(
            "test_heartbeats.py::test_python_answers_the_heartbeats_of_a_go_provider",
            "test_heartbeats.py::test_a_go_provider_closes_who_does_not_answer",
        ),
    ),
    calls(
        "a provider that died is noticed within ten seconds of a call",
        java33_python=(JAVA_NOTICES_LATE,),
        go_python=(GO_NOTICES_LATE,),
        python_java33="test_heartbeats.py::test_a_provider_that_died_is_noticed",
        python_java32="test_heartbeats.py::test_a_provider_that_died_is_noticed",
        python_go="test_heartbeats.py::test_a_provider_that_died_is_noticed",
    ),
    calls(
        "READONLY: calls move on before the provider ends",
        java33_python="test_a_draining_provider_loses_no_call",
        java32_python="test_a_draining_provider_loses_no_call",
        python_java33="test_readonly_loses_no_call",
        python_java32=("test_the_end_of_a_provider_costs_idempotent_calls_nothing",),
        go_python=(GO_OBEYS_NOT,),
        python_go=(GO_SAYS_NOT,),
    ),
    calls(
        "TLS on the dubbo port",
        java33_python=("test_tls.py::test_java_calls_python_over_tls[3.3.6]", TLS_33),
        java32_python="test_tls.py::test_java_calls_python_over_tls[3.2.16]",
        python_java33="test_tls.py::test_python_calls_java_over_tls[3.3.6]",
        python_java32="test_tls.py::test_python_calls_java_over_tls[3.2.16]",
        go_python=(
            "test_tls.py::test_go_calls_python_over_tls",
            "test_tls.py::test_python_may_ask_go_for_its_certificate",
            GO_TLS_CONSUMER,
        ),
        python_go=("test_tls.py::test_python_calls_go_over_tls", GO_TLS_PROVIDER),
    ),
]

FEATURES = {"Values": VALUES, "Calls and connections": BEHAVIOUR}

# --- the page --------------------------------------------------------------------------------

HEAD = """\
# Compatibility

Written by the interop tests (`tests/interop`), not by hand: a cell says what a run with the real
peers has proved, and a difference between this page and a run fails the run. `yes`: every test of
it passed. `partly`, `no`: the note tells what is missing and whose doing it is, and tests assert
just that, so that a new version of a peer that can do it is noticed. `-`: nothing to compare, or
no test.

The peers: Dubbo Java 3.3.6 (hessian-lite 4.0.4), Dubbo Java 3.2.16 (hessian-lite 3.2.13), and
dubbo-go 3.3.1 (dubbo-go-hessian2 1.12.5), all over the dubbo protocol with hessian2.
"""

TAIL = """\
## What hessian-lite loses between two Javas

Found with the same cases between two Java peers, and expected by the tests above:

- In an undeclared position `byte` and `short` become `Integer`, `float` becomes `Double`, `char`
  and `char[]` become `String`.
- `-0.0` becomes `0.0`; the nanoseconds of a `Timestamp` become milliseconds.
- `List.of`, `Arrays.asList` and `Collections.*List` come back as `ArrayList`, `Set.of` as
  `HashSet`, `Map.of`, `EnumMap` and `Collections.*Map` as `HashMap`.
- Of a field that hides one of its parent, the parent's is lost.
- A primitive `float` field of an object is read as a double into its four bytes, and destroys its
  neighbour (hessian-lite 4.0.4). The tests' classes have none; use `double` or `Float`.
- For `$invoke` a record has no properties: Java makes a map without its fields.
"""


def patterns() -> Iterator[str]:
    """The beginnings of the ids of all tests that the page rests on."""
    for rows in FEATURES.values():
        for row in rows:
            for cell in row.cells.values():
                yield from cell.tests
                for note in cell.notes:
                    yield from note.tests


def render(failed: Mapping[str, bool]) -> str:
    """The page.

    Args:
        failed: by pattern: whether one of its tests failed, or none was there.
    """
    numbers: dict[str, int] = {}

    def text(cell: Cell | None) -> str:
        if cell is None:
            return "-"
        tests = [*cell.tests, *(test for note in cell.notes for test in note.tests)]
        if any(failed[test] for test in tests):
            return "FAILED"
        if not cell.notes:
            return "yes"
        shown = [numbers.setdefault(note.text, len(numbers) + 1) for note in cell.notes]
        word = "no" if any(note.none for note in cell.notes) else "partly"
        return f"{word} ({', '.join(map(str, shown))})"

    parts = [HEAD]
    for title, rows in FEATURES.items():
        lines = [
            f"## {title}\n",
            f"| | {' | '.join(COLUMNS.values())} |",
            f"|---|{'---|' * len(COLUMNS)}",
            *(
                f"| {row.name} | {' | '.join(text(row.cells.get(each)) for each in COLUMNS)} |"
                for row in rows
            ),
        ]
        parts.append("\n".join(lines) + "\n")
    notes = (f"{number}. {note}" for note, number in numbers.items())
    parts.append("## Notes\n\n" + "\n".join(notes) + "\n")
    parts.append(TAIL)
    return "\n".join(parts)
