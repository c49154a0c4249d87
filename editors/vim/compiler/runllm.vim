" `:make` checks the file with `runllm validate`; the problems are in the quickfix list.
if exists('current_compiler')
  finish
endif
let current_compiler = 'runllm'

CompilerSet makeprg=runllm\ validate\ %:S
CompilerSet errorformat=%f:%l:%c:\ %trror:\ %m,%f:%l:%c:\ %tarning:\ %m,%-G%.%#
