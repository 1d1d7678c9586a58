"""Downloads from a server that does everything wrong."""

import hashlib
import logging
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from diffdistill.data import fetching
from diffdistill.errors import UserError

CONTENT = bytes(range(256)) * 1000
SHA256 = "sha256:" + hashlib.sha256(CONTENT).hexdigest()
MD5 = "md5:" + hashlib.md5(CONTENT).hexdigest()
PAGE = b"<!DOCTYPE html><html>too many requests today</html>"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/silence":
            time.sleep(1.5)
            return
        if self.path == "/absent":
            self.send_error(404)
            return
        body = PAGE if self.path == "/page" else CONTENT
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        if self.path == "/mislabelled" and "gzip" in self.headers.get("Accept-Encoding", ""):
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if self.path == "/half" else body)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{running.server_port}"
    running.shutdown()
    running.server_close()
    thread.join()


@pytest.mark.parametrize("checksum", [SHA256, MD5])
@pytest.mark.parametrize("page", ["good", "mislabelled"])
def test_a_right_file_arrives(server: str, tmp_path: Path, checksum: str, page: str) -> None:
    fetching.fetch([f"{server}/{page}"], checksum, tmp_path / "a/x.bin")
    assert [file.read_bytes() for file in (tmp_path / "a").iterdir()] == [CONTENT]


@pytest.mark.parametrize(
    ("page", "reason"),
    [("page", "a web page"), ("half", f"of {len(CONTENT) // 2} bytes"), ("absent", "404"), ("silence", "timed out")],
)
def test_a_wrong_answer_leaves_nothing(server: str, tmp_path: Path, page: str, reason: str) -> None:
    with pytest.raises(UserError, match=reason) as caught:
        fetching.fetch([f"{server}/{page}"], SHA256, tmp_path / "x.bin", timeout_seconds=(1, 0.3))
    message = str(caught.value)
    assert f"{server}/{page}" in message and f"expected {SHA256}, found sha256:" in message and "\n" not in message
    assert not list(tmp_path.iterdir())


def test_the_next_address_is_tried_and_a_right_file_is_kept(server: str, tmp_path: Path) -> None:
    target = tmp_path / "x.bin"
    fetching.fetch([f"{server}/absent", f"{server}/page", f"{server}/good"], MD5, target)
    assert target.read_bytes() == CONTENT
    fetching.fetch([f"{server}/absent"], MD5, target)  # nothing is asked of the network
    target.write_bytes(b"something else")
    with pytest.raises(UserError, match="404"):
        fetching.fetch([f"{server}/absent"], MD5, target)
    assert target.read_bytes() == b"something else"


def test_a_local_path_serves_without_a_network(tmp_path: Path) -> None:
    source, target = tmp_path / "source file", tmp_path / "x.bin"
    source.write_bytes(CONTENT)
    for address in (str(source), source.as_uri()):
        for checksum in (None, SHA256):
            target.unlink(missing_ok=True)
            fetching.fetch([address], checksum, target)
            assert target.read_bytes() == CONTENT
    target.unlink()
    with pytest.raises(UserError, match=f"expected md5:{'0' * 32}, found {MD5}"):
        fetching.fetch([str(source)], "md5:" + "0" * 32, target)
    with pytest.raises(UserError, match="no such file"):
        fetching.fetch([str(tmp_path / "absent")], None, target)
    assert not target.exists()


@pytest.mark.parametrize("checksum", [None, "abc", "sha1:" + "0" * 40, "md5:" + "0" * 31])
def test_addresses_need_a_checksum_of_a_known_kind(tmp_path: Path, checksum: str | None) -> None:
    with pytest.raises(UserError, match="checksum"):
        fetching.fetch(["http://127.0.0.1:9/x"], checksum, tmp_path / "x")


def test_a_file_published_without_a_checksum_is_taken_and_its_own_told(
    server: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("diffdistill").propagate = True
    fetching.fetch([f"{server}/file"], None, tmp_path / "a", unchecked=True)
    assert (tmp_path / "a").read_bytes() == CONTENT and SHA256 in caplog.text
    with pytest.raises(UserError, match="a web page"):
        fetching.fetch([f"{server}/page"], None, tmp_path / "b", unchecked=True)
    assert not (tmp_path / "b").exists()
