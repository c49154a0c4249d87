"""What a request gives an app: one JSON object, the fields of a form, or, for what is simple, a query.

The text of a field or of a query is read as the type that the app declares, as `KEY=VALUE` on a command line is; it
never names a file.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qsl

from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from runllm.literals import parse_json
from runllm.schema import Contract
from runllm.serve.refusals import Refusal

if TYPE_CHECKING:
    from starlette.datastructures import FormData, UploadFile

_SECONDS = 30.0
"""The most that a body may take to arrive."""
_PARTS, _PAIRS = "multipart/form-data", "application/x-www-form-urlencoded"
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
            Refusal: it is too long, or compressed.
        """
        read = 0
        if self.headers.get("content-encoding", "identity").lower() != "identity":
            raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body is compressed", "Send it as it is.")
        declared = self.headers.get("content-length", "0")
        if declared.isdecimal() and int(declared) > self.most:
            raise _too_long(self.most)
        async for part in super().stream():
            read += len(part)
            if read > self.most:
                raise _too_long(self.most)
            yield part


class _Parts(MultiPartParser):
    """As Starlette's, but what breaks off is no form, where a part would be lost, and a text is what it says it is."""

    _has_ended = False

    def on_end(self) -> None:
        """The line behind the last part was read."""
        self._has_ended = True

    def on_part_end(self) -> None:
        """A part was read."""
        part = self._current_part
        if part.file is None:
            try:
                part.data.decode(self._charset)
            except UnicodeDecodeError:
                raise MultiPartException(f"The field `{part.field_name}` is not UTF-8 text.") from None
        super().on_part_end()

    async def parse(self) -> FormData:
        """The form."""
        form = await super().parse()
        if not self._has_ended:
            await form.close()
            raise MultiPartException("It breaks off before its end.")
        return form


async def parts(request: Bounded, hint: str, *, files: int, fields: int, longest: int) -> FormData:
    """The form that a request holds, to be closed.

    Args:
        request: whose body is read.
        hint: what to send instead of what cannot be read.
        files: the most files.
        fields: the most fields.
        longest: the most bytes of a field.

    Raises:
        Refusal: it is no form, or not a whole one.
    """
    reading = _Parts(request.headers, request.stream(), max_files=files, max_fields=fields, max_part_size=longest)
    try:
        return await reading.parse()
    except MultiPartException as error:
        raise Refusal(HTTPStatus.BAD_REQUEST, f"the form cannot be read: {error.message}", hint) from None


def _pairs(of: str, text: bytes) -> list[tuple[str, str]]:
    """What stands in a query, or in a body that is written as one."""
    try:
        return parse_qsl(text.decode(), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS)
    except UnicodeDecodeError:
        raise Refusal(HTTPStatus.BAD_REQUEST, f"the {of} is not UTF-8", _TAKEN) from None
    except ValueError:
        raise Refusal(HTTPStatus.BAD_REQUEST, f"the {of} has more than {_MOST_FIELDS:,} fields", _TAKEN) from None


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
    queried = _texts(_pairs("query", request.scope["query_string"]), contract)
    try:
        async with asyncio.timeout(_SECONDS):
            if kind in (_PARTS, _PAIRS):
                found = await _of_form(request, kind, contract)
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
        found = parse_json(body.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise Refusal(HTTPStatus.BAD_REQUEST, "the body is not UTF-8", _TAKEN) from None
    except RecursionError:
        raise Refusal(HTTPStatus.BAD_REQUEST, "the body is not valid JSON: it nests too deeply", _TAKEN) from None
    except ValueError as error:
        raise Refusal(HTTPStatus.BAD_REQUEST, f"the body is not valid JSON: {error}", _TAKEN) from None
    if not isinstance(found, dict):
        raise Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, "the body must be a JSON object of inputs by name", _TAKEN)
    return cast("dict[str, Any]", found)


async def _of_form(request: Bounded, kind: str, contract: Contract) -> dict[str, Any] | None:
    body = await request.body()
    if body.startswith(b"{"):  # what `curl -d` sends is called a form, whatever it is
        return _of_text(body, "application/json")
    if kind == _PAIRS:
        return _texts(_pairs("form", body), contract)
    form = await parts(request, _TAKEN, files=_MOST_FIELDS, fields=_MOST_FIELDS, longest=request.most)
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
