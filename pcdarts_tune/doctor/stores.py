"""MLflow's store, the sweeps' studies and the images: whether they can be reached, and read by the installed versions.

list(check_stores(Where(home))), list(check_images("cifar10", Path("photos")))
"""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import sqlalchemy

from pcdarts_tune.addresses import check_study_uri, engine_url, sqlite_file, without_secret
from pcdarts_tune.core.images.conversion import Conversion
from pcdarts_tune.core.images.decode import decode_image, extreme_samples, read_header
from pcdarts_tune.databases import find_trouble
from pcdarts_tune.datasets.encoded import EncodedSet
from pcdarts_tune.datasets.load import find_dataset
from pcdarts_tune.datasets.named import TORCHVISION, default_root, has_torchvision_files
from pcdarts_tune.doctor.check import Check, fail, ok, run_check, warn
from pcdarts_tune.errors import UserError
from pcdarts_tune.home import Where, sweep_names
from pcdarts_tune.spaces.load import read_space
from pcdarts_tune.sweeps.sweep import open_sweep
from pcdarts_tune.tracking.moved import moved_from
from pcdarts_tune.tracking.reach import require_answer
from pcdarts_tune.tracking.store import MlflowStore

MOST_SWEEPS = 20
"""How many sweeps are opened, the newest ones; opening a study takes tens of milliseconds."""
MOST_CLASSES = 200
"""Of how many classes an image is read."""


def check_stores(where: Where) -> Iterator[Check]:
    """MLflow's store, then the studies."""
    yield check_mlflow(where)
    yield from check_studies(where)


def check_mlflow(where: Where) -> Check:
    """Whether MLflow's store opens and answers; one that does not exist yet is not made."""

    def explain(text: str) -> tuple[str, str]:
        uri = without_secret(where.mlflow_uri)
        found = find_trouble(text, where.mlflow_uri)
        advice = "the address, user name and password; or another --tracking-uri"
        return f"{uri} cannot be read: {found.said}", advice if found.kind == "other" else found.hint

    return run_check("mlflow store", lambda: _open_mlflow(where), explain)


def _open_mlflow(where: Where) -> Check:
    if where.tracking_uri is None and not (where.home / "mlflow.db").is_file():
        return ok("mlflow store", f"none yet; a sweep makes {where.home / 'mlflow.db'}")
    uri = where.mlflow_uri
    require_answer(uri)
    if (file := sqlite_file(uri)) is not None and not file.is_file():
        return ok("mlflow store", f"none yet; a sweep makes {without_secret(uri)}")
    if file is not None and (before := moved_from(file)) is not None:
        finding = f"{file.parent} was at {before}, and MLflow's records still name the files there"
        return warn(
            "mlflow store",
            finding,
            f"pcdarts-tune ui{where.home_flag}, or any command that uses MLflow, mends it",
        )
    number = len(MlflowStore(uri).client.search_experiments(max_results=1000))
    finding = f"{without_secret(uri)} answers, {number} experiment{'s' * (number != 1)}"
    if (server := _server_version(uri)) is not None:
        finding, client = f"{finding}, server {server}", version("mlflow")
        if server.split(".")[0] != client.split(".")[0]:
            advice = "the same major version on both sides"
            return warn("mlflow store", f"{finding}; the client is {client}", advice)
    return ok("mlflow store", finding)


def _server_version(uri: str) -> str | None:
    """The version of an MLflow server; None for other stores, and where the server does not say."""
    if not uri.startswith(("http://", "https://")):
        return None
    try:
        with urllib.request.urlopen(f"{uri.rstrip('/')}/version", timeout=5) as answer:
            text = str(answer.read(100).decode("ascii", "replace")).strip()
    except (OSError, ValueError):
        return None
    return text if text[:1].isdigit() else None


def check_studies(where: Where) -> Iterator[Check]:
    """Whether the studies of the newest sweeps open, and the database that sweeps share can be reached."""
    if (uri := where.study_uri) is not None:
        advice = "the address, its password in PGPASSWORD, and the server"
        yield run_check(
            "study store",
            lambda: _open_database(uri),
            lambda text: (f"{without_secret(uri)} cannot be reached: {text}", advice),
        )
    names = sweep_names(where.home)
    failed = 0
    for name in names[-MOST_SWEEPS:]:
        check = run_check(
            f"sweep {name}",
            lambda name=name: _open_study(where, name),  # type: ignore[misc]
            lambda text: (f"its study cannot be read: {text}", "leave it as it is; `-v` of status says more"),
        )
        if check.status == "fail":
            failed += 1
            yield check
    if not names:
        yield ok("sweeps", f"none in {where.home} yet")
    elif not failed:
        newest = f"; the newest {MOST_SWEEPS} open" if len(names) > MOST_SWEEPS else ""
        yield ok("sweeps", f"{len(names)} in {where.home}{newest}")


def _open_database(uri: str) -> Check:
    address = engine_url(check_study_uri(uri))
    with sqlalchemy.create_engine(address, connect_args={"connect_timeout": 5}).connect() as connection:
        server = connection.execute(sqlalchemy.text("show server_version")).scalar()
    return ok("study store", f"{without_secret(uri)} answers, PostgreSQL {server}")


def _open_study(where: Where, name: str) -> Check:
    sweep = open_sweep(Where(where.home), name)
    if where.study_uri is not None and sweep.settings.study_uri is not None:
        sweep = open_sweep(where, name)
    return ok(f"sweep {name}", f"{len(sweep.study)} trials")


def check_images(space: str | None, data: Path | None) -> Iterator[Check]:
    """Whether the space is valid, its images are there, and one of each class can be read."""
    try:
        resolved = read_space(space or "cifar10")
        if space is not None:
            yield ok("space", f"{resolved.name}: {resolved.description or 'valid'}")
        found = find_dataset(resolved.data, data)
    except UserError as error:
        yield fail("data", str(error), error.hint or "")
        return
    name, root = resolved.data.dataset, data or default_root()
    if found is not None:
        yield _read_images(found)
    elif name == "folder":
        yield fail("data", f"space {resolved.name} reads your own images", "--data DIR")
    elif name not in TORCHVISION:
        yield ok("data", f"{name} comes {'from a hub' if name.startswith('hub:') else 'with a package'}")
    elif has_torchvision_files(name, root, unpacked=True):
        yield ok("data", f"{name} is in {root}")
    elif resolved.data.download:
        advice = f"nothing where the network allows; else put torchvision's files into {root}, or --data DIR"
        yield warn("data", f"{name} is not in {root}: a sweep would fetch it", advice)
    else:
        yield fail("data", f"{name} is not in {root}, and data.download is false", "--data DIR where it is")


def _read_images(found: EncodedSet) -> Check:
    part, damaged = found.train, []
    labels = part.labels.tolist()
    first_of_class = [labels.index(number) for number in sorted(set(labels))]
    for row in first_of_class[:MOST_CLASSES]:
        try:
            data = part.source.read(row)
            deep = read_header(data).samples is not None
            decode_image(data, Conversion(3, sample_range=extreme_samples(data) if deep else None))
        except (OSError, ValueError) as error:
            damaged.append(f"{part.source.name(row)} ({error})")
    tested = "" if found.test is None else f" and {len(found.test.labels)} test images"
    finding = f"{found.source}: {len(labels)} training images{tested}, {len(found.classes)} classes"
    finding = "; ".join((finding, *found.notes))
    if damaged:
        advice = "repair or remove them; a sweep skips up to 1 % and says which"
        return warn("data", f"{finding}; unreadable: {', '.join(damaged[:3])}", advice)
    return ok("data", f"{finding}; one of each class was read")
