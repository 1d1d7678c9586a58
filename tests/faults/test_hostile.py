"""Data made to harm: nothing of it is run, nothing is written outside, no gigabyte is taken."""

import gzip
import io
import json
import os
import pickle
import stat
import struct
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from contextlib import redirect_stderr
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from benchmarks.tiny import JOBS, contents
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from diffdistill.__main__ import main
from diffdistill.data import archives, cifar
from diffdistill.data.decoding import decode
from diffdistill.errors import UserError
from diffdistill.runtime import tensor_files
from tests import command
from tests.data.test_cifar import hundred, pack
from tests.faults import fault

MEGABYTE = 1 << 20
FUZZ = settings(
    max_examples=300, deadline=None, database=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip


def member(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0, link: str = "/etc/passwd") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.size, made.linkname = kind, size, link
    return made


def tar_of(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for one, data in members:
            archive.addfile(one, io.BytesIO(data))
    return buffer.getvalue()


def zip_of(*members: tuple[zipfile.ZipInfo | str, bytes], kind: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", kind) as archive:
        for one, data in members:
            archive.writestr(one, data)
    return buffer.getvalue()


def zip_link() -> zipfile.ZipInfo:
    made = zipfile.ZipInfo("a/link.png")
    made.external_attr = (stat.S_IFLNK | 0o777) << 16
    return made


def pax(records: dict[str, str]) -> bytes:
    one = member("a/x.png", size=10)
    one.pax_headers = records
    return tar_of((one, bytes(10)))


def _header(size: int, kind: bytes) -> bytes:
    one = member("././@LongLink", kind, size)
    return one.tobuf(format=tarfile.GNU_FORMAT) + bytes(4096)


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "tar, a name above the folder": (lambda: tar_of((member("../../evil"), b"")), "points outside"),
    "tar, an absolute name": (lambda: tar_of((member("/tmp/evil"), b"")), "points outside"),
    "tar, a name above after a folder": (lambda: tar_of((member("a/../../evil"), b"")), "points outside"),
    "tar, a symbolic link": (lambda: tar_of((member("a/x.png", tarfile.SYMTYPE), b"")), "link or a device"),
    "tar, a hard link": (lambda: tar_of((member("a/x.png", tarfile.LNKTYPE), b"")), "link or a device"),
    "tar, a device": (lambda: tar_of((member("a/x.png", tarfile.BLKTYPE), b"")), "link or a device"),
    "tar, a named pipe": (lambda: tar_of((member("a/x.png", tarfile.FIFOTYPE), b"")), "link or a device"),
    "tar, a name twice": (lambda: tar_of((member("a/x"), b""), (member("a/./x"), b"")), "is there twice"),
    "tar, a size below 0": (lambda: pax({"size": "-512"}), "not plausible"),
    "tar, a terabyte": (lambda: pax({"size": str(1 << 40)}), "not"),
    "tar, a header of a gigabyte": (lambda: _header(1 << 30, tarfile.GNUTYPE_LONGNAME), "claims 1073741824 bytes"),
    "tar, an extension of a gigabyte": (lambda: _header(1 << 30, tarfile.XHDTYPE), "claims 1073741824 bytes"),
    "tar, packed names that are no text": (lambda: tar_of((member("a/\udcff.png"), b"")), "not valid UTF-8"),
    "zip, a name above the folder": (lambda: zip_of(("../../evil", b"")), "points outside"),
    "zip, an absolute name": (lambda: zip_of(("/tmp/evil", b"")), "points outside"),
    "zip, a Windows name above": (lambda: zip_of(("a\\..\\..\\evil", b"")), "points outside"),
    "zip, a symbolic link": (lambda: zip_of((zip_link(), b"/etc/passwd")), "link or a device"),
    "zip, a bomb": (lambda: zip_of(("a/x.png", bytes(100 * MEGABYTE))), "not plausible"),
}  # fmt: skip


@fault(
    "F34", "archives that write outside, through links, or over other files", "refused in one line, nothing is written"
)
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_archives(tmp_path: Path, name: str) -> None:
    make, message = HOSTILE[name]
    place = tmp_path / "inner/project"
    place.mkdir(parents=True)
    (place / "set.bin").write_bytes(make())
    before = contents(tmp_path)
    source = {"kind": "folder", "path": "set.bin", "validation_per_class": 1, "test_per_class": 1}
    ended = replace(JOBS["prepare"], settings={"source": source}, inputs=[("source", "set.bin")]).run(place)
    ended.refused("set.bin", message)
    after = contents(tmp_path)
    assert after.pop("inner/project.said") and after == before and not Path("/tmp/evil").exists()


@fault("F34", "a small archive unpacks to gigabytes", "it is refused before they are taken")
@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.REGTYPE])
def test_a_packed_bomb_takes_no_memory(tmp_path: Path, kind: bytes) -> None:
    size = 300 * MEGABYTE
    with gzip.open(tmp_path / "x.tar.gz", "wb", compresslevel=1) as file:
        file.write(_header(size, kind)[:512])
        for _ in range(size // MEGABYTE):
            file.write(bytes(MEGABYTE))
    tracemalloc.start()
    with pytest.raises(UserError):
        list(archives.read(tmp_path / "x.tar.gz", lambda name: True))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * MEGABYTE


@fault("F34", "encrypted or exotically packed archives end in a traceback", "one line names the archive")
def test_archives_that_cannot_be_read(tmp_path: Path) -> None:
    whole = bytearray(zip_of(("a/x.png", bytes(100))))
    for flags, method in ((1, 8), (0, 99)):
        changed = bytearray(whole)
        for signature, offset in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
            at = whole.index(signature) + offset
            changed[at : at + 4] = struct.pack("<HH", flags, method)
        (tmp_path / "x.zip").write_bytes(changed)
        with pytest.raises(UserError, match=r"x\.zip: not a whole zip"):
            list(archives.read(tmp_path / "x.zip", lambda name: True))


@fault("F34", "a broken archive ends in a traceback", "any damage gives a whole reading or one line that names it")
@FUZZ
@given(data=st.data())
@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_damaged_archives(tmp_path: Path, kind: str, data: st.DataObject) -> None:
    files = [(f"a/{index}.png", bytes([index]) * 700) for index in range(3)]
    whole = bytearray(zip_of(*files) if kind == "zip" else tar_of(*((member(n, size=700), d) for n, d in files)))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "x").write_bytes(whole)
    try:
        list(archives.read(tmp_path / "x", lambda name: True))
    except UserError as error:
        assert "\n" not in str(error) and str(tmp_path / "x") in str(error)


