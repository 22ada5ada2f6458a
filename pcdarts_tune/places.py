"""Where trials keep what they need to go on: a folder that every node reaches, or an object store by URL.

    place_at("s3://bucket/first-3f2a9c01/trials/3").read("checkpoint")      # bytes, or None; or "/shared/first-3f2a9c01/…"

URLs go to pyarrow's file systems: s3, gs, abfs. Credentials come from where each store's own tools have them on every node
(environment, configuration files, the machine's role), never from the URL.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import Any, Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

from pcdarts_tune.addresses import masked_line
from pcdarts_tune.errors import UserError, nearest
from pcdarts_tune.files import remove_tree, replace_when_written, size_of, user_path

SCHEMES = ("s3", "gs", "gcs", "abfs", "abfss", "file")
"""Kinds of URL that `--storage` takes; file:// is a folder."""

Data = Iterable[bytes | memoryview]


class Place(Protocol):
    """A folder, wherever it is; names in it have no slashes."""

    address: str

    def read(self, name: str) -> bytes | None:
        """What is under a name; None when there is nothing."""

    def write(self, name: str, data: Data) -> None:
        """Put bytes under a name: a reader sees what was there before or all of them, never a part."""

    def delete(self, name: str) -> None:
        """Remove what is under a name, if there is anything."""

    def tidy(self) -> None:
        """Remove what writes that were cut off have left."""

    def files(self) -> dict[str, int]:
        """Path from here of every file in it and below -> bytes."""

    def clear(self) -> None:
        """Remove all that lies in it and below, and the folder itself."""


def place_at(address: str | Path) -> Place:
    """The place at a folder's path or a URL.

    Raises:
        UserError: for a URL that no file system is known for.
    """
    return Store(str(address)) if "://" in str(address) else Folder(Path(address))


def below(address: str, *names: str) -> str:
    """The address of something in a place; a URL's query, which says how to reach it, stays at the end."""
    head, mark, query = address.partition("?") if "://" in address else (address, "", "")
    return "/".join([head.rstrip("/"), *names]) + mark + query


def check_address(text: str) -> str:
    """`--storage` as it is kept: an absolute path, or a URL.

    Raises:
        UserError: for what is no path, an unknown scheme, a URL without a bucket, or one with credentials in it.
    """
    scheme, separator, rest = text.partition("://")
    scheme = scheme.lower()
    if not separator:
        return str(user_path(text).absolute())
    if scheme not in SCHEMES:
        raise UserError(
            f"--storage {scheme}://…: {scheme!r} is no kind of storage{nearest(scheme, SCHEMES)}",
            hint=f"a folder that all nodes reach, or {', '.join(f'{name}://' for name in SCHEMES)}…",
        )
    if _credentials(scheme, text):
        raise UserError(
            f"--storage {scheme}://… holds credentials, which would end up in logs and files",
            hint="leave them out; set them on every node as the store's own tools want them "
            "(AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, GOOGLE_APPLICATION_CREDENTIALS, a profile or role)",
        )
    if scheme == "file":
        return str(user_path("/" + unquote(rest).removeprefix("localhost").lstrip("/")))
    if not re.match(r"[^/?#]", rest):
        raise UserError(f"--storage {text!r} names no bucket", hint=f"{scheme}://BUCKET/FOLDER")
    return f"{scheme}://{rest}"


def require_storage(address: str, seconds: float = 30.0) -> None:
    """See that a place can be written to, read and cleared.

    Raises:
        UserError: when it cannot, or does not answer in time.
    """
    name, answer = f".probe-{uuid.uuid4().hex}", Queue[BaseException | None]()

    def ask() -> None:
        try:
            place = place_at(address)
            if place.read(name) is not None:
                raise OSError("it holds what nobody wrote")
            place.write(name, [b"pcdarts-tune"])
            if place.read(name) != b"pcdarts-tune":
                raise OSError("what was written there is not what it holds")
            place.delete(name)
            answer.put(None)
        except Exception as error:
            answer.put(error)

    # a thread that nobody waits for: libraries of object stores try again for minutes
    Thread(target=ask, name="storage", daemon=True).start()
    try:
        error = answer.get(timeout=seconds)
    except Empty:
        error = TimeoutError(f"no answer in {seconds:.0f} s")
    if isinstance(error, UserError):
        raise error
    if error is not None:
        hint = "a folder that all nodes mount and may write to"
        if "://" in address:
            hint = "does the bucket exist, and do this machine and all nodes have credentials for it?"
        raise UserError(f"--storage {address} cannot be used: {masked_line(error)}", hint=hint) from None


