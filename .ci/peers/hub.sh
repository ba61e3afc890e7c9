#!/usr/bin/env bash
# The public Python client works with a hub: every `runs` and `report` command it has for what a jobs directory holds.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# The HTML report needs jinja2, which the client does not ask for.
environment=$(python_environment docks-cli==0.2.0 jinja2==3.1.6) || skip "$(why_no_environment)"
python=$environment/bin/python

cd "$root"
cargo build --locked -p docks -p docksd --bins

mkdir -m 700 "$work/home"
cp -R examples/harbor-jobs "$work/jobs"
docks() {
    env -i PATH="$PATH" HOME="$work" DOCKS_HOME="$1" DOCKS_NO_DAEMON=1 "$target/debug/docks" "${@:2}"
}
background hub env -i PATH="$PATH" HOME="$work" DOCKS_HOME="$work/home" \
    "$target/debug/docks" hub serve --harbor "$work/jobs" --listen 127.0.0.1:0
until_true hub docks "$work/home/hub" daemon status
address=$(docks "$work/home/hub" daemon status --format json |
    "$python" -c 'import json, sys; print(json.load(sys.stdin)["hub"]["address"])')
token=$(docks "$work/home" hub token)

# The client as a user has it, in an empty home and folder.
client() {
    (
        mkdir -p "$work/empty"
        cd "$work/empty"
        env -i PATH="$PATH" HOME="$work/empty" COLUMNS=200 NO_COLOR=1 PYTHONUTF8=1 \
            DOCKS_USE_KEYRING=false DOCKS_API_URL="$address" DOCKS_TENANT_ID="${tenant:-local}" \
            DOCKS_TOKEN="${credential:-$token}" "$python" -m docks "$@" 2>&1 || printf 'exit code %s\n' "$?"
    )
}

asked=0 wrong=0
# Tells how a command went: its output has to hold a text, and no traceback.
judge() {
    local word=$1 expected=$2 output=$3 padded
    shift 3
    asked=$((asked + 1))
    # A number is followed by a space, so that 2 is not found in 22.
    padded=${output//$'\n'/ $'\n'}' '
    if [[ $padded == *"$expected"* && $output != *Traceback* ]] &&
        { [[ $word == refused ]] || [[ $output != *"exit code "* ]]; }; then
        printf '%-10s docks %s\n' "$word" "$*"
    else
        wrong=$((wrong + 1))
        printf 'WRONG      docks %s (expected %s)\n%s\n' "$*" "$expected" "$(tail -n 20 <<<"$output")"
    fi
}

works() { judge works "$1" "$(client "${@:2}")" "${@:2}"; }
refused() { judge refused "$1" "$(client "${@:2}")" "${@:2}"; }

# Lines `run name trial variant completed failed running pending partial rate`, from the hub itself: the last six are
# what a report has to say, with the rate of tests, or of trials that passed where nobody counted tests.
pairs() {
    "$python" - "$address/tenants/local/harbor/runs" "$token" <<'PYTHON'
import json, sys, urllib.request

def get(address):
    request = urllib.request.Request(address, headers={"Authorization": f"Bearer {sys.argv[2]}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)

def word(trial):
    status = trial["status"]
    if status == "passed" or trial["harbor"]["solved"]:
        return "completed"
    return {"error": "failed", "cancelled": "partial"}.get(status, status)

def rate(trial):
    result = trial["result_data"] or {}
    if result.get("tests_total"):
        return result["tests_passed"] / result["tests_total"]
    if trial["status"] in ("passed", "failed", "error", "cancelled"):
        return float(word(trial) == "completed")
    return None

for run in get(sys.argv[1]):
    trials = get(f"{sys.argv[1]}/{run['id']}/trials")
    words = [word(trial) for trial in trials]
    rates = [r for r in map(rate, trials) if r is not None]
    mean = sum(rates) / len(rates) * 100 if rates else 0
    counts = [words.count(w) for w in ("completed", "failed", "running", "pending", "partial")]
    assert sum(counts) == len(trials), words
    with_logs = next(trial["id"] for trial in trials if trial["logs_uri"])
    print(run["id"], run["name"], with_logs, trials[0]["variant_name"], *counts, f"{mean:.1f}%")
PYTHON
}

works nightly-mixed runs list
works nightly-mixed runs list --limit 100 --status completed
works nightly-mixed runs eval-list --limit 7
while read -r run name trial variant completed failed running pending partial rate; do
    works "$name" runs get "$run"
    works "$name" runs eval-get "$run"
    works "Task" runs trials "$run"
    works "$trial" runs trial "$run" "$trial"
    # It downloads from Google Cloud only, and says so in its way; docs/hub.md says what to do instead.
    works "No artifacts available" runs artifacts "$run"
    works "$address/tenants/local/harbor/runs/" runs trial "$run" "$trial"
    works "$name" report summary "$run"
    works "Completed: $completed " report summary "$run"
    works "Failed: $failed " report summary "$run"
    works "Avg Pass Rate: $rate " report summary "$run"
    works "Running: $running " report summary "$run"
    works "Pending: $pending " report summary "$run"
    works "Partial: $partial " report summary "$run"
    works "DOCKS EVALUATION REPORT" report show "$run"
    works "${variant:0:10}" report show "$run"
    works "Report generated" report html "$run" -o "$work/empty/$name.html"
    for text in "$name" "stat-value status-completed\">$completed<" "$rate"; do
        grep -qF -- "$text" "$work/empty/$name.html" || {
            wrong=$((wrong + 1))
            printf 'WRONG      the report of %s lacks %s\n' "$name" "$text"
        }
    done
    # All of them have ended.
    refused "exit code 1" runs stop "$run" --force
    refused "exit code 1" runs eval-cancel "$run" --force
    refused "exit code 1" runs eval-start "$run"
done < <(pairs)
refused "404" runs get no-such-run
refused "404" runs eval-get no-such-run
refused "404" runs trials no-such-run
credential=wrong refused "401" runs list
tenant=other refused "403" runs list

printf '%d asked, %d wrong\n' "$asked" "$wrong"
((asked > 40 && wrong == 0))