class Evil:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.mark}",)


@fault(
    "F34",
    "weights or archives that run a program when they are loaded",
    "refused in one line, the program does not run",
)
@pytest.mark.parametrize("kind", ["pth", "cifar", "cifar in a list", "renamed to safetensors"])
def test_pickles_with_code(project: Path, kind: str) -> None:
    mark, path = project / "ran", project / "evil.bin"
    evil = pickle.dumps(Evil(mark))
    if kind.startswith("cifar"):
        content = pickle.dumps([Evil(mark)] if "list" in kind else {"data": Evil(mark)}, protocol=2)
        pack(path, hundred(train=content))
        source = {"kind": "cifar100", "path": "evil.bin", "validation_per_class": 1}
        job = replace(JOBS["prepare"], settings={"source": source}, inputs=[("source", "evil.bin")])
    elif kind == "pth":
        torch.save({"fc.weight": Evil(mark)}, path)
        inputs = [JOBS["reference"].inputs[0], ("features", "evil.bin")]
        job = replace(JOBS["reference"], settings={"features": "inception"}, inputs=inputs)
    else:
        path.write_bytes(evil)
        job = replace(JOBS["sample"], inputs=[("weights", "evil.bin")])
    before = contents(project)
    job.run(project).refused("evil.bin")
    after = contents(project)
    after.pop("samples.attempts", None)  # sampling counts its attempts
    assert not mark.exists() and after == before


def claiming_pickle(kind: str) -> bytes:
    if kind == "objects":
        return b"\x80\x02]r\xff\xff\xff\xff."  # remembers a list as object 4,294,967,295
    shape = (1 << 20, 3072)
    array = np.lib.stride_tricks.as_strided(np.zeros(1, np.uint8), shape, (0, 0))
    assert array.nbytes == 3 << 30

    class Claim:
        def __reduce__(self) -> tuple[Any, ...]:
            return np.ndarray, (shape, np.dtype("u1"))

    return pickle.dumps({"data": Claim(), "fine_labels": []}, protocol=2)


