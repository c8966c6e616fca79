# shellcheck shell=bash disable=SC2154
# How the script that tests/guides/run makes begins.
set -euo pipefail

others=()
stop_others() {
    ((${#others[@]} == 0)) || kill "${others[@]}" 2>/dev/null || true
    wait
    others=()
}

ended() {
    local code=$?
    stop_others
    ((code == 0)) || tail -n 20 -- "$logs"/*.log
    exit "$code"
}
trap ended EXIT

# Within a subshell: the folder that the reader of the guide has made, again, and the files that the readers of
# other pages come with.
in_a_copy() {
    local copy
    trap - EXIT
    copy=$(mktemp -d "$scratch/copy.XXXXXX")
    cp -r . "$copy"
    cd "$copy"
    cp "$repository/tests/guides/rules.yaml" .
    cp "$repository/config/policies-collector.yaml" collector.yaml
}

# A command of its own, which ends well.
by_itself() {
    local command code=0
    command=$(cat)
    timeout 60 bash -c "$command" >"$logs/command.log" 2>&1 || code=$?
    if ((code != 0)); then
        tail -n 20 "$logs/command.log"
        echo "exit code $code: $command" >&2
        return 1
    fi
}

# The same, of one that may go on for ever: its reader ends it by Ctrl-C.
for_a_while() {
    local command code=0
    command=$(cat)
    timeout --signal INT --kill-after 5 3 bash -c "$command" >"$logs/command.log" 2>&1 || code=$?
    if ((code != 0 && code != 124)); then
        tail -n 20 "$logs/command.log"
        echo "exit code $code: $command" >&2
        return 1
    fi
}

# Blanks do not count.
squeezed() {
    sed -E 's/[[:space:]]+/ /g; s/^ //'
}

# Nor does what differs from run to run: numbers, times, ids.
blurred() {
    sed -E -e 's/[0-9a-f]{32}/#/g' -e 's/[0-9]+([.:T-][0-9]+)*/#/g' | squeezed
}

# The lines of standard input are among those that the last block printed, in this order; HOW says what is the
# same.
printed() { # HOW PLACE
    local wanted line
    exec 4< <("$1" <"$shown")
    while IFS= read -r wanted; do
        while :; do
            if ! IFS= read -r line <&4; then
                echo "$2: not printed: $wanted" >&2
                return 1
            fi
            [[ $line != "$wanted" ]] || break
        done
    done < <("$1")
    exec 4<&-
}
