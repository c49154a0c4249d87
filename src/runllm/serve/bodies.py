"""What a request gives an app: one JSON object, the fields of a form, or, for what is simple, a query.

The text of a field or of a query is read as the type that the app declares, as `KEY=VALUE` on a command line is; it
never names a file.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

from starlette.exceptions import HTTPException
from starlette.requests import Request

from runllm.literals import parse_json
from runllm.schema import Contract
from runllm.serve.refusals import Refusal

if TYPE_CHECKING:
    from starlette.datastructures import UploadFile

_SECONDS = 30.0
"""The most that a body may take to arrive."""
_FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")
_MOST_FIELDS = 1_000
_TAKEN = (
    "Send the input as a JSON object (`Content-Type: application/json`), as a form, or, if it is short, as a query."
)


class Bounded(Request):
    """A request whose body is read no further than it may be long."""

    most: int = 1 << 20

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """The parts of the body.

        Raises:
            Refusal: it is too long.
        """
        read = 0
        declared = self.headers.get("content-length", "0")
        if declared.isdecimal() and int(declared) > self.most:
            raise _too_long(self.most)
        async for part in super().stream():
            read += len(part)
            if read > self.most:
                raise _too_long(self.most)
            yield part


def _too_long(most: int) -> Refusal:
    return Refusal(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"the body is longer than {most:,} bytes",
        "Give it in parts, one run for each; the service is started with `--max-body` if that is to be more.",
        {"Connection": "close"},
    )


async def given(request: Bounded, contract: Contract) -> dict[str, Any]:
    """The input that a request means.

    Raises:
        Refusal: it gives none that can be read.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    queried = _texts(request.query_params.multi_items(), contract)
    try:
        async with asyncio.timeout(_SECONDS):
            if kind in _FORMS:
                found = await _of_form(request, contract)
            else:
                found = _of_text(await request.body(), kind)
    except TimeoutError:
        raise Refusal(
            HTTPStatus.REQUEST_TIMEOUT, "the body did not arrive in time", "", {"Connection": "close"}
        ) from None
    if found is None:
        return queried
    if queried:
        raise Refusal(
            HTTPStatus.BAD_REQUEST, "the input stands in the body and in the query", "Give it in one of them."
        )
    return found


def _of_text(body: bytes, kind: str) -> dict[str, Any] | None:
    if not body:
        return None
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body is neither JSON nor a form", _TAKEN)
    try:
        found = parse_json(body.decode())
    except UnicodeDecodeError:
        raise Refusal(HTTPStatus.BAD_REQUEST, "the body is not UTF-8", _TAKEN) from None
    except RecursionError:
        raise Refusal(HTTPStatus.BAD_REQUEST, "the body is not valid JSON: it nests too deeply", _TAKEN) from None
    except ValueError as error:
        raise Refusal(HTTPStatus.BAD_REQUEST, f"the body is not valid JSON: {error}", _TAKEN) from None
    if not isinstance(found, dict):
        raise Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, "the body must be a JSON object of inputs by name", _TAKEN)
    return cast("dict[str, Any]", found)


async def _of_form(request: Bounded, contract: Contract) -> dict[str, Any] | None:
    if (await request.body()).startswith(b"{"):  # what `curl -d` sends is called a form, whatever it is
        return _of_text(await request.body(), "application/json")
    try:
        form = await request.form(max_files=_MOST_FIELDS, max_fields=_MOST_FIELDS, max_part_size=request.most)
    except HTTPException as error:  # what the parser says of a form that is none
        raise Refusal(HTTPStatus.BAD_REQUEST, f"the form cannot be read: {error.detail}", _TAKEN) from None
    try:
        fields = [(name, await _text_of(name, value)) for name, value in form.multi_items()]
    finally:
        await form.close()
    return _texts(fields, contract)


async def _text_of(name: str, value: UploadFile | str) -> str:
    if isinstance(value, str):
        return value
    try:
        return (await value.read()).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Refusal(
            HTTPStatus.UNPROCESSABLE_ENTITY, f"the file for `{name}` is not UTF-8 text", "Save it as UTF-8 text."
        ) from None


def _texts(fields: Iterable[tuple[str, str]], contract: Contract) -> dict[str, Any]:
    """Texts by name, each read as the type declared for it."""
    found: dict[str, Any] = {}
    for name, text in fields:
        if name in found:
            raise Refusal(
                HTTPStatus.BAD_REQUEST, f"`{name}` is given twice", "A list is given as JSON, in one field: `[1, 2]`."
            )
        found[name] = contract.read_text(name, text)
    return found
