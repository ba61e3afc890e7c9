"""Times a real `harbor serve` and docks side by side on the same data, for harbor_serve.sh. Standard library only.

    harbor_serve_bench.py WORK [JOBS TRIALS]    100 jobs of 1,000 trials each, with files in the folder WORK

Both are asked the same question in turn, each over a connection of its own and after having been asked before; answers
are not parsed, except that the token of the next page is looked for. docksd reads the results of trials in the background for as long as an hour, so it is suspended while the
server is timed. Trials are seeded: rows of a finished rollout are copied in the database of the stopped server. Polls are
timed with trials that were cancelled before they started, of which nothing is left to read.
"""

import datetime
import json
import os
import re
import select
import signal
import socket
import sqlite3
import statistics
import sys
import threading
import time
import urllib.request
import uuid
from pathlib import Path

from harbor_serve import Docks, Server, until, wait_for, write_tasks

# Trials of the small server, with which a poll is compared.
FEW = 100
POLLS = 100
ROUNDS = 7
NEXT_PAGE = re.compile(rb'"next_page_token":\s*"([^"]+)"')
IDLE_S = 60
MIRRORED_WITHIN = 1800


def seed(database, jobs, trials, started):
    """Multiplies the finished rollouts of a stopped server by copying their rows, as if they had not started otherwise."""
    db = sqlite3.connect(database)
    db.row_factory = sqlite3.Row
    job = dict(db.execute("SELECT * FROM internal_job").fetchone())
    rows = db.execute("SELECT r.*, q.config AS qc, q.lock AS ql FROM internal_rollout r JOIN internal_rollout_request q "
                      "ON q.id = r.rollout_request_id WHERE r.state = 'finished' AND r.retry_index = 0").fetchall()
    start = datetime.datetime(2026, 11, 1, tzinfo=datetime.timezone.utc)

    def insert(table, row):
        marks = ",".join("?" * len(row))
        db.execute(f"INSERT INTO {table} ({','.join(row)}) VALUES ({marks})", list(row.values()))

    for number in range(jobs):
        at, job_id = start + datetime.timedelta(minutes=number), str(uuid.uuid4())
        row = {**job, "id": job_id, "name": f"seeded-{number}", "created_at": at.isoformat(),
               "updated_at": at.isoformat(), "lock_uri": f"file:///d/{job_id}/lock.json"}
        row.pop("seq")
        insert("internal_job", row)
        for place in range(trials):
            row = dict(rows[place % len(rows)])
            rollout, request = str(uuid.uuid4()), str(uuid.uuid4())
            when = (at + datetime.timedelta(microseconds=place)).isoformat()
            insert("internal_rollout_request", {"id": request, "job_id": job_id, "config": row.pop("qc"),
                                                "lock": row.pop("ql"), "latest_rollout_id": rollout, "created_at": when})
            row.pop("seq")
            row.update(id=rollout, job_id=job_id, rollout_request_id=request, created_at=when, updated_at=when,
                       retry_of=None)
            if not started:
                row.update(state="cancelled", started_at=None, result=None)
            row["artifacts"] = row["artifacts"].replace("rollouts/", f"rollouts/{rollout}-")
            insert("internal_rollout", row)
    db.commit()
    db.close()


class Counter:
    """A proxy on loopback that counts what docks asks the server: requests, and bytes in both directions."""

    def __init__(self, port):
        self.to, self.requests, self.bytes = port, 0, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.pass_on, args=(client,), daemon=True).start()

    def pass_on(self, client):
        with client, socket.create_connection(("127.0.0.1", self.to)) as server:
            while True:
                for ready in select.select([client, server], [], [])[0]:
                    try:
                        piece = ready.recv(1 << 20)
                    except OSError:
                        return
                    if not piece:
                        return
                    self.bytes += len(piece)
                    # A request of docks begins in a piece of its own, since it awaits each response.
                    if ready is client and piece[:5] in (b"GET /", b"POST "):
                        self.requests += 1
                    (server if ready is client else client).sendall(piece)


