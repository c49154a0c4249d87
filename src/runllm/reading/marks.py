"""The marks that models write around an answer. Pure tables.

Between some of them they think before they answer; some belong to the form of a conversation, which the server should
have taken off; and some call a tool. What stands there is no answer.
"""

# ruff: noqa: RUF001 - DeepSeek's marks are made of such letters

from __future__ import annotations

import re
from collections.abc import Iterator

# --- what was thought ---------------------------------------------------------------------------------

_NAMES = (
    "think|thinking|thought|think_fast(?:er)?|reasoning|scratchpad|reflection|antThinking|(?:seed|mm):think"
    "|longcat_think"
)
"""DeepSeek, Qwen and most others; Gemma and Claude by their prompts; Seed-OSS, MiniMax, LongCat."""
_CHANNEL = r"<\|channel\|>{}\b(?:(?!<\|message\|>)[^\n]){{0,80}}<\|message\|>"
"""gpt-oss writes into channels: the last is the answer."""

_OPEN = (
    r"\[THINK\]|◁think▷|<\|START_THINKING\|>|<\|begin_of_thought\|>|<\|channel>thought|<unused94>thought"
    r'|<details type="reasoning"[^>]{0,80}>|<\|inner_prefix\|>|\[unused16\]|<\|(?:think|thinking|reasoning)\|>'
)
_CLOSE = (
    r"\[/THINK\]|◁/think▷|<\|END_THINKING\|>|<\|end_of_thought\|>|<channel\|>|<unused95>|</details>"
    r"|<\|inner_suffix\|>|\[unused17\]|<\|/(?:think|thinking|reasoning)\|>|</\|(?:think|thinking|reasoning)\|>"
    r"|<\|end_(?:of_)?(?:think|thinking|reasoning)\|>"
)
"""Magistral, Kimi, Cohere, OpenThinker, two of Gemma's, Open WebUI, Apertus, Pangu."""

OPENING = re.compile(rf"<(?:{_NAMES})>|{_OPEN}|{_CHANNEL.format('(?:analysis|commentary)')}", re.IGNORECASE)
CLOSING = re.compile(rf"</(?:{_NAMES})>|{_CLOSE}|{_CHANNEL.format('final')}", re.IGNORECASE)
ENDING = re.compile(r"\s*<\|(?:return|end)\|>\s*\Z")
"""What gpt-oss ends its answer with."""
SPOKEN = re.compile(
    r"\s*(?:<(analysis|reason|thoughts|(?:inner|internal)_(?:monologue|thoughts?|reasoning))>"
    r"(?:(?!</?\1>).)*+</\1>"
    r"|analysis(?:(?!assistantfinal).)*+assistantfinal|assistantfinal"
    r"|Here(?: is|.s) my thought process:(?:(?!Here(?: is|.s) my response:).)*+Here(?: is|.s) my response:)\s*",
    re.DOTALL,
)
"""Reasoning under marks that an answer may hold as well, so at the beginning alone.

Claude and others by their prompts; gpt-oss behind a server that drops its tokens; Granite.
"""


def said(text: str) -> str:
    """What a text says beside what was thought, without blanks around it; empty where nothing was."""
    spoken = SPOKEN.match(text)
    rest = ENDING.sub("", text[spoken.end() if spoken else 0 :]).strip()
    closed = [found.end() for found in CLOSING.finditer(rest)]
    return rest[closed[-1] :].strip() if closed else "" if OPENING.match(rest) else rest


# --- the form of a conversation -----------------------------------------------------------------------

_SPEAKER = r"(?:assistant|model|ai|bot)"
HEAD = re.compile(
    rf"(?:<\|im_start\|>|<start_of_turn>|<\|turn>|<\|start\|>){_SPEAKER}\b[ \t]*(?:\n|<\|message\|>|(?=<)|\Z)"
    rf"|<\|start_header_id\|>{_SPEAKER}<\|end_header_id\|>|<\|header_start\|>{_SPEAKER}<\|header_end\|>"
    rf"|<\|start_of_role\|>{_SPEAKER}<\|end_of_role\|>|<\|{_SPEAKER}\|>|<｜Assistant｜>|<\|begin_of_text\|>|<bos>"
    r"|<\|START_OF_TURN_TOKEN\|>|<\|CHATBOT_TOKEN\|>|<\|START_RESPONSE\|>|\[/INST\]"
)
"""What a turn of the assistant begins with."""
_TAIL = (
    r"<\|im_end\|>|</s>|<\|eot_id\|>|<\|eot\|>|<\|eom_id\|>|<\|eom\|>|<end_of_turn>|<turn\|>|<eos>|<\|end_of_text\|>"
    r"|<\|endoftext\|>|<｜end▁of▁sentence｜>|<\|END_OF_TURN_TOKEN\|>|<\|END_RESPONSE\|>|<\|end_of_turn\|>"
    r"|<\|(?:return|end)\|>|<\|call\|>|\[EOS\]|\[e~\["
)
TAIL = re.compile(rf"(?:(?:{_TAIL})\s*)+")
"""What a turn ends with."""
TURN = re.compile(
    r"<\|im_start\|>|<\|start_header_id\|>|<\|header_start\|>|<start_of_turn>|<\|turn>|<\|start\|>|<\|start_of_role\|>"
    r"|<\|(?:user|assistant|system|observation)\|>|<｜(?:User|Assistant)｜>|<\|START_OF_TURN_TOKEN\|>|\[INST\]|<s>"
)
"""What any turn begins with."""
WRAPPER = re.compile(
    r"<(answer|final_answer|(?P<of_xml>response|final_response|output))>(?P<inside>(?:(?!</?\1>).)*+)</\1>"
    r"|<\|begin_of_(?P<box>box|solution|answer)\|>(?P<boxed>(?:(?!<\|(?:begin|end)_of_(?P=box)\|>).)*+)"
    r"<\|end_of_(?P=box)\|>",
    re.DOTALL | re.IGNORECASE,
)
"""What all of an answer stands in."""

