#!/usr/bin/env bash
# Runs the real `harbor serve` beside docks: pauses, cancels and retries its jobs, kills and restarts it, and compares
# docks' statuses and figures with the server's at each state.
#
#   .ci/peers/harbor_serve.sh                            the comparison
#   .ci/peers/harbor_serve.sh --bench [JOBS TRIALS]      times both side by side, 100 jobs of 1,000 trials each
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

PYTHON=$(newer_python) || skip "Harbor needs Python 3.12 or newer; there is none"
environment=$(PYTHON=$PYTHON python_environment harbor==0.26.0) || skip "$(why_no_environment)"

cd "$root"
if [[ ${1-} == --bench ]]; then
    shift
    cargo build --locked --release -p docks -p docksd --bins
    build=$target/release program=harbor_serve_bench.py
else
    cargo build --locked -p docks -p docksd --bins
    build=$target/debug program=harbor_serve.py
fi
# Without bytecode beside the programs.
HARBOR_BIN=$environment/bin/harbor DOCKS_BIN=$build/docks "$environment/bin/python" -B ".ci/peers/$program" "$work" "$@"
