"""Servers on loopback that speak OpenAI's chat protocol: transformers' own with a real model, and a stub."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import socket

from milepost.policies.loading import EMBEDDED

TEMPLATE = "{{ bos_token }}{% for message in messages %}{{ message['content'] }}\n{% endfor %}"


def free_port():
    with socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def embedded_with_template(folder):
    """The embedded model with the chat template that its prompts have been written in all along: plain lines."""
    shutil.copytree(EMBEDDED, folder)
    settings = folder / "tokenizer_config.json"
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "chat_template": TEMPLATE}))
    return folder


class Transformers:
    """`transformers serve` as a process of its own; it can be killed and started again on the same port."""

    def __init__(self, model, log):
        self.model, self.log, self.port, self.process = str(model), Path(log), free_port(), None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self):
        command = [Path(sys.executable).with_name("transformers"), "serve", self.model, "--host", "127.0.0.1"]
        settings = ["--port", str(self.port), "--device", "cpu", "--log-level", "warning"]
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"}
        with self.log.open("a") as log:
            self.process = subprocess.Popen([*command, *settings], env=environment, stdout=log, stderr=log)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=1).read()
            except OSError:
                time.sleep(0.2)
            else:
                return self
        raise AssertionError(self.log.read_text()[-3000:])

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait(30)


@contextmanager
def transformers_server(folder):
    server = Transformers(embedded_with_template(folder / "model"), folder / "log")
    try:
        yield server.start()
    finally:
        server.kill()


def completion(text, *, finish="stop", log_probs=None, top=None, refusal=None):
    """The JSON of a chat completion."""
    content = None
    if log_probs is not None or top is not None:
        shown = [{"token": token, "logprob": value, "bytes": None} for token, value in (top or {}).items()]
        steps = log_probs or [-0.5]
        content = {"content": [{"token": "x", "logprob": v, "bytes": None, "top_logprobs": shown} for v in steps]}
    message = {"role": "assistant", "content": text, "refusal": refusal}
    return {
        "id": "1",
        "object": "chat.completion",
        "created": 0,
        "model": "stub",
        "choices": [{"index": 0, "finish_reason": finish, "message": message, "logprobs": content}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
    }


class Stub:
    """Answers with what `act(number, body)` says: a completion, (status, headers), or bytes as they are."""

    @classmethod
    def at(cls, port, act):
        """One that listens where another did."""
        return cls(act, port=port)

    def __init__(self, act, *, port=0):
        self.act, self.bodies, self.lock, self.busy, self.most = act, [], threading.Lock(), 0, 0
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                with stub.lock:
                    stub.bodies.append({**body, "authorization": self.headers["authorization"]})
                    number = len(stub.bodies)
                    stub.busy += 1
                    stub.most = max(stub.most, stub.busy)
                try:
                    given = stub.act(number, body)
                finally:
                    with stub.lock:  # before the reply is out: the next request may come before this thread goes on
                        stub.busy -= 1
                self.send(given)

            def send(self, given):
                status, headers, payload = 200, {}, given
                if isinstance(given, tuple):
                    (status, headers), payload = given, b'{"error": {"message": "no"}}'
                if not isinstance(payload, bytes):
                    payload = json.dumps(payload).encode()
                self.send_response(status)
                for name, value in {"content-type": "application/json", **headers}.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            def log_message(self, *arguments):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/v1"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def close(self):
        self.http.shutdown()
        self.http.server_close()


@contextmanager
def stub_server(act):
    stub = Stub(act)
    try:
        yield stub
    finally:
        stub.close()