# --- the call of a tool -------------------------------------------------------------------------------

_CALLS: dict[str, str] = {
    # Hermes, Qwen, GLM
    r"<tool_call>(?=\s*(?:[\[{<]|call:|[\w.:-]{1,80}\s*(?:<arg_key>|</tool_call>)))": r"</tool_call>",
    r"<tool_calls>(?=\s*[\[{<])": r"</tool_calls>",
    r"<\w{1,12}:tool_call>": r"</\w{1,12}:tool_call>",  # MiniMax, Seed
    r"<longcat_tool_call>": r"</longcat_tool_call>",
    r"<TOOLCALL>": r"</TOOLCALL>",  # Nemotron
    r"\[TOOL_CALLS\]": r"\Z",  # Mistral
    r"<function=[\w.:-]+>": r"</function>",  # Llama, Qwen
    r"<function_calls?>(?=\s*[\[{<])": r"</function_calls?>",  # Claude, xLAM
    r"<invoke name=": r"</invoke>",
    r"<start_function_call>": r"<end_function_call>",  # Gemma
    r"<\|python_tag\|>": r"<\|eom_id\|>|\Z",  # Llama
    r"<｜tool▁calls▁begin｜>": r"<｜tool▁calls▁end｜>",  # DeepSeek
    r"<｜tool▁call▁begin｜>": r"<｜tool▁call▁end｜>",
    r"<｜DSML｜function_calls>": r"</｜DSML｜function_calls>",
    r"<\|tool_calls_section_begin\|>": r"<\|tool_calls_section_end\|>",  # Kimi
    r"<\|tool_call_begin\|>": r"<\|tool_call_end\|>",
    r"<\|tool_calls?\|?>": r"<\|?/?tool_calls?\|>|\Z",  # Granite, Phi, Gemma
    r"<\|START_ACTION\|>": r"<\|END_ACTION\|>",  # Cohere
    r"<\|action_start\|>": r"<\|action_end\|>",  # InternLM
    r"functools\[": r"\]\s*\Z",  # Phi
    r"```tool_code\b": r"```",  # Gemma
    r"[\w.-]{1,80}\s*<arg_key>": r"</arg_value>\s*(?!<arg_key>)",  # GLM, where the mark around it is gone
    r"(?:<\|channel\|>|assistant)?commentary[ \t]+to=[\w.]+": r"<\|call\|>|\Z",  # gpt-oss
}
_CALL = re.compile(
    "|".join(rf"{begin}(?:(?!{begin}).)*?(?:{end}|\Z|(?={begin}))" for begin, end in _CALLS.items()), re.DOTALL
)
_CALLED = re.compile(rf"^[ \t]*(?={'|'.join(_CALLS)})", re.MULTILINE)
_THOUGHT_BEFORE = re.compile(
    r"\A(?:<\|channel\|>)?analysis(?:(?!assistant(?:<\|channel\|>)?commentary[ \t]+to=).)*+assistant", re.DOTALL
)
_OPENED = r"<parameter=|<parameter name=|<arg_key>"
_ARGUMENT = re.compile(
    rf"<parameter(?:=([\w.:-]+)| name=[\"']([^\"'>]+)[\"'][^>]*)>((?:(?!</parameter>|{_OPENED}).)*+)</parameter>"
    rf"|<arg_key>((?:(?!</arg_key>|{_OPENED}).)*+)</arg_key>\s*<arg_value>((?:(?!</arg_value>|{_OPENED}).)*+)</arg_value>",
    re.DOTALL,
)


def arguments(text: str) -> Iterator[dict[str, str]]:
    """The arguments of each call that names them one by one, as Qwen, Claude, MiniMax and GLM do: as texts."""
    for call in re.split(r"(?=<function=|<invoke |<tool_call>)", text):
        found = [(a or b or c, value or other) for a, b, value, c, other in _ARGUMENT.findall(call)]
        given = {name.strip(): value.removeprefix("\n").removesuffix("\n") for name, value in found}
        if given and len(given) == len(re.findall(_OPENED, call)):  # none twice, and none cut
            yield given


def is_call(text: str) -> bool:
    """Whether a text is the call of a tool under a model's marks, or ends with one that stands on its own lines."""
    thought = _THOUGHT_BEFORE.match(text)
    rest = text[thought.end() if thought else 0 :]
    begin = _CALLED.search(rest)
    return begin is not None and not TAIL.sub("", _CALL.sub("", rest[begin.start() :])).strip()
