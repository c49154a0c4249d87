"""What is the same in each run of an app under the same options: worked out once, and kept by the runtime."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from runllm.executor import prompt
from runllm.results import Endpoint, Request
from runllm.routing import Limits, Options, endpoints, limits
from runllm.schema import Contract, asked_as, is_text

if TYPE_CHECKING:
    from runllm.engines.base import Fit
    from runllm.program import Plan, Program
    from runllm.runtime import Runtime

_MOST = 256  # apps that a runtime keeps


class Prepared:
    """An app, the models that it may call, and what these take of it. Safe to share between threads.

    Attributes:
        program: what the file says.
        options: those of the run for which it was made; of others, what differs decides nothing here.
        runtime: what the models are reached through.
        endpoints: the models to try, in order; none for an app that calls none.
        warnings: what each run is to be told of them; None until it is known that they can be called.
    """

    def __init__(
        self,
        program: Program,
        options: Options,
        runtime: Runtime,
        called: tuple[Endpoint, ...],
        warnings: tuple[str, ...] | None = None,
    ) -> None:
        self.program = program
        self.options = options
        self.runtime = runtime
        self.endpoints = called
        self.warnings = warnings
        self._fits: dict[int, Fit] = {}  # by the place of the model

    @classmethod
    def of(cls, plan: Plan, options: Options, runtime: Runtime) -> Prepared:
        """What the runtime has of an app under these options, or what is known before its models are looked for.

        Raises:
            UsageError: there is no model: neither in the file nor from the caller.
        """
        known = runtime.prepared.get(_key(plan, options))
        if known is not None:
            return known
        program = plan.program
        return cls(program, options, runtime, () if program.output is not None else endpoints(program, options))

    def ready(self, plan: Plan, usable: tuple[Endpoint, ...], warnings: tuple[str, ...]) -> Prepared:
        """The same once its models were looked for; the runtime keeps it, unless one of them may come later."""
        found = Prepared(self.program, self.options, self.runtime, usable, warnings)
        kept = self.runtime.prepared
        if len(usable) == len(self.endpoints):
            if len(kept) >= _MOST:
                kept.clear()
            kept[_key(plan, self.options)] = found
        return found

    @cached_property
    def limits(self) -> Limits:
        """How long its calls may take, and how often they are made."""
        return limits(self.program, self.options, self.endpoints[0].model)

    @cached_property
    def constrained(self) -> bool:
        """Whether every model enforces the schema itself; not asked before they are known to be there."""
        return all(self.runtime.engine(one).traits(one).constrained for one in self.endpoints)

    @cached_property
    def asked(self) -> Contract:
        """What an answer must satisfy: the output's own contract, but where a value is asked for inside an object."""
        contract = self.program.output_contract
        schema = asked_as(contract.schema)
        return contract if schema is contract.schema else Contract(schema)

    @cached_property
    def is_text(self) -> bool:
        """Whether the answer is a text."""
        return is_text(self.asked.schema)

    @cached_property
    def instruction(self) -> str:
        """What the models are told about the form of the answer; empty where the file says that they are not."""
        if self.program.model is not None and not self.program.model.schema_instruction:
            return ""
        return prompt.instruction(self.program.output_contract.schema, constrained=self.constrained)

    @cached_property
    def request(self) -> Request:
        """A request to the first model that has yet to be given its messages."""
        return Request(
            endpoint=self.endpoints[0],
            messages=(),
            params=self.program.params,
            schema=self.asked.schema,
            timeout=self.limits.timeout,
            window=self.program.max_context_window,
        )

    def fit(self, endpoint: Endpoint) -> Fit:
        """What one of the models takes of the file's parameters."""
        place = next(place for place, one in enumerate(self.endpoints) if one is endpoint)
        if place not in self._fits:
            asked = replace(self.request, endpoint=endpoint)
            self._fits[place] = self.runtime.engine(endpoint).fit(asked)
        return self._fits[place]

    def fitted(self, request: Request) -> tuple[Request, tuple[str, ...]]:
        """The request with the parameters that its model takes, and what of it arrives otherwise than as written."""
        written = request.params is self.program.params
        fit = self.fit(request.endpoint) if written else self.runtime.engine(request.endpoint).fit(request)
        return replace(request, params=fit.params), fit.notes


def _key(plan: Plan, options: Options) -> tuple[Hashable, ...]:
    """What decides; the configuration by its identity, since what is kept keeps it as well."""
    chosen = (options.model, options.engine, options.timeout, options.max_retries)
    return (plan, *chosen, options.folder, tuple(options.allowed_bases), id(options.configuration))
