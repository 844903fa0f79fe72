"""A headless Chromium driven through its debugging pipe with the standard library alone."""

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome")


def found() -> str | None:
    """Path of the browser, if there is one."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@dataclass
class Browser:
    """One page at a time; remembers every event of the page."""

    process: subprocess.Popen
    write: int
    read: int
    profile: str
    session: str = ""
    events: list = field(default_factory=list)
    number: int = 0
    rest: bytes = b""

    @staticmethod
    def start() -> "Browser":
        """Start the browser; commands go to its descriptor 3, answers come from its descriptor 4."""
        inward, write = os.pipe()
        read, outward = os.pipe()
        profile = tempfile.mkdtemp(prefix="milepost-browser-")
        command = [
            "/bin/bash", "-c", f'exec "$0" "$@" 3<&{inward} 4>&{outward}', found(), "--headless=new",
            "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars",
            "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update", "--mute-audio",
            f"--user-data-dir={profile}",
        ]  # fmt: skip
        process = subprocess.Popen(
            command, pass_fds=(inward, outward), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(inward)
        os.close(outward)
        browser = Browser(process=process, write=write, read=read, profile=profile)
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        browser.session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "Security", "Audits"):
            browser.call(f"{domain}.enable")
        return browser

    def stop(self) -> None:
        """End the browser and remove its profile."""
        os.close(self.write)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)
        os.close(self.read)
        shutil.rmtree(self.profile, ignore_errors=True)

    def call(self, method: str, **params):
        """Send a command and wait for its answer."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.write, data) :]
        while True:
            answer = self._next()
            if answer.get("id") == self.number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]
            self.events.append(answer)

    def _next(self) -> dict:
        while b"\0" not in self.rest:
            part = os.read(self.read, 1 << 20)
            assert part, "the browser went away"
            self.rest += part
        one, _, self.rest = self.rest.partition(b"\0")
        return json.loads(one)

    def open(self, path: Path, *, width: int = 1280, height: int = 900, dark: bool = False) -> float:
        """Open a file, wait until it is loaded and laid out, and return the seconds that took."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = "dark" if dark else "light"
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.events.clear()
        started = time.monotonic()
        self.call("Page.navigate", url=path.resolve().as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            assert time.monotonic() - started < 60, "the page does not load"
            self.events.append(self._next())
        self.evaluate("document.body.getBoundingClientRect().height")
        return time.monotonic() - started

    def evaluate(self, expression: str):
        """Value of a JavaScript expression of the test, not of the page."""
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def screenshot(self, out: Path, *, clip: dict | None = None, quality: int | None = None) -> Path:
        """Save what is seen, or a rectangle of the whole page."""
        more = {"clip": {**clip, "scale": 1}, "captureBeyondViewport": True} if clip else {}
        more |= {"format": "png"}
        out.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", **more)["data"]))
        return out

    def of(self, *methods: str) -> list[dict]:
        """Parameters of the events of these kinds since the page was opened."""
        return [event["params"] for event in self.events if event.get("method") in methods]
