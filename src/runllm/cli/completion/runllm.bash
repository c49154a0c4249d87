# Completion of `runllm` for bash 4.4 or newer:  source <(runllm completion bash)
_runllm() {
    local kind value
    COMPREPLY=()
    while IFS=$'\t' read -r kind value _; do
        [[ -n $value ]] && COMPREPLY+=("$value")
        # A folder and `key=` want more to be typed, so no space follows them.
        [[ $kind == open ]] && compopt -o nospace
    done < <(env _RUNLLM_COMPLETE=bash_complete COMP_WORDS="${COMP_LINE:0:COMP_POINT}" COMP_CWORD="$2" "$1" 2>/dev/null)
}
complete -o nosort -F _runllm runllm
