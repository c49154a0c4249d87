"""How a model is reached: with which key, at which address, and where its call may go.

The rule for what a file may ask for: it may send a call to its provider's own hosts, to this machine, or to an
address that the user set or allowed, and name the provider's own variables or those that the user allowed. A
key goes along only to the provider's own hosts, or where the user wants it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field, replace
from typing import Any

from runllm.diagnostics import did_you_mean, pointer
from runllm.engines.addresses import is_at, is_covered, is_loopback, ollama_address, origin, read
from runllm.engines.providers import OLLAMA_ADDRESS, Provider, facts, provider_of, takes, variable_named_like
from runllm.errors import ConfigError, MissingCredentialError, NotAllowedError, ProviderConnectionError, RunllmError
from runllm.redaction import name_secret
from runllm.results import Endpoint
from runllm.values import frozen

LOOPBACK_ONLY = "RUNLLM_LOOPBACK_ONLY"
BEHIND = "an address behind the proxy "
PLACEHOLDER_KEY = "no-key"  # clients insist on one, and would else take the provider's from the environment


@frozen
class Access:
    """How LiteLLM is to reach a model.

    Attributes:
        provider: the provider's name.
        api_base: the address; None for the provider's own.
        api_key: the key to send; None only where the user is signed in, or LiteLLM reads a token of the provider's own.
        own: where the call may go as the provider's own, as `is_place` reads it.
        allowed: addresses of the user's that it may go to.
        variables: the variable that holds the key, or those that might and do not.
        withheld: whether a key is not sent, since only the file names the address.
    """

    provider: str
    api_base: str | None
    api_key: str | None = field(repr=False)
    own: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    withheld: bool = False


def reach(endpoint: Endpoint, environment: Mapping[str, str]) -> Access:
    """How to reach the endpoint's model.

    Args:
        endpoint: the model, what the file and the user say about its address and key, and what the user allows.
        environment: the process's variables.

    Raises:
        ModelNotFoundError: no provider of that name is known.
        NotAllowedError: the file asks for something that the user has not allowed.
        MissingCredentialError: no key is set.
        ProviderConnectionError: there is no address, or `RUNLLM_LOOPBACK_ONLY=1` forbids it.
    """
    name = provider_of(endpoint.model)
    provider = facts(name)
    base = _address(endpoint, name, provider, environment)
    only_here = environment.get(LOOPBACK_ONLY) == "1"
    if only_here and not (base and is_loopback(base)):
        raise _beyond(endpoint, name, base or f"the address of `{name}`")
    for refusal in refusals(endpoint, environment):
        raise refusal
    key, variables = _key(endpoint, name, provider, base, environment)
    withheld = key is PLACEHOLDER_KEY and _is_withheld(endpoint, provider, environment)
    access = Access(provider=name, api_base=base, api_key=key, variables=variables, withheld=withheld)
    return access if only_here else _with_places(access, endpoint, provider, environment)


def _with_places(access: Access, endpoint: Endpoint, provider: Provider, environment: Mapping[str, str]) -> Access:
    """The access with where its call may go: to one address, and where that one is signed in to.

    An address on this machine that only the file names is signed in to nowhere.
    """
    base = access.api_base
    if base is None or is_at(base, provider.hosts):
        return replace(access, own=(*provider.hosts, *provider.signs_in), allowed=endpoint.allowed_bases)
    if endpoint.api_base is None or endpoint.api_base in addresses_of_user(provider, environment):
        allowed = (*endpoint.allowed_bases, origin(base))
        return replace(access, own=provider.signs_in, allowed=allowed)
    own = provider.signs_in if is_covered(base, endpoint.allowed_bases) else ()
    return replace(access, own=own, allowed=endpoint.allowed_bases)


def refusals(endpoint: Endpoint, environment: Mapping[str, str]) -> Iterator[NotAllowedError]:
    """What the file asks for and the user has not allowed; `details["setting"]` is what would allow it.

    Raises:
        ModelNotFoundError: no provider of that name is known.
    """
    name = provider_of(endpoint.model)
    provider = facts(name)
    details: dict[str, Any] = {"provider": name, "model": endpoint.model}
    if endpoint.api_base and not _is_own(endpoint.api_base, provider, environment):
        yield from _of_address(endpoint, endpoint.api_base, provider, details)
    yield from _of_params(endpoint, provider, environment, details)
    variable = endpoint.api_key_env
    own = (*provider.keys, *provider.tokens, variable_named_like(name))
    if variable and not (endpoint.key_allowed or variable in own):
        yield NotAllowedError(
            f"the file wants the value of {variable} sent as the key of `{endpoint.model}`; it may only name the"
            f" provider's own variables",
            details=details | {"variable": variable, "setting": "allowed_keys", "place": "/api_key_env"},
            hint=f"If {variable} holds a key for that server: `runllm config set allowed_keys {variable}`.",
        )


def _of_address(
    endpoint: Endpoint, base: str, provider: Provider, details: dict[str, Any]
) -> Iterator[NotAllowedError]:
    """What is wrong with an address of the file's, which is not the provider's own."""
    if not (is_loopback(base) or is_covered(base, endpoint.allowed_bases)):
        yield NotAllowedError(
            f"the file sends the calls of `{endpoint.model}` to {base}, which you have not allowed",
            details=details | {"api_base": base, "setting": "allowed_bases", "place": "/api_base"},
            hint=allowing(base),
        )
    elif provider.session and not is_covered(base, endpoint.allowed_bases):
        yield NotAllowedError(
            f"`{details['provider']}` models are called as you are signed in, and {base} is an address of the file's",
            details=details | {"api_base": base, "setting": "allowed_bases", "place": "/api_base"},
            hint=allowing(base),
        )
    if not provider.keeps_base:
        yield NotAllowedError(
            f"`{details['provider']}` models cannot be given an address: LiteLLM is not known to keep to it",
            details=details | {"api_base": base, "place": "/api_base"},
            hint="Leave `api_base` out, or name the server as `openai/MODEL` if it speaks OpenAI's API.",
        )


def _of_params(
    endpoint: Endpoint, provider: Provider, environment: Mapping[str, str], details: dict[str, Any]
) -> Iterator[NotAllowedError]:
    """What is wrong with `provider_params`: a server of the user's gets any, a provider those that it is known to take.

    LiteLLM reads hundreds of names itself, and makes hosts and accounts out of some.
    """
    base = endpoint.api_base or next(iter(addresses_of_user(provider, environment)), provider.local)
    if base and (base != endpoint.api_base or is_loopback(base) or is_covered(base, endpoint.allowed_bases)):
        return
    known = takes(details["provider"])
    for name in endpoint.provider_params:
        if name not in known:
            yield NotAllowedError(
                f"`{name}` is not a parameter that `{details['provider']}` is known to take",
                details=details | {"parameter": name, "place": pointer(["provider_params", name])},
                hint=did_you_mean(name, sorted(known)) or "Leave it out; a server of your own gets any name.",
            )


def stopped(endpoint: Endpoint, access: Access, place: str, environment: Mapping[str, str]) -> RunllmError:
    """The error for a call that was stopped on its way to `place`, which it may not reach."""
    if environment.get(LOOPBACK_ONLY) == "1":
        return _beyond(endpoint, access.provider, place)
    where = place if "://" in place else f"https://{place}"
    if place.startswith(BEHIND):
        return ProviderConnectionError(
            f"`{endpoint.model}` would call {place}, in a way that does not show which address it is",
            details={"provider": access.provider, "model": endpoint.model},
            hint="Nothing was sent. Unset the proxy, or name the server as `openai/...` with `llm.api_base`.",
        )
    return NotAllowedError(
        f"`{endpoint.model}` would call {place}, which is neither the provider's own nor allowed by you",
        details={"provider": access.provider, "model": endpoint.model, "address": place, "setting": "allowed_bases"},
        hint=allowing(where),
    )


def allowing(base: str) -> str:
    """What lets calls go to the server of an address, with a key."""
    server = origin(base)
    return (
        f"If you trust that server with your input and a key: `--allow-base {server}` for this run,"
        f" or `runllm config set allowed_bases {server}`."
    )


def _beyond(endpoint: Endpoint, provider: str, where: str) -> ProviderConnectionError:
    return ProviderConnectionError(
        f"{LOOPBACK_ONLY} is set, and {where} is not on this machine",
        details={"provider": provider, "model": endpoint.model},
        hint=f"Unset {LOOPBACK_ONLY}, or give an address on 127.0.0.1.",
    )


def address_of(endpoint: Endpoint, environment: Mapping[str, str]) -> str:
    """The address that the file or the user gives; empty for the provider's own.

    Raises:
        ModelNotFoundError: no provider of that name is known.
    """
    return endpoint.api_base or next(iter(addresses_of_user(facts(provider_of(endpoint.model)), environment)), "")


def _address(endpoint: Endpoint, name: str, provider: Provider, environment: Mapping[str, str]) -> str | None:
    base = endpoint.api_base or next(iter(addresses_of_user(provider, environment)), None)
    if base and base != endpoint.api_base:
        _check_own(base, provider, environment)
    if base is None and provider.addressed:
        variable = f", or the environment variable {provider.bases[0]}" if provider.bases else ""
        raise ProviderConnectionError(
            f"`{endpoint.model}` has no address",
            details={"provider": name, "model": endpoint.model},
            hint=f"Set `llm.api_base`{variable}.",
        )
    return base or provider.local


def _check_own(base: str, provider: Provider, environment: Mapping[str, str]) -> None:
    """Raise unless an address of the user's environment can be called. It is not shown: it may hold a password."""
    plain, query, _ = base.partition("?")
    if read(plain) is None or (query and "AZURE_API_BASE" not in provider.bases):
        holders = [name for name in (*provider.bases, "OLLAMA_HOST") if environment.get(name)]
        raise ConfigError(
            f"{' or '.join(holders)} holds no address that can be called",
            hint="Write `http://HOST[:PORT][/PATH]` or `https://...`, in ASCII, with no user, password or query in it.",
        )


