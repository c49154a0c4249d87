#!/usr/bin/env bash
# ondine 2.1.1: a budget never ends a run whose model has no known price, and the cost that is told is an "actual" 0.
#
# `with_max_budget` compares the budget with the cost that LiteLLM's price table gives. A model that the table does not
# have, such as one behind an OpenAI-compatible address of one's own, adds 0.0 for each row. So 40 rows are called under
# a budget of a millionth of a dollar, and `costs` says 0.0 for 600 tokens with `confidence='actual'`, as it does where
# the price is known. With `gpt-4o-mini` the same budget ends the run after the first rows. Nothing tells the two apart.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet ondine==2.1.1
cd "$folder"
LITELLM_LOCAL_MODEL_COST_MAP=True OPENAI_API_KEY=x venv/bin/python - 2>"$folder/log" <<'PYTHON' | tee "$folder/seen"
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pandas
from ondine import PipelineBuilder

calls = 0


class Provider(BaseHTTPRequestHandler):
    def do_POST(self):
        global calls
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        calls += 1
        message = {"role": "assistant", "content": "fine"}
        usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        head = {"id": "1", "object": "chat.completion", "created": 0, "model": asked["model"]}
        body = json.dumps({**head, "choices": [choice], "usage": usage}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:  # the run has ended meanwhile
            pass

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=server.serve_forever, daemon=True).start()
rows = pandas.DataFrame({"text": [f"row {number}" for number in range(40)]})
for model in ("gpt-4o-mini", "my-own-model"):
    calls = 0
    builder = PipelineBuilder.create().from_dataframe(rows, input_columns=["text"], output_columns=["out"])
    builder = builder.with_prompt("Say {text}").with_concurrency(1).with_max_budget(0.000001)
    builder = builder.with_llm(
        provider="openai", model=model, api_key="x", base_url=f"http://127.0.0.1:{server.server_port}/v1"
    )
    try:
        costs = builder.build().execute().costs
        print(f"= {model} {calls} calls, {costs.total_cost} for {costs.total_tokens} tokens, {costs.confidence}")
    except Exception as error:
        print(f"= {model} {'a few' if calls < 10 else calls} calls, {type(error).__name__}")
PYTHON
grep -qx '= gpt-4o-mini a few calls, BudgetExceededError' "$folder/seen"
grep -qx '= my-own-model 40 calls, 0.0 for 600 tokens, actual' "$folder/seen"
echo "as described"
