#!/usr/bin/env bash
# BAML (baml-py 0.226.3): an answer that denies a value is read as that value.
#
# Where an answer is a sentence, the reader looks for the name of an enum's member, or for `true`, anywhere in the text,
# also inside a word. So "This is not spam." is `SPAM`, "It is not true" and "untrue" are True, and nothing tells that
# the value was guessed. Two names in one answer are refused as ambiguous, and so are "yes" and "no".
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet baml-py==0.226.3 pydantic==2.14.0
cd "$folder"
mkdir baml_src
cat > baml_src/read.baml <<'BAML'
generator python {
  output_type "python/pydantic"
  output_dir ".."
  version "0.226.3"
}
client<llm> None {
  provider openai
  options {
    model "m"
    api_key "x"
  }
}
enum Kind {
  SPAM
  HAM
}
function Sort(text: string) -> Kind {
  client None
  prompt #"{{ text }} {{ ctx.output_format }}"#
}
function Check(text: string) -> bool {
  client None
  prompt #"{{ text }} {{ ctx.output_format }}"#
}
BAML
venv/bin/baml-cli generate >log 2>&1
venv/bin/python - 2>log <<'PYTHON' | tee seen
from baml_client import b

for read, answers in (
    (b.parse.Sort, ("This is not spam.", "It is HAM, not SPAM")),
    (b.parse.Check, ("It is not true", "untrue", "no")),
):
    for answer in answers:
        try:
            print(f"{answer!r} is {read(answer)}")
        except Exception as error:
            print(f"{answer!r} raises {type(error).__name__}")
PYTHON
diff - seen <<'SEEN'
'This is not spam.' is Kind.SPAM
'It is HAM, not SPAM' raises BamlError
'It is not true' is True
'untrue' is True
'no' raises BamlError
SEEN
echo "as described"
