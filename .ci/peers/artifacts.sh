#!/usr/bin/env bash
# Downloads artifacts from emulators of every store while connections break; each file must arrive complete and unmixed.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

moto=$(python_environment "moto[server]==5.2.5") || skip "$(why_no_environment)"
gcs=$(python_environment gcp-storage-emulator==2026.7.19) || skip "$(why_no_environment)"
# Without npm there is one store fewer.
azurite=$(node_package azurite@3.37.0) || { azurite= && skipped "Azure: the emulator cannot be installed from npm"; }
command -v openssl >/dev/null || skip "there is no openssl to make a private certificate with"

cd "$root"
cargo build --locked -p docks -p docksd --bins
# The driver ends whatever it started; its own end is waited for here.
python3 .ci/peers/artifacts.py --bin "$target/debug" --work "$work" \
    --moto "$moto/bin/moto_server" --gcs "$gcs/bin/gcp-storage-emulator" \
    ${azurite:+--azurite "$azurite/node_modules/.bin/azurite-blob"} "$@"
