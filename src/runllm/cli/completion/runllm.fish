# Completion of `runllm` for fish:  runllm completion fish > ~/.config/fish/completions/runllm.fish
function __runllm_complete
    set -l words (commandline -opc)
    set -l current (string unescape -- (commandline -ct))
    $words[1] completion fish -- $words[2..-1] "$current" 2>/dev/null | string replace -r '^[a-z]+\t' ''
end
complete --command runllm --no-files --keep-order --arguments '(__runllm_complete)'
