#!/usr/bin/env bash
# Runs the real Harbor in a jobs directory that docks follows, stops its jobs, and compares
# docks' answers with Harbor's own viewer.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

PYTHON=$(newer_python) || skip "Harbor needs Python 3.12 or newer; there is none"
cd "$root"
cargo build --locked -p docksd --bins

# The tests with one release of Harbor.
live() {
    local environment
    environment=$(PYTHON=$PYTHON python_environment "harbor==$1") || return 77
    printf 'Harbor %s\n' "$1"
    HARBOR_BIN=$environment/bin/harbor cargo test --locked -p docks --test it -- \
        --ignored --nocapture --test-threads=1 harbor_live
}

# The newest one, and the last one that wrote and counted in the old way.
for release in 0.26.0 0.24.0; do
    code=0
    live "$release" || code=$?
    ((code != 77)) || skip "$(why_no_environment)"
    ((code == 0)) || exit "$code"
done
