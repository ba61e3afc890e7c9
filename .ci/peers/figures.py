"""Computes the figures of Harbor jobs from their files alone, and compares them with what docks prints.

Usage: figures.py DOCKS DOCUMENT DIR..., where DOCUMENT is docs/failures.md with the rules, and each DIR holds jobs.
It uses the standard library only, and shares no code with docks. Of each job: `eval-get` and `failures`; of each two jobs
in a directory: `compare`.
"""

import itertools
import json
import math
import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

TOLERANCE = 1e-9
POINTER = "version https://git-lfs"
checks = 0
problems = []


def read(path):
    """Returns the object in a file; None if there is no file, or it holds none."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def number(value):
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


class Trial:
    """What the files of one trial say."""

    def __init__(self, folder, new_rules, agents):
        path = folder / "result.json"
        result = read(path)
        self.is_pointer = path.is_file() and path.read_text().startswith(POINTER)
        config = (result or {}).get("config") or read(folder / "config.json") or {}
        self.ended = bool(result and result.get("finished_at"))
        self.name = folder.name
        result = result or {}
        task = (result.get("task_id") or {}).get("path") or (config.get("task") or {}).get("path")
        self.task = (task or folder.name.rsplit("__", 1)[0]).rsplit("/", 1)[-1]
        agent = config.get("agent") or {}
        if not (agent.get("name") or agent.get("import_path")) and len(agents) == 1:
            # A trial that was killed did not say; the lock of its job has one agent.
            agent = agents[0]
        self.agent = (agent.get("name") or agent.get("import_path"), agent.get("model_name"))
        rewards = (result.get("verifier_result") or {}).get("rewards") or {}
        rewards = {key: value for key, value in rewards.items() if number(value) is not None}
        only = next(iter(rewards.values())) if len(rewards) == 1 else None
        self.reward = rewards.get("reward", only)
        holders = [result] + (result.get("step_results") or [] if new_rules else [])
        errors = [holder.get("exception_info") for holder in holders]
        errors = [error for error in errors if error]
        self.errors = [error.get("exception_type") or "unknown" for error in errors]
        self.message = errors[0].get("exception_message") or "" if errors else ""
        self.graded = bool(rewards)
        self.valid = self.graded and (not new_rules or result.get("reward_valid") is not False)
        self.solved = self.valid and self.reward == 1
        # What it counts in the mean.
        self.counted = None
        if self.ended and not self.is_pointer:
            self.counted = self.reward if self.valid else None if new_rules else self.reward or 0.0
        sources = [result] if result.get("agent_result") else result.get("step_results") or []
        usage = [source.get("agent_result") or {} for source in sources]
        self.cost = total(source.get("cost_usd") for source in usage)
        self.input = total(source.get("n_input_tokens") for source in usage)
        self.cached = total(source.get("n_cache_tokens") for source in usage)
        self.output = total(source.get("n_output_tokens") for source in usage)


def total(values):
    known = [value for value in values if number(value) is not None]
    return sum(known) if known else None


class Job:
    """What the files of one job say."""

    def __init__(self, folder):
        self.folder = folder
        lock = read(folder / "lock.json") or {}
        version = (lock.get("harbor") or {}).get("version")
        folders = [path.parent for path in sorted(folder.glob("*/config.json"))]
        folders += [path.parent for path in sorted(folder.glob("*/result.json")) if path.parent not in folders]
        if version:
            self.new_rules = tuple(int(part) for part in version.split(".")[:2]) >= (0, 25)
        else:
            results = (read(path / "result.json") or {} for path in folders)
            self.new_rules = any("reward_valid" in result for result in results)
        planned = [trial.get("agent") or {} for trial in lock.get("trials") or []]
        names = {(agent.get("name"), agent.get("import_path"), agent.get("model_name")) for agent in planned}
        agents = planned[:1] if len(names) == 1 else []
        self.trials = [Trial(path, self.new_rules, agents) for path in folders]

    @property
    def ended(self):
        return [trial for trial in self.trials if trial.ended]

    @property
    def lost(self):
        return [trial for trial in self.trials if not trial.ended and not trial.is_pointer]


def rate(trials):
    """The share of solved trials with its interval: Wilson's, with the effective number of attempts of clustered ones."""
    if not trials:
        return None
    tasks = {}
    for trial in trials:
        tasks.setdefault(trial.task, []).append(trial.solved)
    n, solved, count = len(trials), sum(trial.solved for trial in trials), len(tasks)
    p = solved / n
    deviations = [sum(value - p for value in values) for values in tasks.values()]
    variance = sum(d * d for d in deviations) / n**2 * (count / (count - 1) if count > 1 else 1)
    effective = float(n)
    if count < n:
        effective = min(float(n), p * (1 - p) / variance) if variance > 1e-18 else float(count)
    z = 1.959963984540054
    centre = (p + z * z / (2 * effective)) / (1 + z * z / effective)
    half = z / (1 + z * z / effective) * math.sqrt(p * (1 - p) / effective + z * z / (4 * effective**2))
    return {"value": p, "low": max(0.0, centre - half), "high": min(1.0, centre + half), "solved": solved,
            "attempts": n, "tasks": count}


