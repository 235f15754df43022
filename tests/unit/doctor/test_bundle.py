"""What a bundle holds, and what never gets into one."""

from __future__ import annotations

import base64
import json

import msgspec
import pytest

from kubbo.doctor.bundle import VERSION, Bundle, Log, cleaned, load, save
from kubbo.doctor.objects import Event, Node, Pod, Workload
from kubbo.errors import UsageError

SECRET = "correct-horse-battery"

CONTAINER = {
    "name": "provider",
    "image": "greeter:1",
    "command": ["/app/run", f"--password={SECRET}"],
    "args": [SECRET],
    "env": [
        {"name": "PLAIN", "value": SECRET},
        {"name": "REFERRED", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}},
    ],
    "readinessProbe": {
        "httpGet": {"port": 80, "httpHeaders": [{"name": "Authorization", "value": SECRET}]}
    },
    "lifecycle": {"postStart": {"exec": {"command": [SECRET]}}},
}
POD = {
    "metadata": {
        "name": "greeter-1",
        "annotations": {
            "kubectl.kubernetes.io/last-applied-configuration": SECRET,
            "kubbo.dev/services": "com.example.Greeter",
        },
        "managedFields": [{"manager": SECRET}],
    },
    "spec": {
        "containers": [CONTAINER],
        "imagePullSecrets": [{"name": SECRET}],
        "volumes": [{"name": "v", "secret": {"secretName": "db"}, "nfs": {"server": SECRET}}],
    },
}


@pytest.mark.parametrize(
    ("kind", "value"),
    [(Pod, POD), (Workload, {"spec": {"template": POD}}), (Node, {"spec": {"providerID": SECRET}})],
)
def test_values_of_variables_arguments_and_foreign_annotations_are_not_kept(kind, value):
    """An object is read as the API server sends it; none of the secrets is in what is kept."""
    kept = msgspec.json.encode(msgspec.convert(value, kind))
    assert SECRET.encode() not in kept


def test_what_names_a_secret_is_kept():
    """The rules have to know which Secret and key a pod needs."""
    kept = msgspec.convert(POD, Pod)
    (container,) = kept.spec.containers
    assert container.env[1].value_from.secret_key_ref.key == "password"
    assert kept.spec.volumes[0].secret.secret_name == "db"
    assert kept.metadata.annotations.services == "com.example.Greeter"


TOKEN = ".".join(
    base64.urlsafe_b64encode(part).decode().rstrip("=")
    for part in (b'{"alg":"RS256"}', b'{"sub":"system:serviceaccount"}', b"signature")
)


@pytest.mark.parametrize(
    "line",
    [
        f"password={SECRET}",
        f"DB_PASSWORD: {SECRET}",
        f'{{"user": "ann", "api_key": "{SECRET}"}}',
        f"connecting to jdbc:mysql://root:{SECRET}@db/shop",
        f"Authorization: Bearer {SECRET}",
        f"client.secret = '{SECRET}'",
        f"token {TOKEN} {TOKEN}".replace(TOKEN, TOKEN, 1),
        f"-----BEGIN RSA PRIVATE KEY----- {SECRET}",
    ],
)
def test_what_looks_like_a_credential_is_masked_in_free_text(line):
    """Log lines and messages are written by anybody."""
    bundle = Bundle(
        version=VERSION,
        logs=[Log("greeter-1", "provider", lines=[line])],
        events=[Event(message=line)],
    )
    text = msgspec.json.encode(cleaned(bundle)).decode()
    assert SECRET not in text
    assert TOKEN not in text
    assert "(left out)" in text


def test_other_text_is_left_as_it_is():
    """What helps to find a cause is not masked away."""
    lines = [
        'secret "db" not found',
        "couldn't find key password in Secret shop/db",
        "KeyError: 'DATABASE_URL'",
    ]
    (log,) = cleaned(Bundle(version=VERSION, logs=[Log("a", "b", lines=lines)])).logs
    assert log.lines == lines


def test_long_texts_are_cut():
    """A message of a megabyte is no evidence."""
    (event,) = cleaned(Bundle(events=[Event(message="x" * 1_000_000)])).events
    assert len(event.message) < 1_100


def test_what_was_saved_is_loaded(tmp_path):
    """A bundle survives the way through a file."""
    bundle = Bundle(version=VERSION, taken="2026-01-01T00:00:00Z", pods=[msgspec.convert(POD, Pod)])
    save(bundle, tmp_path / "bundle.json")
    assert load(tmp_path / "bundle.json") == bundle


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"\xff\xfe",
        b'{"version": 99}',
        b"{}",
        b'{"version": 1, "pods": 3}',
        b"[" * 100_000,
        json.dumps({"version": 1, "pods": [{"status": {"containerStatuses": "x"}}]}).encode(),
    ],
)
def test_a_file_that_is_no_bundle_is_refused_in_one_sentence(tmp_path, content):
    """Whatever is in it: a usage error that names the file."""
    (tmp_path / "bundle.json").write_bytes(content)
    with pytest.raises(UsageError, match="is no bundle"):
        load(tmp_path / "bundle.json")


def test_a_file_that_is_not_there(tmp_path):
    """Reading and writing name the file and the reason."""
    with pytest.raises(UsageError, match="cannot read"):
        load(tmp_path / "none.json")
    with pytest.raises(UsageError, match="cannot write"):
        save(Bundle(), tmp_path / "none" / "bundle.json")
