"""The words in which providers say why they do not answer, by what they mean. Pure.

Statuses say little: a 403 is a key, a country, a plan, a model that is not switched on or a firewall, and a 400 may be
any of them. Where no pattern holds, the status decides.
"""

from __future__ import annotations

import re

TOO_LONG = (
    r"(?i)maximum context length|context (?:length|window|size) (?:is |was )?exceed|prompt is too long"
    r"|exceed\w* (?:the |its )?(?:available |maximum )?(?:context|number of tokens)"
    r"|longer than the model'?s context|tokens `?\+ `?max_new_tokens`? must be|context the overflows|input is too long"
    r"|\btoo many tokens\b|must have less than \d+ tokens|maximum prompt length is|range of input length should be"
    r"|(?:prompt|input|tokens?)\b.{0,60}exceeds? the (?:\w+ )?limit of|context shift is disabled"
    r"|(?:prompt|input)\b.{0,30}exceeds? (?:the )?max\w* (?:\w+ )?len"
)
# A limit on requests a minute is told in the same words by some, and then says when to come back.
NO_CREDIT = (
    r"(?i)^(?!.*(?:retry|try again) (?:in|after) \d).*(?:insufficient[_ ]quota|exceeded your current quota"
    r"|(?:credit|account) balance is too low|insufficient (?:\w+ )?(?:credit|balance|fund)|payment required"
    r"|out of credits?|not enough credits?|(?:doesn't|does not) have any credits|budget (?:has been |is )?exceeded"
    r"|exceeded budget|\barrearage\b|billing not active|account (?:is )?not active"
    r"|(?:spend(?:ing)?|hard|monthly) limit (?:is |was |has been )?(?:reach|exceed))"
)
NO_MORE_TODAY = r"(?i)per[ _-]?day\b|\b[RT]PD\b|\bdaily (?:\w+ )?(?:allocation|quota|limit)"
NO_MEMORY = r"(?i)requires more (?:\w+ )?memory|not enough (?:\w+ )?memory to (?:load|run)"
OF_TEMPLATE = r"(?i)system role (?:is )?not supported|raise_exception|roles must alternate"
PLAN = (
    r"(?i)\bbilling\b|\bpayment\b|subscri(?:be|ption)|\bupgrade\b|past due"
    r"|\b(?:your|current|paid|free|pro|higher|enterprise) (?:plan|tier)|\b(?:plan|tier)s?\b.{0,40}(?:not|only|requir)"
    r"|account .{0,30}(?:suspended|deactivated|overdue|arrears)"
)
# One request that is larger than what is allowed in a minute: no later one is answered either.
AT_ONCE = r"(?i)request too large\b.{0,200}(?:\bper[ _-]?min|\bTPM\b)"
TOO_MANY = r"(?i)rate[ _-]?limit|too many requests"
FILTERED = (
    r"(?i)content[ _]management policy|content[ _-]?(?:filter|policy|moderation)|(?:was|were|been|is|are|as) flagged"
    r"|\bmoderat(?:ion|ed|or)|\bsafety\b|guardrail|responsible ai|\bunsafe\b"
    r"|harmful|inappropriate|prohibited (?:content|use)"
    r"|prohibited[_ ]content|sensitive (?:content|information|word|topic)|content exists risk|data[_ ]?inspection"
    r"|risk control"
    r"|violat\w* .{0,80}(?:polic|guideline|terms|rules|standards)|(?:polic|guideline)\w* (?:\w+ )?violat"
    r"|\b(?:prompt|input|content|output|message|question) (?:was |is |has been )?(?:blocked|rejected|filtered)\b"
)
_SERVED = "(?:supported|available|allowed|permitted|served|accessible)"
_NOT_SERVED = rf"(?:not|un|isn't|aren't|cannot be|can't be)[ -]?(?:yet )?{_SERVED}"
_PLACE = r"(?:countr|region|territor|(?:user |your |geographic )location|jurisdiction)"
NOWHERE = (
    rf"(?i){_PLACE}.{{0,60}}{_NOT_SERVED}|{_NOT_SERVED} (?:in|from|for|at) (?:your|this|the|certain)\b.{{0,30}}{_PLACE}"
    r"|not (?:available|supported|offered) in your|unsupported[_ ](?:country|region|location)"
    r"|geo[ -]?(?:block|restrict|fenc)|sanction|embargo"
    r"|(?:block|restrict|den|refus)\w* .{0,60}\b(?:countr(?:y|ies)|regions?|territor\w+)\b"
)
TERMS = (
    r"(?i)(?:accept|agree to|sign|acknowledge|consent)\w* .{0,60}(?:terms|agreement|licen[sc]e|eula|conditions|policy)"
    r"|(?:terms|agreement|licen[sc]e|eula)\b.{0,60}(?:accept|agreed|signed)|\bgated\b|terms[_ ]required"
)
VERIFIED = (
    r"(?i)(?:must be|needs to be|not|isn't|is not yet) verified|(?:identity|organization|account|phone) verification"
)
NOT_OPEN = (
    r"(?i)\bmodels?\b.{0,80}(?:\bnot\b.{0,20}(?:enabled|allowed|activated|permitted|granted|authori[sz]ed"
    r"|entitled|approved|included|access)|disabled|restricted|no access|deactivated)|access .{0,60}\bmodels?\b"
    r"|(?:api|service)\b.{0,60}\bdisabled"
    r"|not enabled|has not been used in project|permission\w* .{0,60}\bmodels?\b|allowed[ _]models?"
)
BY_PLACE = (
    r"(?i)\bIP\b.{0,60}(?:allow|block|permit|authori|list|range|restrict)|allow-?list|cloudflare|just a moment|firewall"
    r"|attention required|captcha|\bWAF\b|request blocked|you have been blocked|web application"
)
NO_KEY = (
    r"(?i)api_?key\b.{0,40}\b(?:must be set|is missing|not set)|missing .{0,20}api key"
    r"|missing .{0,20}(?:authentication|authorization|credential)"
)
_KEY = r"(?:api[ _-]?key|(?:auth\w*|access|bearer) token|credential)"
BAD_KEY = (
    r"(?i)\A(?:not authenticated|unauthori[sz]ed)\b"
    rf"|(?:invalid|incorrect|expired|wrong|bad|revoked|unknown) (?:x-)?{_KEY}"
    rf"|{_KEY}s?\b.{{0,30}}(?:not valid|invalid|expired|revoked|disabled|incorrect)"
)
NO_MODEL = (
    r"(?i)\bmodels?\b.{0,80}(?:does not exist|not found|is not available|not exist\b|identifier is invalid)"
    r"|\bmodels?\b.{0,80}(?:decommissioned|no longer (?:supported|available)|not supported by any provider)"
    r"|\bmodels?(?: \S+){0,2} (?:is |was |has been )?(?:deprecated|retired|discontinued|shut ?down|not available)\b"
    r"|\bno models? (?:is |are )?(?:currently )?loaded|on-demand throughput isn.t supported"
    r"|deployment\b.{0,60}(?:does not exist|not found)"
    r"|(?:unknown|invalid|no such) model\b|not a valid model|no endpoints found for|LLM Provider NOT provided"
)
# What a 404 is about, where its words say so; a router that has nobody for the request says it as well.
OF_MODEL = r"(?i)\bmodels?\b|deployment|endpoints found for|endpoint .{0,80}does not exist"
OF_ROUTE = r"(?i)\bno (?:allowed )?(?:providers|endpoints) (?:are )?(?:available|found (?:that|matching))"
NO_CHAT = r"(?i)unexpected endpoint or method"
OF_FORM = (
    r"(?i)response_?format|json_?schema|json mode|response_schema|output_format|output_config|structured.?output"
    r"|guided|grammar"
)
LOADING = (
    r"(?i)loading (?:the )?model|\bmodel\b.{0,100}\b(?:is |still |currently )+(?:being )?load(?:ing|ed)"
    r"|\b(?:still|currently) loading"
)
MISREAD = r"(?i)unable to get json response"
# As LiteLLM says of an answer that is JSON of another kind; no list of choices at all is a failure of the server's.
SOMETHING_ELSE = (
    r"invalid response from LLM endpoint|a response with no 'choices'|'choices' that is not a list \((?!NoneType)"
)


