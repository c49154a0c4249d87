#compdef runllm
# Completion of `runllm` for zsh:  source <(runllm completion zsh)  or put this into a file `_runllm` on your fpath.
_runllm() {
    local kind value help
    local -a plain plain_help open open_help as_is
    local -a typed=("${(@Q)words[1,CURRENT-1]}")
    [[ $PREFIX == '~'* ]] && as_is=(-Q)  # or zsh would take the `~` for a letter
    while IFS=$'\t' read -r kind value help; do
        [[ -n $value ]] || continue
        (( $#as_is )) && value="~${(q)value#\~}"
        if [[ $kind == open ]]; then
            open+=("$value")
            open_help+=("$value${help:+  -- $help}")
        else
            plain+=("$value")
            plain_help+=("$value${help:+  -- $help}")
        fi
    done < <(env _RUNLLM_COMPLETE=zsh_complete COMP_WORDS="${(F)typed}" COMP_CWORD="${(Q)PREFIX}" \
        "${(Q)~words[1]}" 2>/dev/null)
    # A folder and `key=` want more to be typed, so no space follows them.
    (( $#plain )) && compadd $as_is -V runllm -l -d plain_help -a plain
    (( $#open )) && compadd $as_is -V runllm-open -l -S '' -d open_help -a open
    return 0
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _runllm "$@"
else
    compdef _runllm runllm
fi
