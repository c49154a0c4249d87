"""The local catalogue without a network: names, the choice of a file, headers, the folder, the list."""

import struct
import subprocess
import sys
from dataclasses import replace

import pytest
from tests.integration.hub_server import gguf, text

from runllm.errors import ModelNotFoundError
from runllm.models.folder import Model, Note, Store, inventory, models_folder, remove
from runllm.models.gguf import flaw, licence
from runllm.models.known import KNOWN, HubModel, choose, quantisation, source_of


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("SmolLM2-135M-Instruct.Q4_1.gguf", "Q4_1"),
        ("qwen2.5-0.5b-instruct-q4_k_m.gguf", "Q4_K_M"),
        ("Phi-3-mini-4k-instruct-q4.gguf", "Q4"),
        ("Phi-3-mini-4k-instruct-fp16.gguf", "F16"),
        ("UD/model-UD-IQ2_XXS.gguf", "IQ2_XXS"),
        ("Q8_0/model-Q8_0-00001-of-00002.gguf", "Q8_0"),
        ("model.gguf", ""),
    ],
)
def test_a_name_says_its_quantisation(file, kind):
    assert quantisation(file) == kind


@pytest.mark.parametrize(
    ("files", "wants", "chosen"),
    [
        (["a-Q8_0.gguf", "a-Q4_K_M.gguf", "a-Q2_K.gguf"], "", "a-Q4_K_M.gguf"),
        (["a-Q8_0.gguf", "a-Q5_K_M.gguf", "a-Q4_0.gguf"], "", "a-Q4_0.gguf"),
        (["a-F16.gguf", "a-Q6_K.gguf"], "", "a-Q6_K.gguf"),
        (["a.gguf", "README.md"], "", "a.gguf"),
        (["mmproj-a-Q4_K_M.gguf", "a-Q8_0.gguf", "a.imatrix.gguf"], "", "a-Q8_0.gguf"),
        (["a-Q4_K_M-00001-of-00002.gguf", "a-Q4_K_M-00002-of-00002.gguf", "a-Q8_0.gguf"], "", "a-Q8_0.gguf"),
        (["a-Q8_0.gguf", "a-Q4_K_M.gguf"], "q8_0", "a-Q8_0.gguf"),
        (["sub/a-Q8_0.gguf", "a-Q4_K_M.gguf"], "a-Q8_0.gguf", "sub/a-Q8_0.gguf"),
    ],
)
def test_the_best_single_file_is_chosen(files, wants, chosen):
    assert choose(files, wants, "hf:org/repo") == chosen


@pytest.mark.parametrize(
    ("files", "wants", "words"),
    [
        ([], "", "no GGUF file"),
        (["README.md", "model.safetensors"], "", "no GGUF file"),
        (["a-Q8_0-00001-of-00002.gguf"], "", "split"),
        (["a-Q8_0-00001-of-00002.gguf", "a-Q2_K.gguf"], "a-Q8_0-00001-of-00002.gguf", "split"),
        (["a-Q8_0-00001-of-00002.gguf", "a-Q2_K.gguf"], "Q8_0", "split"),
    ],
)
def test_what_cannot_be_run_is_refused(files, wants, words):
    with pytest.raises(ModelNotFoundError, match=words):
        choose(files, wants, "hf:org/repo")


def test_names_mean_a_source():
    assert source_of("local/hf:org/repo") == source_of("hf:org/repo") == HubModel(repo="org/repo")
    assert source_of("hf:org/repo:a.gguf") == source_of("hf:org/repo", "a.gguf")
    assert source_of("qwen2.5-0.5b", "Q8_0") == HubModel(repo="Qwen/Qwen2.5-0.5B-Instruct-GGUF", wants="Q8_0")
    for name, file in (("hf:org/repo:a.gguf", "b.gguf"), ("smollm2-135m", "Q8_0"), ("hf:org/re po", None)):
        with pytest.raises(ModelNotFoundError):
            source_of(name, file)


SOUND = gguf(400, licence="mit")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (SOUND, None),
        (b"", "does not begin"),
        (b"GGML" + SOUND[4:], "does not begin"),
        (SOUND[:66], "ends within a text"),
        (SOUND[:10], "broken"),
        (SOUND[:4] + struct.pack(">I", 3) + SOUND[8:], "version 50331648"),
        (SOUND[:16] + struct.pack("<Q", 1 << 60) + SOUND[24:], "too many"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("a") + struct.pack("<IIQ", 9, 4, 1 << 50), "too long"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("a") + struct.pack("<IIQ", 9, 4, 9), "ends within a list"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 1 << 62), "ends within a text"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 0), "ends with its header"),
    ],
    ids=lambda value: str(value)[:20] if isinstance(value, str) else "",
)
def test_a_header_is_read_to_its_end_and_its_flaw_named(tmp_path, data, words):
    path = tmp_path / "m.gguf"
    path.write_bytes(data)
    assert flaw(path) is None if words is None else words in flaw(path)
    assert licence(path) == ("mit" if words is None else None)


# --- the folder -------------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "models")


