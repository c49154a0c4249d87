#!/bin/sh
# A summary with the `llm` command; the text comes in on standard input.
exec llm -m loopback --schema summary.schema.json --no-stream \
  -o temperature 0 -o max_tokens 400 \
  -s 'You are a careful editor. You never add facts that are not in the text.' \
  'Summarise the text above in two sentences, in plain words. Then list its key points.'
