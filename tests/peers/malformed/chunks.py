"""Good heads, and then chunks that are none."""

from tests.peers.malformed.case import Malformed, post

END = b"0\r\n\r\n"


def _chunks(name: str, body: bytes, *, forgivable: bool = False) -> Malformed:
    raw = post(b"Transfer-Encoding: chunked", body=body)
    return Malformed(f"chunk {name}", raw, frozenset({400, 408}), late=True, forgivable=forgivable)


CHUNKS = [
    _chunks("size not hexadecimal", b"G\r\nbody\r\n" + END),
    _chunks("size minus", b"-1\r\nbody\r\n" + END),
    _chunks("size plus", b"+4\r\nbody\r\n" + END),
    _chunks("size 0x", b"0x4\r\nbody\r\n" + END),
    _chunks("size underscore", b"0_4\r\nbody\r\n" + END),
    _chunks("size empty", b"\r\nbody\r\n" + END),
    _chunks("size beyond 64 bits", b"10000000000000004\r\nbody\r\n" + END),
    _chunks("size far beyond 64 bits", b"f" * 40 + b"\r\nbody\r\n" + END),
    _chunks("size with space before", b" 4\r\nbody\r\n" + END),
    _chunks("size with spaces after", b"4  \r\nbody\r\n" + END),
    _chunks("size with tab after", b"4\t\r\nbody\r\n" + END),
    _chunks("size and LF only", b"4\nbody\r\n" + END),
    _chunks("size and CR only", b"4\rbody\r\n" + END),
    _chunks("size and two numbers", b"4 4\r\nbody\r\n" + END),
    _chunks("extension with LF", b"4;a=b\nc\r\nbody\r\n" + END),
    _chunks("extension with NUL", b"4;a=\x00\r\nbody\r\n" + END),
    _chunks("extension endless", b"4;a=" + b"b" * 20000 + b"\r\nbody\r\n" + END, forgivable=True),
    _chunks("without CRLF after it", b"4\r\nbody" + END),
    _chunks("with LF after it", b"4\r\nbody\n" + END),
    _chunks("longer than its size", b"4\r\nbodyguard\r\n" + END),
    _chunks("last with LF only", b"4\r\nbody\r\n0\r\n\n"),
    _chunks("trailer without colon", b"4\r\nbody\r\n0\r\nnonsense\r\n\r\n"),
    _chunks("trailer with space before colon", b"4\r\nbody\r\n0\r\nX-Late : 1\r\n\r\n"),
    _chunks("trailer with NUL", b"4\r\nbody\r\n0\r\nX-Late: \x00\r\n\r\n"),
    _chunks("trailer folded", b"4\r\nbody\r\n0\r\nX-Late: 1\r\n 2\r\n\r\n"),
    _chunks("trailer with a framing header", b"4\r\nbody\r\n0\r\nContent-Length: 9\r\n\r\n"),
]
