#!/usr/bin/env bash
# LiteLLM 1.110.2, provider `gradient_ai`: a call that says how often it may be sent again is refused before it is sent.
#
# `max_retries` and `num_retries` are LiteLLM's own words for its client, and every other provider tried here takes
# them. `gradient_ai` counts them among the model's parameters and raises UnsupportedParamsError, also for the value 0;
# the same call without them gets as far as the network. Nothing listens at the address, so nothing is sent.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet litellm==1.110.2
LITELLM_LOCAL_MODEL_COST_MAP=True LITELLM_MODE=PRODUCTION LITELLM_LOG=CRITICAL "$folder/venv/bin/python" - <<'PYTHON' | tee "$folder/seen"
import litellm

litellm.suppress_debug_info = True


def outcome(model, **given):
    try:
        litellm.completion(
            model=model, api_key="k", api_base="http://127.0.0.1:9", messages=[{"role": "user", "content": "hi"}], **given
        )
    except Exception as error:
        return type(error).__name__
    return "answered"


for provider in ("gradient_ai", "groq", "mistral", "deepseek"):
    for given in ({"max_retries": 0}, {"num_retries": 0}, {}):
        print(provider, given, outcome(f"{provider}/m", **given))
PYTHON
test "$(grep -c '^gradient_ai .*retries.* UnsupportedParamsError$' "$folder/seen")" = 2
test "$(grep -c 'UnsupportedParamsError' "$folder/seen")" = 2
grep -q '^gradient_ai {} APIConnectionError$' "$folder/seen"
echo "as described"
