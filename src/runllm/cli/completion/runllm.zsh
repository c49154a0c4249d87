#compdef runllm
# Completion of `runllm` for zsh:  source <(runllm completion zsh)  or put this into a file `_runllm` on your fpath.
_runllm() {
    local kind value help
    local -a closed closed_help open open_help as_is
    [[ $PREFIX == '~'* ]] && as_is=(-Q)  # or zsh would take the `~` for a letter
    while IFS=$'\t' read -r kind value help; do
        (( $#as_is )) && value="~${(q)value#\~}"
        if [[ $kind == open ]]; then
            open+=("$value")
            open_help+=("$value${help:+  -- $help}")
        else
            closed+=("$value")
            closed_help+=("$value${help:+  -- $help}")
        fi
    done < <("${(Q)~words[1]}" completion zsh -- "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)
    # A folder and `key=` want more to be typed, so no space follows them.
    (( $#closed )) && compadd $as_is -V runllm -l -d closed_help -a closed
    (( $#open )) && compadd $as_is -V runllm-open -l -S '' -d open_help -a open
    return 0
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _runllm "$@"
else
    compdef _runllm runllm
fi
