autocmd BufRead,BufNewFile *.rllm setfiletype rllm
