"""Addresses of stores: which are taken, and that no part that may be a password is ever shown."""

from __future__ import annotations

import string
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pcdarts_tune.addresses import (
    check_study_uri,
    check_uri,
    engine_url,
    has_secret,
    keep_secret,
    masked,
    masked_line,
    same_database,
    without_secret,
)
from pcdarts_tune.cli.group import explain
from pcdarts_tune.databases import find_trouble
from pcdarts_tune.doctor.check import Check, run_check
from pcdarts_tune.errors import UserError
from pcdarts_tune.tracking.outbox import describe_error

SECRET = "Zebra-9$!"


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("postgresql://me:{}@db/optuna", "postgresql://me@db/optuna"),
        (
            "postgresql://me@db/optuna?sslmode=require&password={}",
            "postgresql://me@db/optuna?sslmode=require",
        ),
        ("postgresql+psycopg://me:{}@[::1]:5433/db", "postgresql+psycopg://me@[::1]:5433/db"),
        ("postgresql:///db?host=/run/pg&password={}", "postgresql:///db?host=/run/pg"),
        ("https://me:{}@host:5000/path?token={}", "https://host:5000/path"),
        ("https://{}@host", "https://host"),
        ("postgresql://me:/{}@db/optuna", "postgresql://…"),
        ("postgresql://me:#{}@db/optuna", "postgresql://…"),
        ("postgresql://me:?{}@db/optuna", "postgresql://…"),
    ],
)
def test_what_may_be_seen_of_an_address(uri: str, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    uri = uri.replace("{}", SECRET)
    keep_secret(uri)
    assert without_secret(uri) == shown
    assert has_secret(uri) or uri == f"https://{SECRET}@host"
    for text in (f"cannot reach {uri}: refused", f"sent {SECRET} to the host", repr(ConnectionError(uri))):
        assert SECRET not in masked(text)
    try:
        raise RuntimeError(f"no answer from {uri}")
    except RuntimeError as error:
        assert explain(error, verbose=True) == 1
    assert explain(UserError("no", hint=uri)) == 2
    assert SECRET not in capsys.readouterr().err


def raised(error: Exception) -> Check:
    raise error


@pytest.mark.parametrize(
    "say",
    [
        masked_line,
        lambda error: masked_line(str(error)),
        describe_error,
        lambda error: find_trouble(error, "").said,
        lambda error: run_check("store", lambda: raised(error), lambda text: (text, "")).finding,
    ],
)
@pytest.mark.parametrize("before", [285, 290, 295, 299])
def test_a_password_across_the_end_of_a_line_does_not_keep_its_first_part(
    say: Callable[[Exception], str], before: int
) -> None:
    keep_secret(f"postgresql://me:{SECRET}@db/x")
    said = say(ValueError("x" * before + f"\n{SECRET} tail"))
    assert SECRET[:4] not in said
    assert len(said) <= 300
    assert said.startswith("x" * before)


def test_an_error_that_says_nothing_is_told_by_its_class() -> None:
    assert masked_line(KeyboardInterrupt()) == "KeyboardInterrupt"
    assert masked_line("") == ""


SIGNS = string.ascii_letters + string.digits + "%/?#:!$&+,;= @[]"


@given(password=st.text(SIGNS, min_size=6), scheme=st.sampled_from(["postgresql", "https", "mysql"]))
def test_no_password_whatever_its_signs_is_shown(password: str, scheme: str) -> None:
    uri = f"{scheme}://me:x{password}x@host/db"
    keep_secret(uri)
    assert f"x{password}x" not in without_secret(uri)
    assert f"x{password}x" not in masked(f"at {uri}")
    with pytest.raises(UserError) as refused:
        check_uri(f"ftp{uri}")
    assert f"x{password}x" not in str(refused.value)


def test_addresses_without_secrets_stay_as_they_are() -> None:
    for uri in (
        "http://host:5000",
        "sqlite:////home/me/mlflow.db",
        "postgresql://me@db:5433/x?sslmode=require",
    ):
        assert without_secret(uri) == uri
        assert not has_secret(uri)
    for text in (
        "see https://host/path and me@example.org",
        "models:/first@champion",
        "first:3, first@champion",
    ):
        assert masked(text) == text


def test_a_password_before_a_host_is_not_shown_without_a_scheme_either() -> None:
    said = "'me:hunter2hunter2@127.0.0.1:1' is not a valid integer range"
    assert masked(said) == "'…@127.0.0.1:1' is not a valid integer range"


def test_the_driver_that_is_there_is_named() -> None:
    pytest.importorskip("psycopg")
    assert engine_url("postgresql://me@db/x") == "postgresql+psycopg://me@db/x"
    assert engine_url("postgres://me@db/x") == "postgresql+psycopg://me@db/x"
    assert engine_url("sqlite:////x.db") == "sqlite:////x.db"
    assert check_study_uri("postgresql://me@db/x") == "postgresql://me@db/x"
    with pytest.raises(UserError, match="needs the package nodriver"):
        engine_url("postgresql+nodriver://me@db/x")


def test_one_database_is_known_under_two_addresses() -> None:
    assert same_database("postgresql://me@db/x", "postgresql+psycopg://you:word@db:5432/x?sslmode=require")
    assert not same_database("postgresql://me@db/x", "postgresql://me@db/y")
    assert not same_database("postgresql://me@db/x", "http://db/x")