def equal(what, ours, theirs):
    """Notes a difference between what the files say and what docks prints."""
    global checks
    checks += 1
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key, value in ours.items():
            equal(f"{what}.{key}", value, theirs.get(key))
    elif number(ours) is not None and number(theirs) is not None:
        if abs(ours - theirs) > TOLERANCE * max(1.0, abs(ours)):
            problems.append(f"{what}: {ours} by the files, {theirs} by docks")
    elif ours != theirs:
        problems.append(f"{what}: {ours} by the files, {theirs} by docks")


class Rules:
    """The rules that docs/failures.md lists."""

    def __init__(self, document):
        self.rules = []
        row = re.compile(r"^\| `(\w+)` \| `([^`]+)` \| (type|words) (.*) \|$")
        for line in document.read_text().splitlines():
            if found := row.match(line):
                self.rules.append((found[1], found[3], re.findall(r"`([^`]+)`", found[4])))
        assert len(self.rules) > 20, "the rules are not where they were"

    def class_of(self, trial, is_lost):
        """The class of a trial that failed or has an error; None of any other."""
        if is_lost:
            return "infrastructure"
        if not trial.errors and trial.solved:
            return None
        text = trial.message[:400].lower()
        for kind, by, words in self.rules:
            if by == "type" and any(error.lower() in (word.lower() for word in words) for error in trial.errors):
                return kind
            if by == "words" and any(self.contains(text, word) for word in words):
                return kind
        if "CancelledError" in trial.errors:
            return "infrastructure"
        if trial.errors:
            return "unknown"
        return "ability" if trial.graded else "grading"

    @staticmethod
    def contains(text, word):
        end = "" if word.endswith("*") else r"(?![a-z0-9])"
        return re.search(r"(?<![a-z0-9])" + re.escape(word.rstrip("*")) + end, text) is not None


def figures(job):
    """The figures of a run, as comparisons have them."""
    done = job.ended + job.lost
    counted = [trial.counted for trial in job.ended if trial.counted is not None]
    valid = [trial for trial in job.ended if trial.valid]
    return {
        "ended": len(done),
        "known": len(done),
        "passed": sum(trial.solved for trial in done),
        "valid": len(valid),
        "errored": sum(bool(trial.errors) for trial in job.ended),
        "lost": len(job.lost),
        "reward": sum(counted) / len(counted) if counted else None,
        "reward_n": len(counted),
        "cost_usd": total(trial.cost for trial in job.ended),
        "cost_n": sum(trial.cost is not None for trial in job.ended),
        "rate": rate(done),
        "rate_of_valid": rate(valid),
    }


def by_task(job):
    found = {}
    for trial in job.ended + job.lost:
        found.setdefault((trial.task, trial.agent), []).append(trial.solved)
    return found


