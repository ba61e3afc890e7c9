#!/usr/bin/env bash
# The figures of docks equal those of scipy, statsmodels and numpy, to 1e-9 where the method is the same; and what docks
# prints of the sample jobs equals what a script of its own computes from their files.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

PYTHON=$(newer_python || command -v python3) || skip 'there is no python3'
environment=$(python_environment numpy==2.4.6 scipy==1.17.1 statsmodels==0.15.0) ||
    skip "$(why_no_environment)"

cd "$root"
cargo build --locked -p docks-statistics --example evaluate
"$environment/bin/python" .ci/peers/reference_statistics.py "$target/debug/examples/evaluate"

cargo build --locked -p docks -p docksd
mkdir -m 700 "$work/home"
export HOME="$work" DOCKS_HOME="$work/home" DOCKS_USE_KEYRING=false
unset DOCKS_API_URL DOCKS_TENANT_ID DOCKS_TOKEN DOCKS_PROFILE DOCKS_HARBOR_JOBS DOCKS_NO_DAEMON
stop_daemon() { "$target/debug/docks" daemon stop >/dev/null 2>&1 || true; }
trap 'stop_daemon; clean_up' EXIT
cases=daemon/harbor/tests/data/harbor-cases
"$PYTHON" .ci/peers/figures.py "$target/debug/docks" docs/failures.md examples/harbor-jobs "$cases"/*/jobs "$cases"/nested/repo