def at_fault(param: str, words: str, sent: frozenset[str]) -> str | None:
    """The parameter that a refusal is about; None where it is about none of those that were sent.

    Args:
        param: the one that the error names itself: `temperature`, `stop[0]`, `body.top_p`.
        words: of the provider.
        sent: the names of the parameters of the request, as the file spells them.
    """
    names = {**{name: name for name in sent}, **_spelled(sent)}
    named = next((names[step] for step in re.split(r"[.\[\]]+", param) if step in names), None)
    if named or param:
        return named
    return next((names[name] for name in sorted(names, key=len, reverse=True) if _is_about(name, words)), None)


def _spelled(sent: frozenset[str]) -> dict[str, str]:
    """The other names of parameters: `max_tokens` is sent as `max_completion_tokens` to some, and the reverse."""
    pair = ("max_tokens", "max_completion_tokens")
    pairs = (pair, pair[::-1], ("thinking", "reasoning_effort"))
    camel = {re.sub(r"_(\w)", lambda found: found[1].upper(), name): name for name in sent if "_" in name}
    return camel | {one: other for one, other in pairs if other in sent and one not in sent}


_QUOTES = "`'\"\u2018\u201a\u201c\u201e\u00ab"
_BEFORE = rf"\b(?:param(?:eter)?|argument|field|property|option|input|value|support|set)s?:? (?:for |of )?[{_QUOTES}]?"
_AFTER = r"\b['\"`]?(?: ?[:=]| (?:must|is|are|should|cannot|can't|does|do|has|may|value|parameter|range|and|not)\b)"
# A list behind a colon, as in `parameters not supported: [top_p, temperature]`.
_LIST = (
    r"(?:param|argument|field|propert|option|\bkey|input|support|permit|allow|recogni[sz])\w*\b"
    r"[^:\n]{0,60}: ?[^:\n]{0,120}?"
)
_ENDS = r"(?=[^\w\s:]*(?:[,;.)\]}>]|\Z| and\b))"


def _is_about(name: str, words: str) -> bool:
    """Whether words speak of a parameter: some of them are named as one speaks, `stop` and `user`."""
    it = re.escape(name)
    patterns = [
        rf"[{_QUOTES}]{it}\b",
        rf"[\[(<]{it}[\])>]",
        rf"\w\.{it}\b(?!\.\w)",
        rf"{_LIST}(?<![\w-]){it}{_ENDS}",
        rf"\b{it}{_AFTER}",
        rf"{_BEFORE}{it}\b",
        *([rf"\b{it}\b"] if "_" in name or not name.islower() else []),
    ]
    return any(re.search(pattern, words) for pattern in patterns)
