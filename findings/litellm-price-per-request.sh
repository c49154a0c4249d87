#!/usr/bin/env bash
# LiteLLM 1.110.2: of a model that is paid by the question, the price of the question is left out of the cost.
#
# The table that LiteLLM ships has `input_cost_per_request` for chat models of Perplexity (0.005 US dollars for
# `perplexity/sonar-small-online`), and `cost_per_token` and `completion_cost` count tokens alone: 1,000 prompt tokens
# and no answer cost 0.0 by them, 10,000 answered tokens cost what the tokens do. So a budget kept with these functions
# never sees the fee.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet litellm==1.110.2
LITELLM_LOCAL_MODEL_COST_MAP=True LITELLM_MODE=PRODUCTION LITELLM_LOG=CRITICAL "$folder/venv/bin/python" - <<'PYTHON' | tee "$folder/seen"
import litellm

model = "perplexity/sonar-small-online"
print("listed", litellm.model_cost[model]["input_cost_per_request"])
print("counted", litellm.cost_per_token(model=model, prompt_tokens=1000, completion_tokens=0))
reply = litellm.ModelResponse(
    model=model,
    choices=[{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "x"}}],
    usage={"prompt_tokens": 1000, "completion_tokens": 10000, "total_tokens": 11000},
)
print("completion", round(litellm.completion_cost(reply, model=model), 6))
PYTHON
grep -qx 'listed 0.005' "$folder/seen"
grep -qx 'counted (0.0, 0.0)' "$folder/seen"
grep -qx 'completion 0.0028' "$folder/seen"
echo "as described"
