# browser.py - a headless Chromium, by chromedriver's HTTP protocol (W3C WebDriver)
import base64
import json
import os
import shutil
import subprocess
import tempfile
import urllib.request
import warnings
from pathlib import Path

import pytest

from .relay import wait_until
from .tls import free_port

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
KEYS = {"Enter": "\ue007", "Escape": "\ue00c", "Down": "\ue015", "Up": "\ue013", "Tab": "\ue004"}


def chromium():
    """The programs, or None."""
    driver = shutil.which("chromedriver")
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    return (driver, browser) if driver and browser else None


def need_chromium():
    if not chromium():
        warnings.warn("CHROMIUM IS MISSING: the live page is not tested in a browser (Debian: chromium chromium-driver)")
        pytest.skip("chromium and chromium-driver are missing")


class Browser:
    def __init__(self, width=1280, height=800, dark=False, mobile=False):
        driver, browser = chromium()
        self.dir = tempfile.mkdtemp(prefix="ga4relay-browser-")
        self.port = free_port()
        self.process = subprocess.Popen([driver, f"--port={self.port}"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, env={**os.environ, "HOME": self.dir})
        self.session = ""
        wait_until(self._ready, "chromedriver")
        options = {"binary": browser, "args": [
            "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run",
            "--disable-background-networking", f"--user-data-dir={self.dir}/profile", f"--window-size={width},{height}"]}
        if mobile:
            options["mobileEmulation"] = {"deviceMetrics": {"width": width, "height": height, "pixelRatio": 2}}
        made = self.ask("POST", "/session", {"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}}})
        self.session = f"/session/{made['sessionId']}"
        if dark:
            self.cdp("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])

    def _ready(self):
        try:
            return self.ask("GET", "/status")["ready"]
        except OSError:
            return False

    def ask(self, method, path, body=None):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method=method,
                                         data=None if method == "GET" else json.dumps(body or {}).encode())
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as e:
            raise AssertionError(json.load(e)["value"]["message"]) from None

    def do(self, method, path, body=None):
        return self.ask(method, self.session + path, body)

    def cdp(self, command, **params):
        return self.do("POST", "/goog/cdp/execute", {"cmd": command, "params": params})

    def open(self, url):
        self.do("POST", "/url", {"url": url})
        return self

    def js(self, script, *args):
        return self.do("POST", "/execute/sync", {"script": script, "args": list(args)})

    def find(self, css):
        return self.do("POST", "/element", {"using": "css selector", "value": css})[ELEMENT]

    def click(self, css):
        self.do("POST", f"/element/{self.find(css)}/click")

    def type(self, css, text):
        self.do("POST", f"/element/{self.find(css)}/value", {"text": text})

    def press(self, *keys):
        """Keys to whatever has the focus."""
        actions = [a for key in keys for a in ({"type": "keyDown", "value": KEYS.get(key, key)},
                                               {"type": "keyUp", "value": KEYS.get(key, key)})]
        self.do("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def text(self, css):
        return self.js("const e = document.querySelector(arguments[0]); return e && e.textContent", css)

    def rows(self):
        """What the list shows: a text for each row."""
        return self.js("return [...document.querySelectorAll('.row')].filter(r => !r.hidden)"
                       ".sort((a, b) => a.ariaPosInSet - b.ariaPosInSet).map(r => r.innerText.replace(/\\s+/g, ' '))")

    def complaints(self):
        """What the console says since the last time: errors and warnings."""
        return [x["message"] for x in self.do("POST", "/se/log", {"type": "browser"}) if x["level"] in ("SEVERE", "WARNING")]

    def screenshot(self, path):
        Path(path).write_bytes(base64.b64decode(self.do("GET", "/screenshot")))

    def stop(self):
        try:
            if self.session:
                self.ask("DELETE", self.session)
        finally:
            self.process.terminate()
            self.process.wait(30)
            shutil.rmtree(self.dir, ignore_errors=True)