class Asker:
    """Asks docksd as docks does, without the start of a process, which neither side is charged for."""

    def __init__(self, docks):
        self.path = Path(docks.environment["DOCKS_HOME"]) / "run" / "docksd.sock"
        self.url = docks.url

    def get(self, path, fresh=False):
        control = "Cache-Control: no-cache\r\n" if fresh else ""
        with socket.socket(socket.AF_UNIX) as to:
            to.connect(str(self.path))
            to.sendall(f"GET /tenants/local{path} HTTP/1.1\r\nHost: docks\r\ndocks-harbor-server: {self.url}\r\n"
                       f"{control}Connection: close\r\n\r\n".encode())
            pieces = []
            while piece := to.recv(1 << 20):
                pieces.append(piece)
        answer = b"".join(pieces)
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), answer[:300]
        return body


def in_turn(pid, theirs, ours, times):
    """Calls both in turn, each once unmeasured; returns the medians in milliseconds."""
    measured = ([], [])
    for round in range(times + 1):
        for call, into in zip((theirs, ours), measured):
            if call is theirs:
                os.kill(pid, signal.SIGSTOP)
            # What was begun before ends first.
            time.sleep(0.2)
            start = time.perf_counter()
            call()
            if round:
                into.append((time.perf_counter() - start) * 1000)
            os.kill(pid, signal.SIGCONT)
    return [statistics.median(of) for of in measured]


def processor_ms(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


def memory_mb(pid, key):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) / 1024
    return 0


def start(work, jobs, trials, started):
    """Starts a server with seeded trials and a daemon that mirrors all of them."""
    work.mkdir(exist_ok=True)
    write_tasks(work)
    server = Server(work)
    server.start()
    job = server.submit("seed", ["quick", "wrong"])
    until(server, job, "finished")
    server.end()
    seed(work / "data" / "harbor.sqlite3", jobs, trials, started)
    server.start()
    counter = Counter(server.port)
    return server, counter, Docks(work, counter.url)


def mirror_all(docks, trials):
    """Waits until everything is mirrored; returns the daemon, and when lists and trials were there."""
    begun = time.monotonic()
    docks.run("runs", "list")
    listed = time.monotonic() - begun
    status = lambda: json.loads(docks.run("daemon", "status", "--format", "json"))
    wait_for("all trials are mirrored", lambda: status()["remotes"][0]["rows"]["trials"] >= trials, MIRRORED_WITHIN)
    return status()["pid"], listed, time.monotonic() - begun


def cost_of_polls(server, counter, asker, pid):
    """Returns what one poll costs: processor time of server and docksd, requests, and bytes."""
    asker.get("/harbor/runs?limit=1", fresh=True)
    look = lambda: (processor_ms(server.process.pid), processor_ms(pid), counter.requests, counter.bytes)
    before = look()
    for _ in range(POLLS):
        asker.get("/harbor/runs?limit=1", fresh=True)
    return [(now - then) / POLLS for then, now in zip(before, look())]


def pages(server, path):
    """Gets a list of the server, page by page unless the path limits it."""
    found, token = [], ""
    while token is not None:
        with urllib.request.urlopen(f"{server.url}{path}{token}", timeout=60) as response:
            found.append(response.read())
        following = NEXT_PAGE.search(found[-1])
        token = f"&page_token={following[1].decode()}" if following and "job_ids" in path else None
    return found


def questions(job):
    """What is asked: of the server and of docksd."""
    return [
        ("newest 50 jobs", "/jobs?page_size=50", "/harbor/runs?limit=50"),
        ("newest 100 jobs", "/jobs?page_size=100", "/harbor/runs?limit=100"),
        ("jobs whose name contains a text", "/jobs?q=seeded-7&page_size=100", "/harbor/runs?q=seeded-7&limit=100"),
        ("all trials of one job", f"/rollouts?job_ids={job}&page_size=100", f"/harbor/runs/{job}/trials"),
        ("newest 100 trials of all jobs", "/rollouts?sort=-created_at&page_size=100", "/harbor/trials?limit=100"),
        ("trials of one task in all jobs, first 100", "/rollouts?q=wrong&page_size=100",
         "/harbor/trials?task=wrong&limit=100"),
    ]


