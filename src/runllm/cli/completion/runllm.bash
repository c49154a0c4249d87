# Completion of `runllm` for bash 4.4 or newer:  source <(runllm completion bash)
_runllm() {
    local kind value
    COMPREPLY=()
    while IFS=$'\t' read -r kind value _; do
        COMPREPLY+=("$value")
        # A folder and `key=` want more to be typed, so no space follows them.
        [[ $kind == open ]] && compopt -o nospace
    done < <("$1" completion bash -- "${COMP_LINE:0:COMP_POINT}" "$COMP_WORDBREAKS" 2>/dev/null)
}
complete -o nosort -F _runllm runllm
