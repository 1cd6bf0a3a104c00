"""A page in a headless Chromium, driven over a pipe by the DevTools protocol."""

import base64
import io
import json
import os
import re
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--mute-audio",
    "--autoplay-policy=no-user-gesture-required",
    "--force-color-profile=srgb",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)
WITHOUT_GPU = ("--disable-gpu", "--disable-software-rasterizer")
SOFTWARE_GPU = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist")
PATIENCE = 180.0  # seconds for an answer
ADVICE = re.compile(r"^\[\.WebGL-\w+\]GL Driver Message \(OpenGL, Performance, ")  # of a driver on a busy machine: no error


class Page:
    """The only tab. `errors` and `requests` are what the page said and asked for since it was opened, but for itself and what it made."""

    def __init__(self, process: "subprocess.Popen[bytes]", commands: int, answers: int) -> None:
        self.errors: list[str] = []
        self.requests: list[str] = []
        self._process, self._commands, self._answers = process, commands, answers
        self._id, self._read = 0, b""
        self._session: str | None = None
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **params: Any) -> Any:
        """The result of a command; events that come before it are kept."""
        self._id += 1
        message = {"id": self._id, "method": method, "params": params} | ({"sessionId": self._session} if self._session else {})
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._id:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]
            self._event(answer.get("method", ""), answer.get("params", {}))

    def open(self, path: Path, *, width: int = 800, height: int = 600, ratio: float = 1.0, dark: bool = False, fragment: str = "") -> None:
        """A file, in a window of so many CSS pixels, with what stands behind # in its address; waits until all is drawn."""
        self.visit(path.as_uri() + (fragment and f"#{fragment}"), width=width, height=height, ratio=ratio, dark=dark)
        self.settle()

    def visit(self, address: str, *, width: int = 800, height: int = 600, ratio: float = 1.0, dark: bool = False) -> None:
        """A page, as soon as it is loaded."""
        self.errors.clear()
        self.requests.clear()
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=ratio, mobile=False)
        self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        self.send("Page.navigate", url=address)
        self.wait("document.readyState === 'complete'")

    def evaluate(self, expression: str) -> Any:
        found = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait(self, expression: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not self.evaluate(expression):
            assert time.monotonic() < deadline, f"{expression}: still not true"
            time.sleep(0.05)

    def settle(self) -> None:
        """Until the canvas says that it is done."""
        self.wait("document.querySelector('canvas').getAttribute('aria-busy') === 'false'")
        self.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))")
        self.wait("document.querySelector('canvas').getAttribute('aria-busy') === 'false'")

    def box(self, selector: str = "canvas") -> tuple[float, float, float, float]:
        """Left, top, width and height of an element, in CSS pixels."""
        found = self.evaluate(
            f"(b => [b.left, b.top, b.width, b.height])(document.querySelector({json.dumps(selector)}).getBoundingClientRect())"
        )
        return tuple(found)

    def screenshot(self) -> "np.ndarray[Any, Any]":
        """What is seen, uint8 (height, width, 3), in device pixels."""
        data = base64.b64decode(self.send("Page.captureScreenshot", format="png")["data"])
        return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))

    def pixels(self, selector: str = "canvas") -> "np.ndarray[Any, Any]":
        """What is seen of an element."""
        ratio = self.evaluate("devicePixelRatio")
        left, top, width, height = (round(edge * ratio) for edge in self.box(selector))
        return self.screenshot()[top : top + height, left : left + width]

    def wheel(self, x: float, y: float, down: float) -> None:
        self._mouse("mouseWheel", x, y, deltaX=0, deltaY=down)

    def drag(self, x: float, y: float, to_x: float, to_y: float) -> None:
        self._mouse("mousePressed", x, y, button="left", buttons=1, clickCount=1)
        for k in range(1, 6):
            self._mouse("mouseMoved", x + (to_x - x) * k / 5, y + (to_y - y) * k / 5, button="left", buttons=1)
        self._mouse("mouseReleased", to_x, to_y, button="left", clickCount=1)

    def hover(self, x: float, y: float) -> None:
        self._mouse("mouseMoved", x, y)

    def click(self, selector: str) -> None:
        left, top, width, height = self.box(selector)
        for kind in ("mousePressed", "mouseReleased"):
            self._mouse(kind, left + width / 2, top + height / 2, button="left", clickCount=1)

    def press(self, key: str, code: int = 0) -> None:
        for kind in ("keyDown", "keyUp"):
            self.send(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                windowsVirtualKeyCode=code,
                text=key if len(key) == 1 and kind == "keyDown" else "",
            )

    def _mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def _next(self) -> Any:
        while b"\0" not in self._read:
            ready, _, _ = select.select([self._answers], [], [], PATIENCE)
            assert ready and self._process.poll() is None, "the browser does not answer"
            part = os.read(self._answers, 1 << 20)
            assert part, "the browser has ended"
            self._read += part
        message, self._read = self._read.split(b"\0", 1)
        return json.loads(message)

    def _event(self, method: str, params: dict[str, Any]) -> None:
        if method == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(params["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled":
            self.errors.append(json.dumps(params["args"]))
        elif method == "Log.entryAdded" and not ADVICE.search(params["entry"]["text"]):
            self.errors.append(params["entry"]["text"])
        elif method == "Network.requestWillBeSent" and params["type"] != "Document":
            url = params["request"]["url"]
            if not url.startswith(("blob:", "data:")):
                self.requests.append(url)


def silent(page: Page) -> Iterator[Page]:
    """A page for one test, which is to tell no error and to ask for nothing."""
    yield page
    assert page.errors == [], page.errors
    assert page.requests == [], page.requests


@contextmanager
def browser(*flags: str) -> Iterator[Page]:
    """A fresh Chromium without a network, with a profile of its own; `flags`: WITHOUT_GPU where there are none."""
    assert CHROMIUM
    to_browser, commands = os.pipe()
    answers, from_browser = os.pipe()

    def at_three_and_four() -> None:
        # Through numbers that neither of them has.
        low, high = os.dup2(to_browser, 100), os.dup2(from_browser, 101)
        os.dup2(low, 3)
        os.dup2(high, 4)

    with TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [CHROMIUM, *FLAGS, *(flags or WITHOUT_GPU), f"--user-data-dir={profile}", "about:blank"]
        quiet = subprocess.DEVNULL
        process = subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet, close_fds=False, preexec_fn=at_three_and_four)
        os.close(to_browser)
        os.close(from_browser)
        try:
            yield Page(process, commands, answers)
        finally:
            process.terminate()
            process.wait(timeout=30)
            os.close(commands)
            os.close(answers)