def time_polls(work, jobs, trials):
    server, counter, docks = start(work, jobs, trials, started=False)
    try:
        pid, _, _ = mirror_all(docks, jobs * trials + 2)
        asker = Asker(docks)
        # The two that ran have results, which are read first.
        wait_for("nothing is left to read", lambda: all(
            trial["harbor"]["complete"]
            for trial in json.loads(asker.get("/harbor/trials?status=passed&status=failed&limit=0"))))
        cost = cost_of_polls(server, counter, asker, pid)
        used = processor_ms(server.process.pid), processor_ms(pid)
        time.sleep(IDLE_S)
        idle = [(now - then) / IDLE_S / 10 for then, now in zip(used, (processor_ms(server.process.pid), processor_ms(pid)))]
        return cost, idle, memory_mb(pid, "VmRSS")
    finally:
        docks.end()
        server.end()


def bench(work, jobs, trials):
    work.mkdir(exist_ok=True)
    server, _, docks = start(work / "questions", jobs, trials, started=True)
    try:
        pid, listed, mirrored = mirror_all(docks, jobs * trials + 2)
        asker = Asker(docks)
        some = server.call("GET", "/jobs?q=seeded-0&page_size=1")["items"][0]["id"]
        print(f"\n{jobs} jobs of {trials:,} trials. First list after {listed:.1f} s, all trials mirrored after "
              f"{mirrored:.0f} s, docksd {memory_mb(pid, 'VmHWM'):.0f} MB at most until then.\n")
        print("| asked for | rows | `harbor serve` | docksd | times |\n| --- | --- | --- | --- | --- |")
        for what, path, own in questions(some):
            theirs, ours = lambda: pages(server, path), lambda: asker.get(own)
            rows, same = sum(len(json.loads(page)["items"]) for page in theirs()), len(json.loads(ours()))
            assert rows == same, f"{what}: {rows} rows and {same}"
            one, other = in_turn(pid, theirs, ours, ROUNDS)
            print(f"| {what} | {rows:,} | {one:.1f} ms | {other:.2f} ms | {one / other:.0f} |", flush=True)
        listing = lambda: docks.run("runs", "eval-list", "-n", "50")
        one, other = in_turn(pid, lambda: pages(server, "/jobs?page_size=50"), listing, ROUNDS)
        print(f"| newest 50 jobs, by the whole command `docks runs eval-list` | 50 | {one:.1f} ms | {other:.2f} ms | {one / other:.0f} |")
        time.sleep(IDLE_S)
        busy = memory_mb(pid, "VmRSS"), memory_mb(pid, "VmHWM")
        docks.end()
        docks.run("runs", "list")
        time.sleep(IDLE_S / 2)
        pid = json.loads(docks.run("daemon", "status", "--format", "json"))["pid"]
        print(f"\nWhile it reads results in the background, docksd has {busy[0]:.0f} MB ({busy[1]:.0f} MB at most), and "
              f"{memory_mb(pid, 'VmRSS'):.0f} MB after a restart ({memory_mb(pid, 'VmHWM'):.0f} MB at most).", flush=True)
    finally:
        docks.end()
        server.end()
    print("\n| trials | requests of a poll | bytes | `harbor serve` | docksd | idle: `harbor serve` | docksd | memory of docksd |\n"
          "| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, some_jobs, some_trials in [("few", 1, FEW), ("many", jobs, trials)]:
        cost, idle, memory = time_polls(work / name, some_jobs, some_trials)
        print(f"| {some_jobs * some_trials + 2:,} | {cost[2]:.2f} | {cost[3]:,.0f} | {cost[0]:.1f} ms | {cost[1]:.1f} ms | "
              f"{idle[0]:.2f} % | {idle[1]:.2f} % | {memory:.0f} MB |", flush=True)


if __name__ == "__main__":
    sizes = [int(text) for text in sys.argv[2:]] or [100, 1000]
    bench(Path(sys.argv[1]).resolve(), *sizes)