def _credentials(scheme: str, url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:  # what cannot be taken apart cannot be shown either
        return True
    user = parts.username is not None and (scheme == "s3" or parts.password is not None)
    words = re.compile(r"key|secret|token|password|credential|sig$", re.IGNORECASE)
    query = any(words.search(name) for name, _ in parse_qsl(parts.query, keep_blank_values=True))
    return user or query or "@" in parts.path + parts.query


class Folder:
    """A folder on a disk, or one that a network's file system mounts."""

    def __init__(self, path: Path) -> None:
        self.path, self.address = path, str(path)

    def read(self, name: str) -> bytes | None:
        try:
            return (self.path / name).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, name: str, data: Data) -> None:
        with replace_when_written(self.path / name) as temporary, temporary.open("wb") as file:
            file.writelines(data)

    def delete(self, name: str) -> None:
        (self.path / name).unlink(missing_ok=True)

    def tidy(self) -> None:
        for leftover in self.path.glob(".*.tmp"):
            leftover.unlink(missing_ok=True)

    def files(self) -> dict[str, int]:
        found = (path for path in self.path.rglob("*") if path.is_file() and not path.is_symlink())
        return {path.relative_to(self.path).as_posix(): size_of(path) for path in found}

    def clear(self) -> None:
        remove_tree(self.path)


class Store:
    """A folder of an object store, through pyarrow: an object is seen when all of it has arrived."""

    def __init__(self, address: str) -> None:
        """
        Raises:
            UserError: when no file system is known for it.
        """
        scheme, _, rest = address.partition("://")
        location, mark, query = rest.partition("?")
        host, _, path = location.partition("/")
        self.address = address
        self._files, root = _file_system(f"{scheme}://{host}{mark}{query}")
        self._path = "/".join(part for part in (root.strip("/"), unquote(path).strip("/")) if part)

    def read(self, name: str) -> bytes | None:
        try:
            with self._files.open_input_file(f"{self._path}/{name}") as file:
                data: bytes = file.read()
                return data
        except FileNotFoundError:
            return None

    def write(self, name: str, data: Data) -> None:
        # in one piece and made before: closing a stream completes its upload, whatever was left out
        whole = b"".join(data)
        with self._files.open_output_stream(f"{self._path}/{name}") as stream:
            stream.write(whole)

    def delete(self, name: str) -> None:
        with suppress(FileNotFoundError):
            self._files.delete_file(f"{self._path}/{name}")

    def tidy(self) -> None:
        """Nothing: an upload that was cut off leaves no object."""

    def files(self) -> dict[str, int]:
        from pyarrow import fs

        everything = fs.FileSelector(self._path, allow_not_found=True, recursive=True)
        found = self._files.get_file_info(everything)
        start = len(self._path) + 1
        return {entry.path[start:]: entry.size for entry in found if entry.type == fs.FileType.File}

    def clear(self) -> None:
        with suppress(FileNotFoundError):
            self._files.delete_dir(self._path)


@lru_cache(maxsize=8)
def _file_system(url: str) -> tuple[Any, str]:
    """Made once a process: to find a bucket's region takes a question to its store."""
    from pyarrow import fs

    try:
        file_system, root = fs.FileSystem.from_uri(url)
    except (ValueError, NotImplementedError) as error:  # pyarrow's own are kinds of these
        hint = "s3://BUCKET/FOLDER, gs://BUCKET/FOLDER, or a folder that every node mounts"
        raise UserError(f"--storage {url} cannot be used: {masked_line(error)}", hint=hint) from None
    return file_system, root
