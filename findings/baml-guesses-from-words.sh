#!/usr/bin/env bash
# BAML (baml-py 0.226.3): an answer in words is read as the part of it that looks like a value.
#
# Where an answer is a sentence, the reader looks for the name of an enum's member, or for `true`, anywhere in the text,
# also inside a word: "This is not spam." is `SPAM`, "It is not true" and "untrue" are True. Of a number that is written
# for people it takes the first one, rounded for an `int`: "2.5 million" is 3, "3.5k" is 3.5, "50%" is 50.0. A fraction
# is worked out, so that "3/4" is the int 1, and a comma is always taken for thousands: "1,5", one and a half in half of
# Europe, is 15.0. Nothing tells that a value was guessed. Two names in one answer, "yes", "no", "1.234,5" and a range
# such as "12 to 15" are refused.
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
function Whole(text: string) -> int {
  client None
  prompt #"{{ text }} {{ ctx.output_format }}"#
}
function Real(text: string) -> float {
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
    (b.parse.Whole, ("2.5 million", "3/4", "3.7", "12 to 15")),
    (b.parse.Real, ("3.5k", "50%", "1/4", "1,5", "1.234,5")),
):
    for answer in answers:
        try:
            print(f"{answer} -> {read(answer)}")
        except Exception as error:
            print(f"{answer} raises {type(error).__name__}")
PYTHON
diff - seen <<'SEEN'
This is not spam. -> Kind.SPAM
It is HAM, not SPAM raises BamlError
It is not true -> True
untrue -> True
no raises BamlError
2.5 million -> 3
3/4 -> 1
3.7 -> 4
12 to 15 raises BamlError
3.5k -> 3.5
50% -> 50.0
1/4 -> 0.25
1,5 -> 15.0
1.234,5 raises BamlError
SEEN
echo "as described"