def addresses_of_user(provider: Provider, environment: Mapping[str, str]) -> list[str]:
    """The provider's addresses in the user's environment, the strongest first."""
    found = [base for variable in provider.bases if (base := _from_variable(variable, environment))]
    if provider.local == OLLAMA_ADDRESS and environment.get("OLLAMA_HOST"):
        found.append(ollama_address(environment["OLLAMA_HOST"]))
    return found


def _from_variable(variable: str, environment: Mapping[str, str]) -> str | None:
    before, brace, rest = variable.partition("{")
    if not brace:
        return environment.get(variable)
    name, _, after = rest.partition("}")
    return f"{before}{environment[name]}{after}" if environment.get(name) else None


def _key(
    endpoint: Endpoint, name: str, provider: Provider, base: str | None, environment: Mapping[str, str]
) -> tuple[str | None, tuple[str, ...]]:
    """The key to send and the variable that holds it; without one, those that might hold it.

    It is a placeholder where the user's own must not go, None where LiteLLM is to sign in by itself: without a key it
    takes one that it finds, of another provider if need be.
    """
    named = endpoint.api_key_env
    wanted = (named,) if named else provider.keys
    if _is_withheld(endpoint, provider, environment):
        return PLACEHOLDER_KEY, wanted
    for variable in wanted:
        if environment.get(variable):
            name_secret(variable)
            return environment[variable], (variable,)
    if not named and (provider.session or any(environment.get(token) for token in provider.tokens)):
        return None, wanted
    if not named and (provider.keyless or (base and is_loopback(base))):
        return PLACEHOLDER_KEY, wanted
    names = " or ".join(wanted)
    none = " If the server wants no key, name the model as `hosted_vllm/...`." if base and name == "openai" else ""
    raise MissingCredentialError(
        f"`{endpoint.model}` needs a key, and {names} is not set",
        details={"provider": name, "model": endpoint.model, "variables": list(wanted)},
        hint=f"Set the environment variable {names}, or choose a local model with `--model local/smollm2-135m`.{none}",
    )


def _is_withheld(endpoint: Endpoint, provider: Provider, environment: Mapping[str, str]) -> bool:
    """Whether the user's own key must not go to the address, which only the file names."""
    base = endpoint.api_base
    if not base or _is_own(base, provider, environment):
        return False
    return not (is_covered(base, endpoint.allowed_bases) and (endpoint.api_key_env or endpoint.key_allowed))


def _is_own(base: str, provider: Provider, environment: Mapping[str, str]) -> bool:
    """Whether this is the provider's own address, or the one that the user's environment gives for it."""
    return base in addresses_of_user(provider, environment) or is_at(base, provider.hosts)
