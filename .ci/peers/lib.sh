# Sourced by the proofs that talk to real peers: programs from the Python
# package index on one side, our daemon behind a loopback bridge on the other.
#
# A caller gets a temporary folder `$work`, removed at the end together with
# every process that was started through `background`, and only with those.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/docks-ci
target=${CARGO_TARGET_DIR:-$root/target}
work=$(mktemp -d "${TMPDIR:-/tmp}/docks-ci.XXXXXX")
started=()

clean_up() {
    local id
    for id in ${started[@]+"${started[@]}"}; do
        kill "$id" 2>/dev/null || true
    done
    for id in ${started[@]+"${started[@]}"}; do
        wait "$id" 2>/dev/null || true
    done
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Reports that this check, or the named part of it, cannot run here, for the summary of .ci/run.
skipped() {
    printf 'SKIPPED: %s: %s\n' "$(basename "$0" .sh)" "$*" | tee -a "${DOCKS_TEST_SKIPS:-/dev/null}"
}

# Ends the check as one that cannot run here.
skip() {
    skipped "$*"
    exit 77
}

# Starts a program whose output goes to $work/NAME.out and .err.
background() {
    local name=$1
    shift
    "$@" >"$work/$name.out" 2>"$work/$name.err" &
    started+=("$!")
}

# Waits until a command succeeds, at most 60 s; shows what NAME said when it does not.
until_true() {
    local name=$1 deadline=$((SECONDS + 60))
    shift
    until "$@" >/dev/null 2>&1; do
        if ((SECONDS >= deadline)) || ! kill -0 "${started[${#started[@]} - 1]}" 2>/dev/null; then
            printf '%s did not come up:\n' "$name" >&2
            cat "$work/$name.out" "$work/$name.err" >&2
            return 1
        fi
        sleep 0.1
    done
}

# Harbor needs a newer Python than many systems have as python3.
newer_python() {
    local python
    for python in python3.14 python3.13 python3.12 python3 \
        "$HOME"/.pyenv/versions/3.1[2-9].*/bin/python3; do
        if "$python" -c 'import sys, venv; sys.exit(sys.version_info < (3, 12))' 2>/dev/null; then
            "$python" -c 'import sys; print(sys.executable)'
            return
        fi
    done
    return 1
}

# Makes a Python environment with pinned packages, once, with $PYTHON; prints its folder.
python_environment() {
    local python=${PYTHON:-python3} folder log name
    name=$(printf '%s+' "${@//==/-}")
    folder=$cache/${name%+}
    log=$work/pip.log
    command -v "$python" >/dev/null || return 1
    mkdir -p "$cache"
    (
        # Two checkouts may want the same environment at once.
        if command -v flock >/dev/null; then flock 9; fi
        # Chained, because `set -e` does not hold where a caller tests the result.
        [[ -e $folder/.complete ]] ||
            { rm -rf "$folder" &&
                "$python" -m venv "$folder" &&
                "$folder/bin/python" -m pip install --quiet --disable-pip-version-check "$@" &&
                touch "$folder/.complete"; }
    ) 9>"$cache/.lock" >"$log" 2>&1 || return 1
    printf '%s\n' "$folder"
}

# Installs a pinned package of the npm registry, once; prints its folder.
node_package() {
    local folder=$cache/${1/@/-}
    command -v npm >/dev/null || return 1
    mkdir -p "$cache"
    (
        if command -v flock >/dev/null; then flock 9; fi
        [[ -e $folder/.complete ]] ||
            { rm -rf "$folder" && mkdir "$folder" &&
                npm install --silent --no-audit --no-fund --prefix "$folder" "$1" &&
                touch "$folder/.complete"; }
    ) 9>"$cache/.lock" >"$work/npm.log" 2>&1 || return 1
    printf '%s\n' "$folder"
}

# Says in one line why `python_environment` gave nothing.
why_no_environment() {
    if ! command -v python3 >/dev/null; then
        printf 'there is no python3'
    else
        printf 'could not install from the package index: '
        grep -v '^ *$' "$work/pip.log" | tail -n 1
    fi
}

# Starts the daemon with $work/home and waits until it answers.
start_docksd() {
    background docksd env -u XDG_RUNTIME_DIR -u DOCKS_SOCKET -u DOCKS_PROFILE -u DOCKS_API_URL \
        -u DOCKS_TENANT_ID -u DOCKS_TOKEN -u DOCKS_HARBOR_JOBS \
        HOME="$work" DOCKS_HOME="$work/home" DOCKS_USE_KEYRING=false "$target/debug/docksd"
    socket=$work/home/run/docksd.sock
    until_true docksd python3 "$root/.ci/peers/bridge.py" --probe "$socket"
}

# Starts the bridge; sets $bridge to its address.
start_bridge() {
    background bridge python3 "$root/.ci/peers/bridge.py" "$socket"
    until_true bridge grep -q '^http' "$work/bridge.out"
    bridge=$(head -n 1 "$work/bridge.out")
}
