# Completion of `runllm` for fish:  runllm completion fish > ~/.config/fish/completions/runllm.fish
function __runllm_complete
    set -l words (commandline -opc)
    set -l current (string unescape -- (commandline -ct))
    env _RUNLLM_COMPLETE=fish_complete COMP_WORDS=(string join \n -- $words | string collect) COMP_CWORD="$current" \
        $words[1] 2>/dev/null | string replace -rf '^[a-z]+\t' ''
end
complete --command runllm --no-files --keep-order --arguments '(__runllm_complete)'
