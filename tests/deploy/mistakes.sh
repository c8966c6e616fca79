# shellcheck shell=bash
# A check that finds nothing is worth something only where it would find a mistake.

# finds CHECK FILE EDIT: CHECK, a function that takes a file, must fail on FILE as `sed` edits it.
finds() {
    local check=$1 file=$2 edit=$3 folder copy
    folder=$(mktemp -d "${TMPDIR:-/tmp}/tailsieve-mistake.XXXXXX")
    copy=$folder/${file##*/}
    sed "$edit" "$file" >"$copy"
    if cmp -s "$file" "$copy"; then
        echo "$0: '$edit' changes nothing in $file" >&2
        exit 1
    fi
    if "$check" "$copy" >/dev/null 2>&1; then
        echo "$0: $check does not find '$edit' in $file" >&2
        exit 1
    fi
    rm -r "$folder"
}
