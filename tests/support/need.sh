# shellcheck shell=bash
# Programs that the scripts need: installed where that is permitted, named clearly otherwise.
# Sourced by tests/run, .ci/run and tests/deploy.

say() { echo "$0: $*" >&2; }

as_root() {
    if [[ $(id -u) == 0 ]]; then
        "$@"
    else
        sudo -n "$@"
    fi
}

apt_is_permitted() {
    command -v apt-get >/dev/null && { [[ $(id -u) == 0 ]] || sudo -n true 2>/dev/null; }
}

# One at a time, where scripts run side by side. What a package starts does not keep the lock.
apt_updated=
apt_install() {
    apt_is_permitted || return 0
    {
        flock 9
        say "installing $* ..."
        [[ -n $apt_updated ]] || as_root apt-get update -qq >/dev/null 9>&- || true
        apt_updated=yes
        as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -qq --no-install-recommends "$@" >/dev/null 9>&- || true
    } 9>"${TMPDIR:-/tmp}/tailsieve-apt-$(id -u).lock"
}

# need PROGRAM WHAT PACKAGE...: installs the Debian packages if the program is missing; ends the
# script with code 3, naming WHAT is needed, if it stays missing.
need() {
    local program=$1 what=$2
    shift 2
    command -v "$program" >/dev/null && return
    apt_install "$@"
    command -v "$program" >/dev/null && return
    say "needs $what (Debian: apt-get install $*)"
    exit 3
}

need_rust() {
    need cc "a C compiler and make, to build librdkafka" build-essential
    need make "make, to build librdkafka" build-essential
    export PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
    command -v cargo >/dev/null && return
    need curl "curl, to fetch Rust" curl ca-certificates
    say "installing Rust through rustup ..."
    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs |
        sh -s -- -y -q --no-modify-path --profile minimal || true
    command -v cargo >/dev/null && return
    say "needs Rust, stable (https://rustup.rs)"
    exit 3
}

need_python() {
    need python3 "Python 3 with venv" python3 python3-venv
    python3 -c 'import ensurepip, venv' 2>/dev/null && return
    # Debian's python3 comes without it.
    apt_install python3-venv
    python3 -c 'import ensurepip, venv' 2>/dev/null && return
    say "needs Python 3 with venv (Debian: apt-get install python3-venv)"
    exit 3
}

# The linters of linters.txt, on the PATH; $LINTERS is their virtual environment, for those that are
# called from Python. A new list is a new one.
need_linters() {
    need_python
    local list venv
    list=$(dirname "${BASH_SOURCE[0]}")/linters.txt
    venv=$TAILSIEVE_CACHE/linters-$(cksum <"$list" | cut -d' ' -f1)
    if [[ ! -e $venv/complete ]]; then
        python3 -m venv --clear "$venv"
        "$venv/bin/pip" install -q --disable-pip-version-check --requirement "$list"
        touch "$venv/complete"
    fi
    export PATH=$PATH:$venv/bin LINTERS=$venv
}

linters_python() { "${LINTERS:?need_linters comes first}/bin/python" -B "$@"; }
