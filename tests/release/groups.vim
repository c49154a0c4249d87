" The syntax group at each place of `PLACES` (`line:column ...`), then the list that `:make` gives, as lines of OUT.
filetype plugin on
syntax on
edit $FILE
let s:out = ['filetype ' . &filetype]
for s:place in split($PLACES)
  let [s:line, s:column] = split(s:place, ':')
  call add(s:out, s:place . ' ' . synIDattr(synID(s:line, s:column, 1), 'name'))
endfor
silent make
for s:item in getqflist()
  call add(s:out, fnamemodify(bufname(s:item.bufnr), ':t') . ':' . s:item.lnum . ':' . s:item.col . ' ' . s:item.type . ' ' . s:item.text)
endfor
call writefile(s:out, $OUT)
qall!
