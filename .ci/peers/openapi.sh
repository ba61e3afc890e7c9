#!/usr/bin/env bash
# The running daemon answers as proto/openapi.yaml says, whatever is asked.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

environment=$(python_environment schemathesis==4.32.5) || skip "$(why_no_environment)"

cd "$root"
cargo build --locked -p docksd --bins

# A copy: asking the daemon to stop a job must not reach the bundled ones.
mkdir -m 700 "$work/home"
cp -R examples/harbor-jobs "$work/jobs"
printf '[default]\nharbor_jobs = "%s"\n' "$work/jobs" >"$work/home/config.toml"
chmod 600 "$work/home/config.toml"
start_docksd
start_bridge

# Ending the daemon is described, but would end the check, too; watching never ends.
cd "$work"
env -i PATH="$PATH" HOME="$work" PYTHONUTF8=1 NO_COLOR=1 \
    "$environment/bin/schemathesis" --config-file "$root/.ci/peers/schemathesis.toml" run "$root/proto/openapi.yaml" \
    --url "$bridge" \
    --exclude-path /v1/shutdown \
    --exclude-path /v1/events \
    --checks all \
    --max-examples "${DOCKS_CI_EXAMPLES:-30}" \
    --seed 1 --generation-deterministic \
    --request-timeout 20 --workers 1 --no-color
