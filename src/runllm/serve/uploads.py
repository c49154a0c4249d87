"""The routes of tables: to send one, to begin it, to see how far it is, to fetch what came of it, to end it."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from starlette.requests import ClientDisconnect
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from runllm.app import App
from runllm.literals import parse_json
from runllm.serve.batches import Batches, Job
from runllm.serve.bodies import Bounded, parts
from runllm.serve.catalog import Catalog
from runllm.serve.refusals import Refusal

if TYPE_CHECKING:
    from starlette.datastructures import FormData, UploadFile
    from starlette.requests import Request

LARGEST = 20 << 20
"""Bytes of a table, and of what stands around it."""
_SECONDS = 120.0  # the most that one may take to arrive
_MOST_FIELDS, _LONGEST_FIELD = 8, 1 << 16
_LONGEST_NAME = 80
_TABS = (".tsv", ".tab")
_BOOKS = (".xlsx", ".xlsm", ".xls", ".ods", ".numbers")
_TAKEN = "Send the table as the field `file` of a form (`multipart/form-data`)."


class Uploads:
    """The routes over the tables of these apps."""

    def __init__(self, catalog: Catalog, batches: Batches) -> None:
        self._catalog, self._batches = catalog, batches

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route("/apps/{name}/batches", self._create, methods=["POST"]),
            Route("/batches/{key}", self._show, methods=["GET"]),
            Route("/batches/{key}", self._begin, methods=["POST"]),
            Route("/batches/{key}", self._end, methods=["DELETE"]),
            Route("/batches/{key}/result", self._result, methods=["GET"]),
        ]

    async def _create(self, request: Request) -> Response:
        served = self._catalog.named(request.path_params["name"])
        folder = self._batches.place()
        try:
            job, begins = await self._checked(request, served.app, folder)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        if begins:
            try:
                self._batches.begin(job)
            except Refusal:
                self._batches.end(job)
                raise
        return _answer(job, HTTPStatus.CREATED)

    async def _checked(self, request: Request, app: App, folder: Path) -> tuple[Job, bool]:
        """The table in a request, and whether its rows are to be run at once."""
        form = await _form(request)
        try:
            file, maps, begins = _upload(form), _maps(form), _begins(form)
            _only(form, "file", "columns", "start")
            name = _name(file.filename or "")
            table = folder / ("rows.tsv" if name.lower().endswith(_TABS) else "rows.csv")
            await asyncio.to_thread(_keep, file, table)
        finally:
            await form.close()
        return await self._batches.check(app, name, table, maps), begins

    async def _show(self, request: Request) -> Response:
        return _answer(self._job(request))

    async def _begin(self, request: Request) -> Response:
        job = self._job(request)
        self._batches.begin(job)
        return _answer(job, HTTPStatus.ACCEPTED)

    async def _result(self, request: Request) -> Response:
        job = self._job(request)
        if job.result is None:
            raise Refusal(HTTPStatus.CONFLICT, "there is no result yet", "`GET /batches/ID` says how far it is.")
        name = f"{Path(job.file).stem or 'rows'}-{job.app}.csv"
        return FileResponse(job.result, media_type="text/csv; charset=utf-8", filename=name)

    async def _end(self, request: Request) -> Response:
        job = self._job(request)
        return Response(status_code=204) if self._batches.end(job) else _answer(job, HTTPStatus.ACCEPTED)

    def _job(self, request: Request) -> Job:
        return self._batches[request.path_params["key"]]


def _answer(job: Job, status: HTTPStatus = HTTPStatus.OK) -> Response:
    url = f"/batches/{job.key}"
    return JSONResponse({**job.told(), "url": url}, status, {"Location": url})


async def _form(request: Request) -> FormData:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "multipart/form-data":
        raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body is no form with a file", _TAKEN)
    bounded = Bounded(request.scope, request.receive)
    bounded.most = LARGEST
    try:
        async with asyncio.timeout(_SECONDS):
            return await parts(bounded, _TAKEN, files=1, fields=_MOST_FIELDS, longest=_LONGEST_FIELD)
    except ClientDisconnect:
        raise Refusal(HTTPStatus.BAD_REQUEST, "the table did not arrive as a whole", _TAKEN) from None
    except TimeoutError:
        raise Refusal(
            HTTPStatus.REQUEST_TIMEOUT, "the table did not arrive in time", "", {"Connection": "close"}
        ) from None
    except Refusal as refusal:
        if refusal.status is not HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            raise
        said, hint = f"the table is larger than {LARGEST >> 20} MiB", "Send it in parts; `runllm batch` takes any size."
        raise Refusal(refusal.status, said, hint, refusal.headers) from None


def _only(form: FormData, *names: str) -> None:
    """Refuse a field that would be passed over, such as a `starts=no` that runs all rows."""
    given = [name for name, _ in form.multi_items()]
    for name in given:
        if name not in names or given.count(name) > 1:
            said = f"`{name}` is given twice" if name in names else f"there is no field `{name}`"
            raise Refusal(HTTPStatus.BAD_REQUEST, said, f"The fields are {', '.join(f'`{one}`' for one in names)}.")


def _upload(form: FormData) -> UploadFile:
    found = form.get("file")
    if found is None or isinstance(found, str):
        raise Refusal(HTTPStatus.BAD_REQUEST, "there is no table", _TAKEN)
    if (found.filename or "").lower().endswith(_BOOKS):
        raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "that is a workbook, and a table is CSV", "Save it as CSV.")
    return found


def _maps(form: FormData) -> Mapping[str, str]:
    """The column of each input that is named."""
    wanted = Refusal(HTTPStatus.BAD_REQUEST, "`columns` is a JSON object of columns by input", _TAKEN)
    text = form.get("columns", "{}")
    if not isinstance(text, str):
        raise wanted
    try:
        found: Any = parse_json(text)
    except (ValueError, RecursionError):
        raise wanted from None
    if not isinstance(found, dict) or not all(isinstance(one, str) for one in cast("dict[str, Any]", found).values()):
        raise wanted
    return cast("dict[str, str]", found)


def _begins(form: FormData) -> bool:
    found = form.get("start", "yes")
    if found not in ("yes", "no"):
        raise Refusal(HTTPStatus.BAD_REQUEST, "`start` is `yes` or `no`", _TAKEN)
    return found == "yes"


def _name(given: str) -> str:
    """What a client calls its table, without folders and what is no letter of a name."""
    last = re.split(r"[/\\]", given)[-1]
    return "".join(one for one in last if one.isprintable())[-_LONGEST_NAME:].strip() or "the table"


def _keep(file: UploadFile, table: Path) -> None:
    with table.open("xb") as out:
        shutil.copyfileobj(file.file, out)