def put(store, name, data=SOUND):
    """A pulled file of the hub, as `pull` leaves it."""
    source = source_of(name)
    path = store.path_of(name, source, source.wants)
    store.prepare(path)
    part = path.with_name(f"{path.name}.abc.part")
    part.write_bytes(data)
    note = Note(source="s", revision="r", sha256="0" * 64, size=len(data), licence="mit", pulled_at="now")
    return store.keep(name, part, path, note)


def test_a_named_model_is_pulled_under_its_own_name(store):
    put(store, "hf:Qwen/Qwen2.5-0.5B-Instruct-GGUF:qwen2.5-0.5b-instruct-q4_k_m.gguf")
    named = [model for model in inventory(folder=store.root) if "qwen2.5-0.5b" in model.name.lower()]
    assert [(model.name, model.where, model.size) for model in named] == [("local/qwen2.5-0.5b", "pulled", len(SOUND))]
    assert [gone.size for gone in remove("qwen2.5-0.5b", folder=store.root)] == [len(SOUND)]


def test_the_list_has_the_others_and_what_is_configured(store):
    put(store, "hf:org/repo:a-Q8_0.gguf")
    llama = Model(name="ollama/llama3.2", where="ollama", size=1)
    wanted = ["ollama/llama3.2", "openai/gpt-4o", "openai/gpt-4o"]
    found = {model.name: model for model in inventory(folder=store.root, others=[llama], configured=wanted)}
    assert found["ollama/llama3.2"] == replace(llama, configured=True)
    assert found["openai/gpt-4o"] == Model(name="openai/gpt-4o", where="configured", configured=True)
    assert (found["local/hf:org/repo:a-Q8_0.gguf"].licence, found["local/smollm2-135m"].configured) == ("mit", False)
    assert set(found) >= {f"local/{name}" for name in KNOWN}


def test_a_lost_note_and_strange_files_crash_nothing(store):
    held = put(store, "hf:org/repo:a-Q8_0.gguf", b"not a model")
    held.path.with_name("a-Q8_0.gguf.json").write_text('["not", "a", "note"]')
    (store.root / "hf" / "org" / "repo" / "b-Q4_0.gguf.123.part").write_bytes(b"1234")
    (store.root / "hf" / "stray").write_text("")
    (store.root / "notes.txt").write_text("")
    rows = [(row.name, row.where, row.size, row.licence, row.window) for row in inventory(folder=store.root)]
    assert ("local/hf:org/repo:a-Q8_0.gguf", "pulled", 11, None, None) in rows
    assert ("local/hf:org/repo:b-Q4_0.gguf", "unfinished", 4, None, None) in rows
    assert len(rows) == len(KNOWN) + 2


def test_a_file_that_is_no_longer_what_was_pulled_does_not_count(store):
    """It may be cut by a full disk, or by another program."""
    held = put(store, "hf:org/repo:a-Q8_0.gguf")
    held.path.write_bytes(SOUND[:-1])
    assert store.find("hf:org/repo", source_of("hf:org/repo")) is None
    rows = [(row.name, row.where) for row in inventory(folder=store.root) if "org" in row.name]
    assert rows == [("local/hf:org/repo:a-Q8_0.gguf", "unfinished")]
    assert [gone.size for gone in remove("hf:org/repo:a-Q8_0.gguf", folder=store.root)] == [len(SOUND) - 1]


def test_removing_names_one_model(store):
    """With all that is left of it, and the folders that become empty."""
    put(store, "hf:org/repo:a-Q8_0.gguf")
    put(store, "hf:org/repo:a-Q4_0.gguf")
    with pytest.raises(ModelNotFoundError) as caught:
        remove("hf:org/repo", folder=store.root)
    assert "`local/hf:org/repo:a-Q4_0.gguf`" in caught.value.recovery_hint
    (store.root / "hf" / "org" / "repo" / "a-Q8_0.gguf.123.part").write_bytes(b"1234")
    assert sorted(gone.size for gone in remove("hf:org/repo:Q8_0", folder=store.root)) == [4, len(SOUND)]
    assert [gone.name for gone in remove("local/hf:org/repo", folder=store.root)] == ["hf:org/repo:a-Q4_0.gguf"]
    assert list(store.root.rglob("*")) == []
    with pytest.raises(ModelNotFoundError, match="has not been pulled"):
        remove("hf:org/repo", folder=store.root)


def test_a_file_is_never_without_its_note(store, monkeypatch):
    monkeypatch.setattr("pathlib.Path.replace", lambda *_: (_ for _ in ()).throw(PermissionError(13, "denied")))
    with pytest.raises(Exception, match="denied"):
        put(store, "hf:org/repo:a-Q8_0.gguf")
    assert list(store.root.rglob("*.gguf")) == []


def test_the_folder_is_named_by_the_environment(tmp_path):
    assert models_folder({"RUNLLM_MODELS": str(tmp_path)}) == tmp_path
    assert models_folder({}).parts[-2:] == ("runllm", "models")


def test_looking_a_model_up_imports_nothing_that_pulls():
    code = "import sys; from runllm.engines.local.engine import locate; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    unwanted = {
        "httpx",
        "filelock",
        "platformdirs",
        "subprocess",
        "zipfile",
        "huggingface_hub",
        "runllm.models.pulling",
    }
    assert unwanted.isdisjoint(loaded)
