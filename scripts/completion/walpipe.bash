# Completion of walpipe for bash. Commands and options are those that walpipe --help lists, and
# sinks those of the config file.

_walpipe_sinks() {
    local i
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        -c | --config) sed -n 's/^ *\[sink  *\([A-Za-z0-9_-]*\) *\].*/\1/p' "${COMP_WORDS[i + 1]}" ;;
        esac
    done 2>/dev/null
}

_walpipe() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} help
    COMPREPLY=()
    case $before in
    -c | --config)
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        return
        ;;
    --sink)
        mapfile -t COMPREPLY < <(compgen -W "$(_walpipe_sinks)" -- "$word")
        return
        ;;
    --set)
        mapfile -t COMPREPLY < <(compgen -W "pipeline. source. $(_walpipe_sinks | sed 's/.*/sink.&./')" -- "$word")
        compopt -o nospace 2>/dev/null
        return
        ;;
    esac
    help=$("${COMP_WORDS[0]}" --help 2>/dev/null)
    if [[ $word == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(grep -o -- '--[a-z][a-z-]*' <<<"$help" | sort -u)" -- "$word")
    elif [ "$COMP_CWORD" -eq 1 ]; then
        mapfile -t COMPREPLY < <(compgen -W "$(sed -n 's/^  \([a-z][a-z]*\)  .*/\1/p' <<<"$help")" -- "$word")
    fi
}

complete -o filenames -F _walpipe walpipe
