#!/usr/bin/env bash
# The figures of docks equal those of scipy, statsmodels and numpy, to 1e-9 where the method is the same.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

PYTHON=$(newer_python || command -v python3) || skip 'there is no python3'
environment=$(python_environment numpy==2.4.6 scipy==1.17.1 statsmodels==0.15.0) ||
    skip "$(why_no_environment)"

cd "$root"
cargo build --locked -p docks-statistics --example evaluate
"$environment/bin/python" .ci/peers/reference_statistics.py "$target/debug/examples/evaluate"
