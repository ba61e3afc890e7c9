"""Drives a real `harbor serve` and docks beside it, for harbor_serve.sh: compares both at each state, with files in
the folder WORK. Standard library only.

    harbor_serve.py WORK
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

HARBOR = os.environ["HARBOR_BIN"]
DOCKS = os.environ["DOCKS_BIN"]
PLUGINS = Path(__file__).resolve().parent / "harbor"
PATIENCE = 90


def wait_for(what, check, patience=PATIENCE):
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        found = check()
        if found:
            return found
        time.sleep(0.1)
    raise SystemExit(f"{what}: never within {patience} s")


class Server:
    def __init__(self, work):
        self.work, self.process = work, None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self):
        home = self.work / "server-home"
        home.mkdir(exist_ok=True)
        (self.work / "roots").mkdir(exist_ok=True)
        environment = {"PATH": os.environ["PATH"], "HOME": str(home), "HARBOR_TELEMETRY": "0",
                       "PYTHONPATH": str(PLUGINS), "PYTHONDONTWRITEBYTECODE": "1", "LIVE_ROOTS": str(self.work / "roots")}
        log = open(self.work / "serve.log", "a")
        self.process = subprocess.Popen(
            [HARBOR, "serve", "--port", str(self.port), "--data-dir", str(self.work / "data")],
            cwd=self.work, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_for("harbor serve answers", self.answers)

    def answers(self):
        if self.process.poll() is not None:
            raise SystemExit("harbor serve ended:\n" + (self.work / "serve.log").read_text()[-3000:])
        try:
            return self.call("GET", "/jobs?page_size=1") is not None
        except OSError:
            return False

    def end(self, how=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(90)

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)

    def submit(self, name, tasks, **more):
        config = {"job_name": name, "n_concurrent_trials": 2, "agents": [{"name": "oracle"}],
                  "environment": {"import_path": "local_processes:LocalProcesses"},
                  "tasks": [{"path": str(self.work / "tasks" / task)} for task in tasks], **more}
        return self.call("POST", "/jobs/submit", {"config": config})["job_id"]

    def job(self, job):
        return self.call("GET", f"/jobs/{job}")["job"]

    def rollouts(self, job):
        found, token = [], ""
        while True:
            page = self.call("GET", f"/rollouts?job_ids={job}&page_size=100&page_token={token}")
            found += page["items"]
            token = page["next_page_token"]
            if not token:
                return found


class Docks:
    def __init__(self, work, url):
        home = work / "docks-home"
        home.mkdir(exist_ok=True)
        self.environment = {"HOME": str(home), "DOCKS_HOME": str(home / "docks"), "PATH": os.environ["PATH"],
                            "DOCKS_USE_KEYRING": "false"}
        self.url = url

    def run(self, *line, code=0):
        done = subprocess.run([DOCKS, "--harbor-server", self.url, *line], env=self.environment,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=700)
        if code is not None and done.returncode != code:
            raise SystemExit(f"docks {' '.join(line)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def json(self, *line):
        return json.loads(self.run(*line, "--format", "json"))

    def end(self):
        self.run("daemon", "stop", code=None)


def write_tasks(work):
    for name, seconds, reward in [("quick", 0.3, "1"), ("wrong", 0.3, "0"), ("slow", 6, "1"), ("broken", None, "1")]:
        files = {
            "task.toml": "[agent]\ntimeout_sec = 60.0\n[verifier]\ntimeout_sec = 20.0\n",
            "instruction.md": "Do what the solution does.\n",
            "environment/Dockerfile": "FROM scratch\n",
            "environment/prepare.sh": "exit 7" if seconds is None else "",
            "solution/solve.sh": f"#!/bin/bash\necho working; sleep {seconds or 0}\n",
            "tests/test.sh": f"#!/bin/bash\necho {reward} > /logs/verifier/reward.txt\n",
        }
        for path, text in files.items():
            file = work / "tasks" / name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)


def newest(rollouts):
    return [r for r in rollouts if r["id"] == r["retry_ids"][0]]


def expected_status(rollout):
    state, rewards = rollout["state"], rollout["rewards"] or {}
    if state in ("queued", "paused"):
        return "pending"
    if state in ("running", "cancelling"):
        return "running"
    if state == "cancelled":
        return "cancelled"
    if rollout["error_type"]:
        return "error"
    reward = rewards.get("reward")
    return "completed" if reward is None else "passed" if reward == 1 else "failed"


def difference(server, docks, job):
    """Says in what the two differ, or nothing; looks at the server before and after docks."""
    before, rollouts = server.job(job), server.rollouts(job)
    run = docks.json("runs", "eval-get", job, "--fresh")
    trials = docks.json("runs", "trials", job, "--fresh")
    after = server.job(job)
    if before["updated_at"] != after["updated_at"]:
        return "it changed meanwhile"
    chains = {r["retry_ids"][-1]: r for r in newest(rollouts)}
    shown = {t["id"]: t for t in trials}
    if set(chains) != set(shown):
        return f"trials {sorted(shown)} instead of {sorted(chains)}"
    for trial, rollout in chains.items():
        wanted, found = expected_status(rollout), shown[trial]
        if found["status"] != wanted:
            return f"trial {trial} is {found['status']} instead of {wanted}"
        if found["harbor"]["attempts"] != rollout["retry_ids"]:
            return f"trial {trial} has other attempts"
        reward = (rollout["rewards"] or {}).get("reward")
        if (found["result_data"] or {}).get("reward") != reward and reward is not None:
            return f"trial {trial} has another reward"
        if rollout["state"] in ("finished", "cancelled"):
            if (found["harbor"]["exceptions"] or [None])[0] != rollout["error_type"]:
                return f"trial {trial} has exceptions {found['harbor']['exceptions']}, not {rollout['error_type']}"
            cost = rollout["usage"]["cost_usd"]
            if cost is not None and found["result_data"]["cost_usd"] != cost:
                return f"trial {trial} has another cost"
    figures = {
        "total_trials": before["rollouts"]["n_total"] - before["n_retries"],
        "passed_trials": sum(expected_status(r) == "passed" for r in chains.values()),
        "completed_trials": sum(r["state"] in ("finished", "cancelled") for r in chains.values()),
    }
    for key, wanted in figures.items():
        if run[key] != wanted:
            return f"{key} is {run[key]} instead of {wanted}"
    if run["harbor"]["n_retries"] != before["n_retries"]:
        return "another number of retries"
    states = {"cancelled": ["cancelled"], "finished": ["completed", "cancelled"], "queued": ["pending", "running"],
              "running": ["running", "provisioning"], "paused": ["pending", "running"], "cancelling": ["running"]}
    if run["status"] not in states[before["state"]]:
        return f"the job is {run['status']} while the server says {before['state']}"
    return None


def agree(server, docks, job, what):
    problem = None
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        problem = difference(server, docks, job)
        if problem is None:
            print(f"  agrees: {what}", flush=True)
            return
    raise SystemExit(f"{what}: {problem}")


def until(server, job, *states):
    wait_for(f"job is {states}", lambda: server.job(job)["state"] in states)


def compare(work):
    write_tasks(work)
    server = Server(work)
    docks = Docks(work, server.url)
    try:
        server.start()
        docks.run("runs", "list")
        job = server.submit("whole", ["quick", "wrong", "broken"], n_attempts=2,
                            retry={"max_retries": 1, "min_wait_sec": 1.0, "wait_multiplier": 1.0})
        agree(server, docks, job, "submitted")
        until(server, job, "finished")
        agree(server, docks, job, "finished, with automatic retries")
        broken = [t for t in docks.json("runs", "trials", job) if t["status"] == "error"]
        docks.run("runs", "retry", job, "--force")
        agree(server, docks, job, "retried by docks")
        until(server, job, "finished")
        agree(server, docks, job, "finished again")
        again = {t["id"]: t for t in docks.json("runs", "trials", job)}
        for trial in broken:
            # With automatic retries, which the server counts anew.
            assert len(again[trial["id"]]["harbor"]["attempts"]) == len(trial["harbor"]["attempts"]) + 2, trial
        for trial in again.values():
            for attempt in trial["harbor"]["attempts"]:
                assert docks.json("runs", "trial", job, attempt)["id"] == trial["id"], attempt
        print("  agrees: ids of all attempts", flush=True)
        files = docks.run("runs", "artifacts", job, "-o", str(work / "out"))
        assert any(Path(line).name == "result.json" for line in files.splitlines()), files
        solved = next(t for t in again.values() if t["status"] == "passed")
        uri = solved["harbor"]["artifacts"][-1]
        print(f"  {len(files.splitlines())} files downloaded, the last one {uri['path']}", flush=True)

        trial = solved["id"]
        docks.run("runs", "retry", job, trial, "--force")
        until(server, job, "finished")
        agree(server, docks, job, "one trial retried by docks")
        retried = docks.json("runs", "trial", job, trial)["harbor"]["attempts"]
        assert len(retried) == len(solved["harbor"]["attempts"]) + 1, retried
        listed = {file["path"] for file in docks.json("runs", "files", job, trial)}
        there = server.call("GET", f"/rollouts/{retried[0]}")["rollout"]["artifacts"]
        assert listed == {path for path in there if not path.endswith("/")}, listed
        print(f"  agrees: {len(listed)} files of a trial", flush=True)

        job = server.submit("paused", ["slow", "slow", "slow", "quick"], n_concurrent_trials=1)
        until(server, job, "running")
        agree(server, docks, job, "running")
        running = next(t for t in docks.json("runs", "trials", job) if t["status"] == "running")["id"]
        live = wait_for("the folder of a running trial is read", lambda: docks.json("runs", "files", job, running))
        assert all(file["source"].startswith(f"file://{server.work}/data/files/rollouts/") for file in live), live
        docks.run("runs", "cat", job, running, live[0]["path"])
        docks.run("runs", "pause", job)
        agree(server, docks, job, "pausing")
        until(server, job, "paused")
        agree(server, docks, job, "paused")
        reason = docks.json("runs", "eval-get", job)["status_reason"]
        assert "runs resume" in reason, reason
        docks.run("runs", "resume", job)
        until(server, job, "running")
        agree(server, docks, job, "resumed")
        server.end(signal.SIGKILL)
        docks.run("runs", "list", "--fresh", code=6)
        server.start()
        agree(server, docks, job, "killed and started again")
        assert server.job(job)["state"] == "paused", server.job(job)["state"]
        docks.run("runs", "resume", job)
        until(server, job, "running")
        docks.run("runs", "stop", job, "--force")
        assert docks.json("runs", "eval-get", job)["status"] == "cancelled"
        agree(server, docks, job, "cancelled by docks")
        server.end()
        server.start()
        agree(server, docks, job, "ended and started again")
    finally:
        docks.end()
        server.end()
    print("docks and harbor serve agree at each state")


if __name__ == "__main__":
    compare(Path(sys.argv[1]).resolve())
