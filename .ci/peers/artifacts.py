"""Drives `docks` against six stores: S3 (moto), GCS (an emulator), Azure (Azurite), HTTPS with a
private certificate, our own hub, and a jobs directory. Each network store stands behind a proxy that
cuts connections where it is told to. Prints a Markdown table; exits 1 when a check fails.
"""

import argparse
import base64
import email.utils
import hashlib
import hmac
import json
import os
import random
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SIZE = 4 << 20
STEP = 64 << 10
TOKEN = "canary-5f1d7c"
RUN = "0123456789abcdef"
AZURE_KEY = base64.b64encode(b"canary-azure-key-of-32-bytes----").decode()


def content(seed):
    return random.Random(seed).randbytes(SIZE)


class Proxy:
    """Forwards TCP; cuts a connection after so many bytes towards the client, once."""

    def __init__(self, target):
        self.target = target
        self.cut_after = None
        self.on_cut = None
        self.pause = 0
        self.moved = 0
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        try:
            server = socket.create_connection(("127.0.0.1", self.target))
        except OSError:
            client.close()
            return
        threading.Thread(target=self.pump, args=(client, server), daemon=True).start()
        sent = 0
        try:
            while data := server.recv(16 << 10):
                cut = self.cut_after
                if cut is not None and sent + len(data) > cut:
                    with self.lock:
                        first, self.cut_after = self.cut_after is not None, None
                    if first:
                        client.sendall(data[: cut - sent])
                        self.moved += cut - sent
                        if self.on_cut:
                            self.on_cut()
                        break
                client.sendall(data)
                sent += len(data)
                with self.lock:
                    self.moved += len(data)
                if self.pause:
                    time.sleep(self.pause)
        except OSError:
            pass
        for end in (client, server):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            end.close()

    @staticmethod
    def pump(source, sink):
        try:
            while data := source.recv(16 << 10):
                sink.sendall(data)
        except OSError:
            pass


class Files(BaseHTTPRequestHandler):
    """Static files with ranges and strong tags, as a web server sends them."""

    protocol_version = "HTTP/1.1"
    root = None

    def log_message(self, *_):
        pass

    def do_GET(self):
        path = self.root / urllib.parse.urlsplit(self.path).path.lstrip("/")
        if not path.is_file():
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = path.read_bytes()
        tag = '"' + hashlib.md5(body).hexdigest() + '"'
        if self.headers.get("If-None-Match") == tag:
            self.send_response(304)
            self.end_headers()
            return
        size, first, status = len(body), 0, 200
        wanted = self.headers.get("Range")
        if wanted and self.headers.get("If-Range", tag) == tag:
            first, status = int(wanted.removeprefix("bytes=").split("-")[0]), 206
        self.send_response(status)
        if status == 206:
            self.send_header("Content-Range", f"bytes {first}-{size - 1}/{size}")
        self.send_header("ETag", tag)
        self.send_header("Content-Length", str(size - first))
        self.end_headers()
        self.wfile.write(body[first:])


