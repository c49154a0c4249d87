#!/usr/bin/env bash
# BAML (baml-py 0.226.3): a number that is written for people is read in part, or as another one.
#
# Where an answer is no JSON number, the first number in the text is taken, and rounded for an `int`: "2.5 million" is 3,
# "3.5k" is 3.5, "50%" is 50.0 as a float. A fraction is worked out, so that "3/4" is the int 1 and "1/4" the float 0.25.
# A comma is always taken for thousands: "1,5", one and a half in half of Europe, is 15.0, while "1.234,5" is refused.
# So is a range such as "12 to 15".
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
    (b.parse.Whole, ("2.5 million", "3/4", "3.7", "12 to 15")),
    (b.parse.Real, ("3.5k", "50%", "1/4", "1,5", "1.234,5")),
):
    for answer in answers:
        try:
            print(f"{answer} is {read(answer)}")
        except Exception as error:
            print(f"{answer} raises {type(error).__name__}")
PYTHON
diff - seen <<'SEEN'
2.5 million is 3
3/4 is 1
3.7 is 4
12 to 15 raises BamlError
3.5k is 3.5
50% is 50.0
1/4 is 0.25
1,5 is 15.0
1.234,5 raises BamlError
SEEN
echo "as described"
