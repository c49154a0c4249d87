" Highlighting of .rllm files: YAML frontmatter, sections, Jinja expressions, Python blocks.
if exists('b:current_syntax')
  finish
endif

syntax include @rllmYaml syntax/yaml.vim
unlet! b:current_syntax
syntax include @rllmPython syntax/python.vim
unlet! b:current_syntax

" The frontmatter begins on the first line, or below `#!`; it ends at the next `---`.
syntax match rllmShebang '\%^#!.*$' nextgroup=rllmFrontmatter skipnl skipempty
syntax region rllmFrontmatter matchgroup=rllmDelimiter start='\%^---\s*$' end='^---\s*$' keepend
      \ contains=@rllmYaml,rllmContract,rllmExpression,rllmStatement,rllmComment
syntax region rllmFrontmatter matchgroup=rllmDelimiter start='^---\s*$' end='^---\s*$' keepend contained
      \ contains=@rllmYaml,rllmContract,rllmExpression,rllmStatement,rllmComment

" `input` and `returns` in words, up to the next key.
syntax region rllmContract contained keepend matchgroup=rllmProperty start='^\%(input\|returns\):\ze\%(\s\|$\)'
      \ end='^\ze[^ \t#]' contains=@rllmWords,rllmSaid
syntax cluster rllmWords contains=rllmBraces,rllmQuoted,rllmProperty,rllmType,rllmBound,rllmSign,yamlComment
syntax region rllmBraces contained start='[[{]\]\@!' end='[]}]' contains=@rllmWords
syntax region rllmQuoted contained start='[ [{]\@1<="' end='"' contains=rllmType,rllmBound,rllmSign,rllmQuotedSaid
syntax region rllmQuoted contained start="[ [{]\@1<='" end="'" contains=rllmType,rllmBound,rllmSign,rllmQuotedSaid
syntax match rllmSaid contained ',.*$'
syntax match rllmQuotedSaid contained +,[^"']*+
syntax match rllmProperty contained '\w\+?\=:\ze\%(\s\|$\)'
syntax match rllmType contained '\<\%(string\|text\|integer\|number\|boolean\|date-time\|date\|email\|url\|any\)\>[-:]\@!'
syntax match rllmBound contained '-\=\<\d\+\%(\.\d\+\)\='
syntax match rllmSign contained '\.\.\||\|\[\]'

syntax match rllmSection '^<<<\s*\%(SYSTEM\|USER\|RECOVERY\)\s*>>>\s*$'
syntax match rllmWrongSection '^<<<\%(\s*\%(SYSTEM\|USER\|RECOVERY\)\s*>>>\s*$\)\@!.*>>>\s*$'

syntax region rllmPython matchgroup=rllmFence keepend contains=@rllmPython
      \ start='^ \{0,3}\z(`\{3,}\|\~\{3,}\)\s*rllm-python\>.*$' end='^ \{0,3}\z1[`~]*\s*$'

syntax region rllmComment start='{#' end='#}' containedin=yamlFlowString,yamlPlainScalar
syntax region rllmStatement matchgroup=rllmBrace start='{%[-+]\?' end='[-+]\?%}' contains=@rllmInside
      \ containedin=yamlFlowString,yamlPlainScalar
syntax region rllmExpression matchgroup=rllmBrace start='{{[-+]\?' end='[-+]\?}}' contains=@rllmInside
      \ containedin=yamlFlowString,yamlPlainScalar

syntax cluster rllmInside contains=rllmString,rllmNumber,rllmFilter,rllmProperty,rllmKeyword,rllmName
syntax region rllmString contained start=+"+ skip=+\\.+ end=+"+
syntax region rllmString contained start=+'+ skip=+\\.+ end=+'+
syntax match rllmNumber contained '\<\d\+\%(\.\d\+\)\?\>'
syntax match rllmFilter contained '|\s*\zs\h\w*'
syntax match rllmProperty contained '\.\s*\zs\h\w*'
syntax keyword rllmKeyword contained for endfor if elif else endif set endset with endwith macro endmacro raw endraw
syntax keyword rllmKeyword contained filter endfilter in is not and or true false none recursive
syntax keyword rllmName contained input uses vars run item errors previous_output attempt output_schema loop

highlight default link rllmShebang Comment
highlight default link rllmDelimiter Delimiter
highlight default link rllmSaid String
highlight default link rllmQuotedSaid String
highlight default link rllmType Type
highlight default link rllmBound Number
highlight default link rllmSign Operator
highlight default link rllmSection Title
highlight default link rllmWrongSection Error
highlight default link rllmFence PreProc
highlight default link rllmComment Comment
highlight default link rllmBrace Special
highlight default link rllmString String
highlight default link rllmNumber Number
highlight default link rllmFilter Function
highlight default link rllmProperty Identifier
highlight default link rllmKeyword Statement
highlight default link rllmName Type

let b:current_syntax = 'rllm'