class Api(BaseHTTPRequestHandler):
    """A Docks API with one run, whose one trial has one log."""

    protocol_version = "HTTP/1.1"
    uri = ""
    unsigned = 0

    def log_message(self, *_):
        pass

    def do_GET(self):
        run = {"id": RUN, "name": "nightly", "status": "completed"}
        trial = {"id": "trial-1", "task_slug": "sum", "status": "passed", "logs_uri": self.uri}
        base = f"/tenants/ten/harbor/runs/{RUN}"
        answers = {
            "/tenants/ten/harbor/runs": [run],
            base: run,
            f"{base}/trials": [trial],
            f"{base}/trials/trial-1": trial,
        }
        path = urllib.parse.urlsplit(self.path).path
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            Api.unsigned += 1
        body = json.dumps(answers.get(path, {"detail": "Not Found"})).encode()
        self.send_response(200 if path in answers else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    def handle_error(self, *_):
        """Connections are cut on purpose; there is nothing to say about it."""


def serve(handler, tls=None):
    server = Server(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def until(what, true):
    deadline = time.monotonic() + 60
    while not true():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what} did not come about within 60 s")
        time.sleep(0.05)


def answers(url):
    def ask():
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return True
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False

    return ask


def put(url, body, method="PUT"):
    # moto wants to see that a request is signed, and does not check how.
    signed = "AWS4-HMAC-SHA256 Credential=id/20260101/us-east-1/s3/aws4_request"
    headers = {
        "Content-Type": "application/octet-stream",
        "Authorization": f"{signed}, SignedHeaders=host, Signature=none",
    }
    request = urllib.request.Request(url, data=body, method=method, headers=headers)
    urllib.request.urlopen(request, timeout=30).close()


def put_azure(port, path, body, **more):
    """Puts a container (no body) or a blob, signed with the account's key (SharedKey)."""
    headers = {"x-ms-date": email.utils.formatdate(usegmt=True), "x-ms-version": "2021-08-06", **more}
    ms = sorted((name, value) for name, value in headers.items() if name.startswith("x-ms-"))
    length = str(len(body)) if body else ""
    kind = "application/octet-stream"
    where, _, query = path.partition("?")
    lines = ["PUT", "", "", length, "", kind, "", "", "", "", "", ""]
    lines += [f"{name}:{value}" for name, value in ms]
    lines.append(f"/canary/canary/{where}")
    lines += [part.replace("=", ":") for part in query.split("&") if part]
    signed = hmac.digest(base64.b64decode(AZURE_KEY), "\n".join(lines).encode(), "sha256")
    headers["Authorization"] = "SharedKey canary:" + base64.b64encode(signed).decode()
    headers["Content-Type"] = kind
    url = f"http://127.0.0.1:{port}/canary/{path}"
    request = urllib.request.Request(url, data=body, method="PUT", headers=headers)
    urllib.request.urlopen(request, timeout=30).close()


class Watch:
    """Looks at the arguments and variables of every process of the suite's homes while they run."""

    def __init__(self, work, secrets):
        self.work, self.secrets = f"={work}/".encode(), secrets
        self.looked, self.found = set(), set()
        threading.Thread(target=self.look, daemon=True).start()

    def look(self):
        while True:
            for process in Path("/proc").iterdir():
                if process.name.isdigit():
                    self.read(process)
            time.sleep(0.002)

    def read(self, process):
        try:
            variables = (process / "environ").read_bytes()
            # Only ours: those whose home is one of the suite's.
            if b"DOCKS_HOME" + self.work not in variables:
                return
            line = (process / "cmdline").read_bytes()
            name = (process / "comm").read_text().strip()
        except OSError:
            return
        self.looked.add((process.name, name))
        for secret in self.secrets():
            if secret in line or secret in variables:
                self.found.add(f"a secret is in the arguments or variables of {name}")


class Store:
    """One store: how docks is told of it, and how its object changes."""

    def __init__(self, name, proxy, change, api=True, variables=None, home=None):
        self.name, self.proxy, self.change = name, proxy, change
        self.api, self.home = api, home
        self.variables = variables or {}
        self.extra = ["--no-daemon"]
        self.run = RUN
        self.file = "logs.bin"
        # What it holds after a change, where that is not simply what was put there.
        self.now = None


class Suite:
    def __init__(self, args):
        self.args, self.work = args, Path(args.work).resolve()
        self.args.bin = Path(args.bin).resolve()
        self.started, self.failures, self.rows = [], [], []
        self.number = 0
        self.hub_token = ""
        self.watch = Watch(self.work, self.known_secrets)

    def known_secrets(self):
        known = (TOKEN, self.hub_token, "canary-secret", AZURE_KEY)
        return [secret.encode() for secret in known if secret]

    def start(self, name, *command, **more):
        log = open(self.work / f"{name}.log", "wb")
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, **more)
        self.started.append(process)
        return process

    def end(self):
        for process in self.started:
            process.terminate()
        for process in self.started:
            process.wait()

    def environment(self, store):
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(store.home),
            "DOCKS_HOME": str(store.home),
            "DOCKS_USE_KEYRING": "false",
            "DOCKSD": f"{self.args.bin}/docksd",
            **store.variables,
        }

    def docks(self, store, *line):
        command = [f"{self.args.bin}/docks", *store.extra, *line]
        return subprocess.Popen(
            command,
            env=self.environment(store),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def ran(self, store, *line):
        process = self.docks(store, *line)
        out, err = process.communicate(timeout=300)
        return process.returncode, out.decode(), err.decode()

    def fresh(self):
        """A new output directory; the cache is emptied where a test wants to see bytes move."""
        self.number += 1
        return self.work / "out" / str(self.number)

    def forget(self, store):
        shutil.rmtree(store.home / "cache" / "artifacts", ignore_errors=True)

    def check(self, store, what, true, detail=""):
        if not true:
            self.failures.append(f"{store.name}: {what}: {detail}")
            print(f"FAILED {store.name}: {what}: {detail}", flush=True)

    def artifacts(self, store, output, *more):
        return self.ran(store, "runs", "artifacts", store.run, "--type", "logs", "-o", str(output), *more)

    def written(self, store, output):
        return [path.read_bytes() for path in output.rglob(store.file)]

    def suite(self, store):
        if self.args.only not in store.name:
            return
        began = time.monotonic()
        old, new = content(1), content(2)
        store.change(old)
        self.whole_and_again(store, old)
        cuts = self.cut(store, old)
        mixes = self.changed(store, old, new)
        store.change(old)
        self.two_at_once(store, old)
        self.killed(store, old)
        seconds = time.monotonic() - began
        self.rows.append((store.name, cuts, mixes, f"{seconds:.0f} s"))

    def whole_and_again(self, store, old):
        output = self.fresh()
        code, out, err = self.artifacts(store, output, "--format", "json")
        self.check(store, "download", code == 0, err)
        # A job has further logs; this one is the trial's.
        rows = [row for row in json.loads(out or "[]") if row["path"].endswith("/" + store.file)]
        self.check(store, "bytes", self.written(store, output) == [old], out)
        good = rows and rows[0]["sha256"] == hashlib.sha256(old).hexdigest()
        self.check(store, "hash and size", good and rows[0]["size_bytes"] == SIZE, out)
        for where in (output, self.fresh()):
            before = store.proxy.moved if store.proxy else 0
            code, out, err = self.artifacts(store, where, "--format", "json")
            cached = code == 0 and all(row["cached"] for row in json.loads(out))
            moved = store.proxy.moved - before if store.proxy else 0
            self.check(store, "second time", cached and moved < STEP, f"{moved} {out} {err}")
        output = self.fresh()
        before = store.proxy.moved if store.proxy else 0
        code, out, err = self.ran(store, "cache", "pull", store.run, "--type", "logs")
        self.check(store, "cache pull", code == 0, err)
        code, out, err = self.artifacts(store, output, "--max-age", "1h")
        self.check(store, "from the cache", self.written(store, output) == [old], err)
        code, out, err = self.ran(store, "cache", "verify")
        self.check(store, "cache verify", code == 0, err)

    def cut(self, store, old):
        if not store.proxy:
            return "no network"
        worst = 0
        for cut in range(STEP, SIZE, STEP * self.args.every):
            self.forget(store)
            output, before = self.fresh(), store.proxy.moved
            store.proxy.cut_after = cut
            code, _, err = self.artifacts(store, output)
            moved = store.proxy.moved - before
            worst = max(worst, moved / SIZE)
            self.check(store, f"cut at {cut}", self.written(store, output) == [old], err)
            self.check(store, f"exit code of a cut at {cut}", code == 0, err)
            self.check(store, f"bytes of a cut at {cut}", moved <= 1.1 * SIZE, moved)
            shutil.rmtree(output, ignore_errors=True)
        return f"{len(range(STEP, SIZE, STEP * self.args.every))}, at most {worst:.2f} ×"

    def changed(self, store, old, new):
        if not store.proxy:
            return "no network"
        files = 0
        for cut in range(STEP, SIZE, STEP * self.args.every):
            self.forget(store)
            store.change(old)
            output = self.fresh()
            store.proxy.on_cut = lambda: store.change(new)
            store.proxy.cut_after = cut
            code, _, err = self.artifacts(store, output)
            store.proxy.on_cut = None
            found = self.written(store, output)
            files += len(found)
            expected = store.now() if store.now else new
            good = found == [expected] if code == 0 else found == []
            what = [{old: "old", new: "new"}.get(body, f"{len(body)} bytes") for body in found]
            self.check(store, f"changed at {cut}", good, f"{code} {what} {err}")
            shutil.rmtree(output, ignore_errors=True)
        return f"{len(range(STEP, SIZE, STEP * self.args.every))}, {files} files, 0 mixed"

    def two_at_once(self, store, old):
        self.forget(store)
        output = self.fresh()
        before = store.proxy.moved if store.proxy else 0
        line = ("runs", "artifacts", store.run, "--type", "logs", "-o", str(output))
        both = [self.docks(store, *line) for _ in range(2)]
        ended = [process.communicate(timeout=300) for process in both]
        codes = [process.returncode for process in both]
        self.check(store, "two at once", codes == [0, 0], ended)
        self.check(store, "bytes of two at once", self.written(store, output) == [old])
        if store.proxy:
            moved = store.proxy.moved - before
            self.check(store, "two at once move it once", moved <= 1.1 * SIZE, moved)

    def killed(self, store, old):
        if not store.proxy:
            return
        self.forget(store)
        output = self.fresh()
        store.proxy.pause = 0.005
        line = ("runs", "artifacts", store.run, "--type", "logs", "-o", str(output))
        process = self.docks(store, *line)
        until("a part", lambda: any(p.stat().st_size > STEP for p in output.rglob("*.part")))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        store.proxy.pause = 0
        self.check(store, "no file after kill -9", self.written(store, output) == [])
        code, _, err = self.artifacts(store, output)
        good = code == 0 and self.written(store, output) == [old]
        self.check(store, "bytes after kill -9", good, err)
        left = [p.name for p in output.rglob(".*") if p.is_file()]
        self.check(store, "nothing is left beside it", left == [], left)

    def home(self, name, text):
        home = self.work / name
        home.mkdir(mode=0o700)
        config = home / "config.toml"
        config.write_text(text)
        config.chmod(0o600)
        return home

    def secrets(self):
        seen = 0
        for path in self.work.rglob("*"):
            if path.is_file() and path.name not in ("config.toml", "hub-token"):
                seen += 1
                text = path.read_bytes()
                for secret in self.known_secrets():
                    if secret in text:
                        self.failures.append(f"a secret is in {path}")
        self.failures += sorted(self.watch.found)
        names = {name for _, name in self.watch.looked}
        if not {"docks", "docksd"} <= names:
            self.failures.append(f"no process of some kind was looked at: {names}")
        looked = f"{len(self.watch.looked)} processes looked at"
        self.rows.append(("secrets", f"{seen} files searched", looked, ""))

    def everything(self):
        api = serve(Api)
        profile = f'[default]\napi_url = "http://127.0.0.1:{api}"\ntenant_id = "ten"\ntoken = "{TOKEN}"\n'
        stores = [self.s3(profile), self.gcs(profile), self.https(profile)]
        if self.args.azurite:
            stores.append(self.azure(profile))
        else:
            self.rows.append(("Azure (Azurite)", "not run: the emulator is missing", "", ""))
        for store in stores:
            Api.uri = store.uri
            self.suite(store)
        if not self.args.only:
            self.private(profile, stores[0])
        hub, jobs = self.hub()
        self.suite(hub)
        self.suite(jobs)
        self.ran(jobs, "daemon", "stop")
        if Api.unsigned:
            self.failures.append(f"{Api.unsigned} questions without the token")
        self.secrets()

    def private(self, profile, signed):
        """The same bucket without credentials: the error says what to set."""
        Api.uri = signed.uri
        endpoint = f'aws_endpoint_url = "http://127.0.0.1:{signed.proxy.port}"\n'
        store = Store("S3 without credentials", None, None, home=self.home("s3-none", profile + endpoint))
        code, _, err = self.artifacts(store, self.fresh())
        self.check(store, "says what to set", code == 12 and "AWS_ACCESS_KEY_ID" in err, err)

    def s3(self, profile):
        port = free_port()
        self.start("moto", self.args.moto, "-H", "127.0.0.1", "-p", str(port))
        until("moto", answers(f"http://127.0.0.1:{port}/"))
        put(f"http://127.0.0.1:{port}/bucket", b"")
        proxy = Proxy(port)
        keys = (
            f'aws_endpoint_url = "http://127.0.0.1:{proxy.port}"\naws_region = "us-east-1"\n'
            'aws_access_key_id = "canary-id"\naws_secret_access_key = "canary-secret"\n'
        )
        store = Store(
            "S3 (moto)",
            proxy,
            lambda body: put(f"http://127.0.0.1:{port}/bucket/logs.bin", body),
            home=self.home("s3", profile + keys),
        )
        store.uri = "s3://bucket/logs.bin"
        return store

    def gcs(self, profile):
        port = free_port()
        line = ("start", "--host=127.0.0.1", f"--port={port}", "--in-memory", "--default-bucket=bucket")
        self.start("gcs", self.args.gcs, *line, cwd=self.work)
        until("the GCS emulator", answers(f"http://127.0.0.1:{port}/"))
        proxy = Proxy(port)
        url = f"http://127.0.0.1:{port}/upload/storage/v1/b/bucket/o?uploadType=media&name=logs.bin"
        store = Store(
            "GCS (emulator)",
            proxy,
            lambda body: put(url, body, "POST"),
            home=self.home("gcs", profile + f'gcs_endpoint = "http://127.0.0.1:{proxy.port}"\n'),
        )
        store.uri = "gs://bucket/logs.bin"
        # The emulator loses the end of an object that is replaced while it is read.
        direct = f"http://127.0.0.1:{port}/bucket/logs.bin"
        store.now = lambda: urllib.request.urlopen(direct, timeout=30).read()
        return store

    def azure(self, profile):
        port = free_port()
        folder = self.work / "azurite"
        folder.mkdir()
        line = ("--blobPort", str(port), "--inMemoryPersistence", "--silent", "--disableTelemetry")
        environment = {**os.environ, "AZURITE_ACCOUNTS": f"canary:{AZURE_KEY}"}
        self.start("azurite", self.args.azurite, *line, "--skipApiVersionCheck", cwd=folder, env=environment)
        until("Azurite", answers(f"http://127.0.0.1:{port}/"))
        put_azure(port, "container?restype=container", b"")
        proxy = Proxy(port)
        blob = {"x-ms-blob-type": "BlockBlob"}
        keys = (
            f'azure_endpoint = "http://127.0.0.1:{proxy.port}/canary"\n'
            f'azure_account = "canary"\nazure_key = "{AZURE_KEY}"\n'
        )
        store = Store(
            "Azure (Azurite)",
            proxy,
            lambda body: put_azure(port, "container/logs.bin", body, **blob),
            home=self.home("azure", profile + keys),
        )
        store.uri = "az://container/logs.bin"
        return store

    def https(self, profile):
        authority = self.certify("authority", "critical,CA:TRUE")
        certificate = self.certify("server", "critical,CA:FALSE", authority)
        Files.root = self.work / "www"
        Files.root.mkdir()
        proxy = Proxy(serve(Files, certificate))
        store = Store(
            "HTTPS (private certificate)",
            proxy,
            lambda body: (Files.root / "logs.bin").write_bytes(body),
            variables={"SSL_CERT_FILE": str(authority[0])},
            # Only the profile can allow a server on loopback that is not the API itself.
            home=self.home("https", profile + f'artifact_hosts = "localhost:{proxy.port}"\n'),
        )
        store.uri = f"https://localhost:{proxy.port}/logs.bin?X-Amz-Signature=abc"
        return store

    def certify(self, name, constraints, issuer=None):
        """Makes a certificate and its key, by itself or by an authority."""
        made = self.work / f"{name}.pem", self.work / f"{name}.key"
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt"]
        command += ["ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", f"/CN={name}"]
        for extension in ("subjectAltName=DNS:localhost", f"basicConstraints={constraints}"):
            command += ["-addext", extension]
        if issuer:
            command += ["-CA", issuer[0], "-CAkey", issuer[1]]
        command += ["-out", made[0], "-keyout", made[1]]
        subprocess.run(command, check=True, capture_output=True)
        return made

    def hub(self):
        jobs = self.work / "jobs"
        job = Path(__file__).parents[2] / "examples/harbor-jobs/2026-11-23__16-43-17"
        shutil.copytree(job, jobs / job.name)
        trial = "hello-file__xDbNiAZ"
        folder = jobs / job.name / trial
        for other in (jobs / job.name).iterdir():
            if other.is_dir() and other != folder:
                shutil.rmtree(other)
        for log in (folder / "agent").rglob("*"):
            if log.is_file():
                log.unlink()
        log = folder / "agent/oracle.txt"

        def change(body):
            # In one step, as a file server's content changes.
            new = log.with_name(".new")
            new.write_bytes(body)
            new.rename(log)

        change(content(1))
        port = free_port()
        home = self.home("hub-home", "")
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "DOCKS_HOME": str(home),
            "DOCKS_USE_KEYRING": "false",
            "DOCKSD": f"{self.args.bin}/docksd",
        }
        command = [f"{self.args.bin}/docks", "hub", "serve", "--harbor", str(jobs)]
        command += ["--listen", f"127.0.0.1:{port}"]
        self.start("hub", *command, env=environment)
        until("the hub", answers(f"http://127.0.0.1:{port}/"))
        token = subprocess.run(
            [f"{self.args.bin}/docks", "hub", "token"],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
        )
        self.hub_token = token.stdout.decode().strip()
        proxy = Proxy(port)
        hub = Store(
            "our own hub",
            proxy,
            change,
            home=self.home(
                "hub-client",
                f'[default]\napi_url = "http://127.0.0.1:{proxy.port}"\ntenant_id = "local"\n'
                f'token = "{self.hub_token}"\n',
            ),
        )
        directory = Store("jobs directory", None, change, home=self.home("jobs-home", ""))
        directory.extra = ["--harbor", str(jobs)]
        for store in (hub, directory):
            store.run, store.file = job.name, "logs.txt"
        return hub, directory


def main():
    parser = argparse.ArgumentParser()
    for name in ("bin", "work", "moto", "gcs"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--azurite", default="")
    parser.add_argument("--every", type=int, default=int(os.environ.get("DOCKS_CI_CUTS_EVERY", 1)))
    parser.add_argument("--only", default="", help="only stores whose name contains this")
    suite = Suite(parser.parse_args())
    try:
        suite.everything()
    finally:
        suite.end()
    print("| store | cut once | changed at the cut | time |\n| --- | --- | --- | --- |")
    for row in suite.rows:
        print("| " + " | ".join(row) + " |")
    for failure in suite.failures:
        print(f"FAILED {failure}")
    sys.exit(bool(suite.failures))


main()
