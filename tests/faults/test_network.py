"""Downloads that go wrong leave nothing, and no other job needs a network."""

import hashlib
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from benchmarks.processes import Hindrance, Process
from benchmarks.tiny import Job, contents

from diffdistill.data import fetching
from diffdistill.errors import UserError
from tests.faults import fault

CONTENT = bytes(range(256)) * 2000
CHECKSUM = "sha256:" + hashlib.sha256(CONTENT).hexdigest()
DIRECT = {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}


class Server(ThreadingHTTPServer):
    release: threading.Event
    asked: list[str]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        if self.path == "/circle":
            self.send_response(302)
            self.send_header("Location", "/circle")
            self.end_headers()
            return
        if self.path in ("/file", "/ftp"):
            self.send_response(302)
            self.send_header("Location", "file:///etc/passwd" if self.path == "/file" else "ftp://127.0.0.1/x")
            self.end_headers()
            return
        if self.path == "/nonsense":
            self.wfile.write(b"\x00\xff nonsense\r\n\r\n")
            return
        self.send_response(200)
        self.send_header("Content-Length", "many" if self.path == "/length" else str(len(CONTENT)))
        self.end_headers()
        if self.path == "/changed":
            self.wfile.write(CONTENT[:-1] + b"x")
            return
        self.wfile.write(CONTENT[: len(CONTENT) // 2])
        if self.path == "/half":
            return
        if self.path in ("/slow", "/stall"):
            self.wfile.flush()
            self.server.release.wait(20)
        self.wfile.write(CONTENT[len(CONTENT) // 2 :])

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name, value in DIRECT.items():
        monkeypatch.setenv(name, value)
    running = Server(("127.0.0.1", 0), Handler)
    running.release, running.asked, running.daemon_threads = threading.Event(), [], True
    running.handle_error = lambda *arguments: None  # type: ignore[method-assign]  # the other end hangs up
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield running
    running.release.set()
    running.shutdown()
    running.server_close()
    thread.join()


def address(server: Server, page: str) -> str:
    return f"http://127.0.0.1:{server.server_port}/{page}"


def fetch_job(*urls: str) -> Job:
    config = {"urls": urls, "checksum": CHECKSUM, "unchecked": False}
    return Job("fetch", config, [], {"file": "raw/set.bin"})


@fault(
    "F31", "a file that is published without a checksum comes by half", "its announced length decides, nothing is kept"
)
def test_half_of_a_file_without_a_checksum(server: Server, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="half"):
        fetching.fetch([address(server, "half")], None, tmp_path / "x", unchecked=True)
    assert not list(tmp_path.iterdir())


@fault("F31", "a server sends half of the file and then nothing", "it is given up after a while, and nothing is kept")
def test_a_server_that_stalls_in_the_middle(server: Server, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"stall: expected sha256.*timed out"):
        fetching.fetch([address(server, "stall")], CHECKSUM, tmp_path / "x", timeout_seconds=(1, 0.3))
    assert not list(tmp_path.iterdir())


@fault(
    "F31",
    "redirects in a circle or to local files, wrong lengths, nonsense",
    "one line names the address and the checksums",
)
@pytest.mark.parametrize("page", ["circle", "file", "ftp", "nonsense", "changed"])
def test_servers_that_talk_nonsense(server: Server, tmp_path: Path, page: str) -> None:
    ended = fetch_job(address(server, page)).run(tmp_path, Hindrance(environment=DIRECT))
    ended.refused(address(server, page), f"expected {CHECKSUM}, found sha256:")
    assert not list((tmp_path / "raw").iterdir())


@fault("F31", "addresses that are none", "one line names them")
@pytest.mark.parametrize(
    "url", ["http://", "http://[::1", "http://\udcff/x", "gopher://a/b", "http://a b/c", "http://" + "a" * 300]
)
def test_addresses_that_are_none(tmp_path: Path, url: str) -> None:
    ended = fetch_job(url).run(tmp_path, Hindrance(environment={**DIRECT, "HTTP_PROXY": "", "http_proxy": ""}))
    ended.refused("http")
    assert not list(tmp_path.glob("raw/*"))


@fault(
    "F31", "the disk is full during a download, and the next address is tried", "it stops at once and names the file"
)
def test_no_room_for_a_download(server: Server, tmp_path: Path) -> None:
    job = fetch_job(address(server, "good"), address(server, "other"))
    job.run(tmp_path, Hindrance(environment=DIRECT, file_bytes=100_000)).refused("raw/set.bin", "file too large")
    assert not list((tmp_path / "raw").iterdir()) and server.asked == ["/good"]
    assert job.run(tmp_path, Hindrance(environment=DIRECT)).code == 0
    assert (tmp_path / "raw/set.bin").read_bytes() == CONTENT


@fault("F31", "a killed download is taken for the file", "it starts anew; what the dead one left is removed")
def test_a_killed_download(server: Server, tmp_path: Path) -> None:
    job = fetch_job(address(server, "slow"))
    process = Process(job.argv(), tmp_path, Hindrance(environment=DIRECT))
    while (
        not any(path.stat().st_size for path in (tmp_path / "raw").glob(".*")) if (tmp_path / "raw").exists() else True
    ):
        assert process.wait(0.02) is None
    process.kill()
    assert not (tmp_path / "raw/set.bin").exists()
    server.release.set()
    ended = job.run(tmp_path, Hindrance(environment=DIRECT))
    assert ended.code == 0, ended.said
    assert contents(tmp_path / "raw") == {"set.bin": CONTENT}


@fault(
    "F31", "several processes download the same file into each other's", "each has a file of its own until it is whole"
)
def test_two_downloads_at_once(server: Server, tmp_path: Path) -> None:
    job, folders = fetch_job(address(server, "slow")), [tmp_path / "one", tmp_path / "other"]
    (tmp_path / "raw").mkdir()
    processes = []
    for folder in folders:
        folder.mkdir()
        (folder / "raw").symlink_to(tmp_path / "raw")
        processes.append(Process(job.argv(), folder, Hindrance(environment=DIRECT)))
    deadline = time.monotonic() + 30
    while len(server.asked) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    server.release.set()
    for process in processes:
        ended = process.wait()
        assert ended is not None and ended.code == 0, ended
    assert contents(tmp_path / "raw") == {"set.bin": CONTENT}
