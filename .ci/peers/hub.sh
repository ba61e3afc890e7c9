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
    local word=$1 expected=$2 output=$3
    shift 3
    asked=$((asked + 1))
    if [[ $output == *"$expected"* && $output != *Traceback* ]] &&
        { [[ $word == refused ]] || [[ $output != *"exit code "* ]]; }; then
        printf '%-10s docks %s\n' "$word" "$*"
    else
        wrong=$((wrong + 1))
        printf 'WRONG      docks %s (expected %s)\n%s\n' "$*" "$expected" "$(tail -n 20 <<<"$output")"
    fi
}

works() { judge works "$1" "$(client "${@:2}")" "${@:2}"; }
refused() { judge refused "$1" "$(client "${@:2}")" "${@:2}"; }

# Lines `run name trial`, from the hub itself.
pairs() {
    "$python" - "$address/tenants/local/harbor/runs" "$token" <<'PYTHON'
import json, sys, urllib.request

def get(address):
    request = urllib.request.Request(address, headers={"Authorization": f"Bearer {sys.argv[2]}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)

for run in get(sys.argv[1]):
    trials = get(f"{sys.argv[1]}/{run['id']}/trials")
    print(run["id"], run["name"], trials[0]["id"], trials[0]["variant_name"])
PYTHON
}

works nightly-mixed runs list
works nightly-mixed runs list --limit 100 --status completed
works nightly-mixed runs eval-list --limit 7
while read -r run name trial variant; do
    works "$name" runs get "$run"
    works "$name" runs eval-get "$run"
    works "Task" runs trials "$run"
    works "$trial" runs trial "$run" "$trial"
    # It knows no addresses but those of Google Cloud, and says so in its way.
    works "No artifacts available" runs artifacts "$run"
    works "$name" report summary "$run"
    works "DOCKS EVALUATION REPORT" report show "$run"
    works "${variant:0:10}" report show "$run"
    works "Report generated" report html "$run" -o "$work/empty/$name.html"
    grep -q "$name" "$work/empty/$name.html" || wrong=$((wrong + 1))
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
