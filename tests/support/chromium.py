"""Debian's chromium, headless, by its own protocol over two pipes: nothing to install, nothing on the network.

with Chromium(Path("profile")) as browser:
    page = browser.open("http://127.0.0.1:5000/#/experiments")
    page.wait_for("document.body.innerText.includes('t03')")
    page.screenshot(Path("trials.png"))
    page.problems       # what the console and the network had to complain about
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

EXECUTABLE = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PICTURES = Path(__file__).parents[2] / "test-artefacts"
"""Screenshots, for a person to look at; git ignores them."""

_FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-extensions", "--hide-scrollbars",
    "--disable-dev-shm-usage", "--force-color-profile=srgb", "--remote-debugging-pipe",
)  # fmt: skip
# chromium reads commands from file descriptor 3 and writes answers to 4
_TRAMPOLINE = "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); os.execv(sys.argv[3], sys.argv[3:])"


class Chromium:
    """A browser of its own, with a profile of its own, that ends with the block."""

    def __init__(self, profile: Path, size: tuple[int, int] = (1600, 1000)) -> None:
        self.profile, self.size = profile, size

    def __enter__(self) -> Self:
        assert EXECUTABLE is not None
        commands, self._write = os.pipe()
        self._read, answers = os.pipe()
        width, height = self.size
        arguments = [
            *_FLAGS,
            f"--user-data-dir={self.profile}",
            f"--window-size={width},{height}",
            "about:blank",
        ]
        self._process = subprocess.Popen(
            [sys.executable, "-c", _TRAMPOLINE, str(commands), str(answers), EXECUTABLE, *arguments],
            pass_fds=(commands, answers),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(commands)
        os.close(answers)
        self._number, self._buffer, self.events = 0, b"", []
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.call("Browser.close")
        except (OSError, RuntimeError, TimeoutError):
            self._process.kill()
        self._process.wait(timeout=30)
        os.close(self._write)
        os.close(self._read)

    def open(
        self,
        address: str,
        *,
        offline: bool = False,
        dark: bool = False,
        scripts: bool = True,
        height: int | None = None,
    ) -> Page:
        """A new page on `address`, once it has loaded; `offline` cuts the network off before."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, session)
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.call(f"{domain}.enable")
        size = {
            "width": self.size[0],
            "height": height or self.size[1],
            "deviceScaleFactor": 1,
            "mobile": False,
        }
        page.call("Emulation.setDeviceMetricsOverride", **size)
        if offline:
            nothing = {"latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
            page.call("Network.emulateNetworkConditions", offline=True, **nothing)
        if dark:
            page.call(
                "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}]
            )
        if not scripts:
            page.call("Emulation.setScriptExecutionDisabled", value=True)
        answer = page.call("Page.navigate", url=address)
        assert not answer.get("errorText"), f"{address}: {answer['errorText']}"
        page.wait(lambda: page.happened("Page.loadEventFired"), f"{address} to load")
        return page

    def call(
        self, method: str, session: str | None = None, timeout: float = 60.0, **parameters: Any
    ) -> dict[str, Any]:
        """One command; events that come before its answer are kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + timeout
        while True:
            answer = self._next(end - time.monotonic())
            if answer is None:
                raise TimeoutError(f"chromium did not answer {method}")
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return dict(answer["result"])
            self.events.append(answer)

    def _next(self, timeout: float) -> dict[str, Any] | None:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], max(0.0, timeout))
            if not ready:
                return None
            part = os.read(self._read, 1 << 20)
            if not part:
                raise RuntimeError("chromium has ended")
            self._buffer += part
        text, _, self._buffer = self._buffer.partition(b"\0")
        return dict(json.loads(text))


class Page:
    """A page: what stands on it, what it looks like, what went wrong on it."""

    def __init__(self, browser: Chromium, session: str) -> None:
        self._browser, self._session = browser, session

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self._browser.call(method, self._session, **parameters)

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def wait_for(self, expression: str, timeout: float = 60.0) -> Any:
        """The value of an expression, once it is true."""
        found: list[Any] = []

        def holds() -> bool:
            found[:] = [self.evaluate(expression)]
            return bool(found[0])

        self.wait(holds, expression, timeout)
        return found[0]

    def wait(self, holds: Any, what: str, timeout: float = 60.0) -> None:
        end = time.monotonic() + timeout
        while not holds():
            assert time.monotonic() < end, (
                f"waited {timeout:g} s in vain for {what}; the page says:\n{self.text[:3000]}"
            )
            time.sleep(0.05)
            self.evaluate("0")  # takes in what has happened meanwhile

    def wait_for_text(self, text: str, timeout: float = 60.0) -> None:
        self.wait_for(f"document.body.innerText.includes({json.dumps(text)})", timeout)

    @property
    def text(self) -> str:
        return str(self.evaluate("document.body.innerText"))

    def happened(self, method: str) -> list[dict[str, Any]]:
        """The parameters of the events of that name, oldest first."""
        return [
            event.get("params", {})
            for event in self._browser.events
            if event.get("method") == method and event.get("sessionId") == self._session
        ]

    @property
    def requests(self) -> list[str]:
        """The addresses that the page asked for, those inside it (`data:`) left out."""
        asked = [event["request"]["url"] for event in self.happened("Network.requestWillBeSent")]
        return [address for address in asked if not address.startswith("data:")]

    @property
    def problems(self) -> list[str]:
        """Errors and warnings of the console, uncaught exceptions, requests that failed."""
        self.evaluate("0")
        found = [
            f"{entry['type']}: {' '.join(str(part.get('value', part.get('description'))) for part in entry['args'])}"
            for entry in self.happened("Runtime.consoleAPICalled")
            if entry["type"] in ("error", "warning", "assert")
        ]
        found += [str(entry["exceptionDetails"]) for entry in self.happened("Runtime.exceptionThrown")]
        found += [
            f"{entry['entry']['level']}: {entry['entry']['text']} {entry['entry'].get('url', '')}"
            for entry in self.happened("Log.entryAdded")
            if entry["entry"]["level"] in ("error", "warning")
        ]
        return found + [f"failed: {entry['errorText']}" for entry in self.happened("Network.loadingFailed")]

    def screenshot(self, path: Path, *, whole: bool = False) -> Path:
        """A picture of what is seen, or of the `whole` page."""
        path.parent.mkdir(parents=True, exist_ok=True)
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        path.write_bytes(base64.b64decode(data))
        return path