def difference(first, other):
    """The difference of two runs over the tasks of both, and the exact p-value of its test."""
    a, b = by_task(first), by_task(other)
    both = sorted(set(a) & set(b), key=str)
    result = {"n_tasks": len(both), "only_first": len(set(a) - set(b)), "only_other": len(set(b) - set(a))}
    if not both:
        return result
    mean = lambda values: Fraction(sum(values), len(values))
    differences = [mean(b[task]) - mean(a[task]) for task in both]
    result["value"] = float(sum(differences) / len(both))
    # Sign-flip over all signs of the tasks that differ; with one attempt at each task it is McNemar's test.
    changed = [value for value in differences if value]
    if len(changed) <= 16:
        seen = abs(sum(changed))
        flips = itertools.product((1, -1), repeat=len(changed))
        extreme = sum(abs(sum(s * d for s, d in zip(signs, changed))) >= seen for signs in flips)
        result["p"] = extreme / 2 ** len(changed)
    return result


def main():
    docks, document, *directories = sys.argv[1:]
    rules = Rules(Path(document))
    jobs = 0

    def run(directory, *line):
        command = [docks, "--harbor", str(directory), *line, "--format", "json"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            problems.append(f"{' '.join(line)}: exit code {done.returncode}: {done.stderr}")
            return {}
        return json.loads(done.stdout)

    for directory in map(Path, directories):
        found = []
        for row in run(directory, "runs", "eval-list", "--limit", "0", "--fresh"):
            job = Job(Path(row["remote_ref"]))
            # Of others, nothing but their own totals is there.
            if job.trials and not any(trial.is_pointer for trial in job.trials):
                found.append((row, job))
        for row, job in found:
            jobs += 1
            name, ours = row["name"], figures(job)
            shown = run(directory, "runs", "eval-get", row["id"])
            harbor = shown.get("harbor", {})
            inputs = [trial.input for trial in job.ended if trial.input is not None]
            all_inputs = [
                trial.input + trial.cached if (trial.cached or 0) > trial.input else trial.input
                for trial in job.ended
                if trial.input is not None
            ]
            equal(name, {
                "completed_trials": len(job.ended),
                "passed_trials": ours["passed"],
                "lost_trials": len(job.lost),
            }, shown)
            equal(name, {
                "trials": {
                    "ended": len(job.ended),
                    "passed": ours["passed"],
                    "errored": ours["errored"],
                    "lost": len(job.lost),
                },
                "cost_usd": ours["cost_usd"],
                # Nobody says so before the first trial has ended.
                "cost_n": ours["cost_n"] if job.ended else None,
                "input_tokens": sum(inputs) if inputs else None,
                "all_input_tokens": sum(all_inputs) if all_inputs else None,
                "cache_tokens": total(trial.cached for trial in job.ended),
                "output_tokens": total(trial.output for trial in job.ended),
                "tokens_n": len(inputs) if job.ended else None,
            }, harbor)
            failed = run(directory, "runs", "failures", row["id"])
            classes = {}
            for trial in job.ended + job.lost:
                kind = rules.class_of(trial, trial in job.lost)
                if kind:
                    classes[kind] = classes.get(kind, 0) + 1
            others = [t for t in job.ended + job.lost if rules.class_of(t, t in job.lost) != "infrastructure"]
            equal(f"failures {name}", {
                "ended": ours["ended"],
                "solved": ours["passed"],
                "failures": sum(classes.values()),
                "rate": ours["rate"],
                "rate_of_valid": ours["rate_of_valid"],
                "rate_without_infrastructure": rate(others),
            }, failed)
            theirs = {row["class"]: row["trials"] for row in failed.get("classes", [])}
            equal(f"failures {name}, classes", classes, theirs)
            equal(f"failures {name}, number of classes", len(classes), len(theirs))
        for (row, job), (other_row, other) in itertools.permutations(found, 2):
            pair = f"{row['name']} and {other_row['name']}"
            comparison = run(directory, "runs", "compare", row["id"], other_row["id"])
            if comparison:
                for index, side in enumerate((job, other)):
                    equal(f"compare {pair}, side {index + 1}", figures(side), comparison["runs"][index])
                equal(f"compare {pair}", difference(job, other), comparison["summary"]["delta"])
    for problem in problems:
        print(problem)
    print(f"{jobs} jobs, {checks} figures from the files, {len(problems)} differ from what docks prints")
    sys.exit(bool(problems) or jobs < 4)


main()
