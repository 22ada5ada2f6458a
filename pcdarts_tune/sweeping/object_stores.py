"""Places in an object store, or in another of pyarrow's file systems; see storage.py.

place = Store.connected("s3://bucket/trials/3?endpoint_override=localhost:9000&scheme=http")
"""

from __future__ import annotations

import uuid
from functools import lru_cache
from typing import Any, Self
from urllib.parse import unquote

from pcdarts_tune.errors import UserError
from pcdarts_tune.sweeping.storage import OBJECT_STORES, Data, one_line


class Store:
    """A folder of one of pyarrow's file systems.

    An object store shows an object when all of it has arrived. Elsewhere a file is written beside and moved; where
    moving replaces nothing (HDFS), what was there is set aside first, and read as long as nothing else is there.
    """

    def __init__(self, address: str, file_system: Any, path: str) -> None:
        self.address, self._files, self._path = address, file_system, path.rstrip("/")
        self._whole = address.partition("://")[0].lower() in OBJECT_STORES

    @classmethod
    def connected(cls, address: str) -> Self:
        """The place at a URL.

        Raises:
            UserError: when no file system is known for it.
        """
        scheme, _, rest = address.partition("://")
        location, mark, query = rest.partition("?")
        host, _, path = location.partition("/")
        files, root = _file_system(f"{scheme}://{host}{mark}{query}")
        return cls(
            address, files, "/".join(part for part in (root.strip("/"), unquote(path).strip("/")) if part)
        )

    def read(self, name: str) -> bytes | None:
        for path in [self._at(name)] if self._whole else [self._at(name), self._aside(name)]:
            try:
                with self._files.open_input_file(path) as file:
                    data: bytes = file.read()
                    return data
            except FileNotFoundError:
                continue
        return None

    def write(self, name: str, data: Data) -> None:
        if self._whole:
            self._put(self._at(name), data)
            return
        self._files.create_dir(self._path, recursive=True)
        temporary = f"{self._path}/.{name}.{uuid.uuid4().hex}.tmp"
        try:
            self._put(temporary, data)
            self._move(temporary, name)
        except BaseException:
            self._remove(temporary)
            raise

    def delete(self, name: str) -> None:
        self._remove(self._at(name))
        if not self._whole:
            self._remove(self._aside(name))

    def tidy(self) -> None:
        if self._whole:
            return
        from pyarrow import fs

        for entry in self._files.get_file_info(fs.FileSelector(self._path, allow_not_found=True)):
            if entry.base_name.startswith(".") and entry.base_name.endswith(".tmp"):
                self._remove(entry.path)

    def _move(self, temporary: str, name: str) -> None:
        from pyarrow import fs

        if self._files.get_file_info(self._at(name)).type != fs.FileType.NotFound:
            self._remove(self._aside(name))
            self._files.move(self._at(name), self._aside(name))
        self._files.move(temporary, self._at(name))
        self._remove(self._aside(name))

    def _put(self, path: str, data: Data) -> None:
        # in one piece and made before: closing a stream completes its upload, whatever was left out
        whole = b"".join(data)
        with self._files.open_output_stream(path) as stream:
            stream.write(whole)

    def _remove(self, path: str) -> None:
        try:
            self._files.delete_file(path)
        except FileNotFoundError:
            pass

    def _at(self, name: str) -> str:
        return f"{self._path}/{name}"

    def _aside(self, name: str) -> str:
        return f"{self._path}/.{name}.before"


@lru_cache(maxsize=8)
def _file_system(url: str) -> tuple[Any, str]:
    """Made once a process: to find a bucket's region takes a question to its store."""
    from pyarrow import fs

    try:
        file_system, root = fs.FileSystem.from_uri(url)
    except (ValueError, NotImplementedError) as error:  # pyarrow's own are kinds of these
        raise UserError(
            f"--storage {url} cannot be used: {one_line(error)}",
            hint="s3://BUCKET/FOLDER, gs://BUCKET/FOLDER, or a folder that every node mounts",
        ) from None
    return file_system, root