@fault("F34", "a pickle of a few bytes claims gigabytes", "it is refused before anything touches them")
@pytest.mark.parametrize("kind", ["objects", "pixels"])
def test_a_pickle_that_claims_gigabytes(tmp_path: Path, kind: str) -> None:
    with pytest.raises(UserError, match="claims"):
        cifar.read(pack(tmp_path / "x.tar.gz", hundred(train=claiming_pickle(kind))))


@fault("F34", "a picture of a few bytes claims gigapixels", "it is refused by name")
def test_a_picture_that_claims_gigapixels() -> None:
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunks = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    with pytest.raises(ValueError, match="decompression bomb"):
        decode(b"\x89PNG\r\n\x1a\n" + chunks)


@fault("F34", "a picture that makes its reader start another program", "such formats are not read at all")
def test_formats_with_programs_are_not_read(tmp_path: Path) -> None:
    for data in (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n", b"\xc5\xd0\xd3\xc6" + bytes(40), b"%PDF-1.4\n"):
        with pytest.raises(ValueError, match="not one of"):
            decode(data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 1 << 40) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@fault("F23", "a weights or image file with a broken header ends in a traceback", "one line names it, and what to do")
@FUZZ
@given(data=st.data())
def test_damaged_tensor_files(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "x.safetensors"
    tensor_files.save(path, {"a": torch.arange(6.0), "b": torch.zeros(3, 2, dtype=torch.uint8)}, {"key": "value"})
    whole = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        for _ in range(data.draw(st.integers(1, 4))):
            whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    else:
        length = int.from_bytes(whole[:8], "little")
        header = json.loads(whole[8 : 8 + length])
        place = data.draw(st.sampled_from(["__metadata__", "a", "b", "c"]))
        inner = data.draw(st.sampled_from(["dtype", "shape", "data_offsets", None]))
        if inner is None or place not in header or place == "__metadata__":
            header[place] = data.draw(JSON)
        else:
            header[place][inner] = data.draw(JSON | st.lists(st.integers(-100, 1 << 62), max_size=3))
        text = json.dumps(header).encode()
        whole = bytearray(len(text).to_bytes(8, "little") + text + whole[8 + length :])
    path.write_bytes(whole)
    try:
        tensors, metadata = tensor_files.load(path)
    except UserError as error:
        assert "x.safetensors" in str(error) and "delete it and run again" in str(error)
    else:
        assert all(isinstance(value, str) for value in metadata.values()) and len(tensors) <= 3


@fault("F23", "a result file with something else in it ends in a traceback", "one line names it, and what to do")
@FUZZ
@given(value=JSON, extra=st.dictionaries(st.sampled_from(["step", "fid", "images", "weights_sha256"]), JSON))
def test_results_with_something_else(tmp_path: Path, value: Any, extra: dict[str, Any]) -> None:
    path = tmp_path / "10.json"
    path.write_text(json.dumps({**value, **extra} if isinstance(value, dict) else value))
    outputs = {"table": "t.csv", "checkpoint": "c.json", "weights": tmp_path / "w"}
    for stage, values, inputs in (
        ("checkpoint", {"by": "fid"}, {"fid": path, "weights": path}),
        ("accuracy", {"experiment": "digits"}, {"accuracy": path}),
    ):
        said = io.StringIO()
        with redirect_stderr(said):
            code = command.run(stage, values, inputs, outputs)
        assert code == 2 and "Traceback" not in said.getvalue(), said.getvalue()


@fault("F32", "settings given to a stage by hand are wrong", "one line says what is missing or no JSON")
@pytest.mark.parametrize(
    ("given", "message"),
    [("{", "not valid JSON"), ("[]", "JSON object"), ("7", "JSON object"), ("{}", "is missing"), ("[" * 10**5, "JSON")],
)
def test_settings_that_are_no_settings(tmp_path: Path, given: str, message: str) -> None:
    said = io.StringIO()
    with redirect_stderr(said):
        assert main(["fetch", "--settings", given, "--out", f"file={tmp_path / 'x'}"]) == 2
    assert message in said.getvalue() and "Traceback" not in said.getvalue()
