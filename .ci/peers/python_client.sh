#!/usr/bin/env bash
# The public Python client prints the same through our daemon as from the API itself.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

environment=$(python_environment docks-cli==0.2.0) || skip "$(why_no_environment)"
python=$environment/bin/python

cd "$root"
cargo build --locked -p docksd --bins --example fake_docks_api

background api "$target/debug/examples/fake_docks_api" --runs 45 --trials 7 --token secret
until_true api grep -q '^http' "$work/api.out"
read -r api tenant <"$work/api.out"
tenant=${tenant#tenant=}

mkdir -m 700 "$work/home"
printf '[default]\napi_url = "%s"\ntenant_id = "%s"\ntoken = "secret"\n' "$api" "$tenant" \
    >"$work/home/config.toml"
chmod 600 "$work/home/config.toml"
start_docksd
start_bridge

# The client as a user has it, in an empty home and folder, asking the given address.
client() {
    local address=$1
    shift
    (
        mkdir -p "$work/empty"
        cd "$work/empty"
        env -i PATH="$PATH" HOME="$work/empty" COLUMNS=200 NO_COLOR=1 PYTHONUTF8=1 \
            DOCKS_USE_KEYRING=false DOCKS_API_URL="$address" DOCKS_TENANT_ID="$tenant" \
            DOCKS_TOKEN=secret "$python" -m docks "$@" 2>&1 || printf 'exit code %s\n' "$?"
    )
}

compared=0 different=0
# Ages such as "2m ago" move on by themselves, so the API is asked before and after.
same() {
    local before through after
    before=$(client "$api" "$@")
    through=$(client "$bridge" "$@")
    after=$(client "$api" "$@")
    compared=$((compared + 1))
    if [[ $through == "$before" || $through == "$after" ]]; then
        printf 'same       docks %s (%s lines)\n' "$*" "$(wc -l <<<"$through")"
    else
        different=$((different + 1))
        printf 'DIFFERENT  docks %s\n' "$*"
        diff <(printf '%s\n' "$before") <(printf '%s\n' "$through") || true
    fi
}

# What is not there is refused by both; the daemon's words may say more than the API's.
refused() {
    local direct through
    direct=$(client "$api" "$@")
    through=$(client "$bridge" "$@")
    compared=$((compared + 1))
    if [[ $(kind_of "$through") == "$(kind_of "$direct")" && $direct == *"exit code "* ]]; then
        printf 'refused    docks %s (%s)\n' "$*" "$(head -n 1 <<<"$through")"
    else
        different=$((different + 1))
        printf 'DIFFERENT  docks %s\n' "$*"
        diff <(printf '%s\n' "$direct") <(printf '%s\n' "$through") || true
    fi
}

# Leaves of a refusal what both must agree on: that it is one sentence's error with a
# status of HTTP, no traceback, and the exit code.
kind_of() { sed -nE 's/^(Error \([0-9]+\): )[^{<].*/\1/p; /^Traceback/p; /^exit code /p' <<<"$1"; }

# Ids come from the API itself, since the client shows them cut.
first_id() {
    "$python" - "$api/tenants/$tenant$1" <<'PYTHON'
import json, sys, urllib.request

request = urllib.request.Request(sys.argv[1], headers={"Authorization": "Bearer secret"})
with urllib.request.urlopen(request, timeout=30) as answer:
    objects = json.load(answer)
print((objects["items"] if isinstance(objects, dict) else objects)[0]["id"])
PYTHON
}
run=$(first_id "/runs?limit=1")
evaluation=$(first_id "/harbor/runs?limit=1")
trial=$(first_id "/harbor/runs/$evaluation/trials")

same runs list
same runs list --limit 5
same runs list --limit 100
same runs list --limit 100 --status failed
same runs get "$run"
refused runs get no-such-run
same runs eval-list
same runs eval-list --limit 7
same runs eval-get "$evaluation"
refused runs eval-get no-such-run
same runs trials "$evaluation"
same runs trial "$evaluation" "$trial"
refused runs trials no-such-run
refused runs trial "$evaluation" no-such-trial

printf '%d compared, %d different\n' "$compared" "$different"
((different == 0))
