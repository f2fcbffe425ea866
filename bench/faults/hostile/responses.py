"""Responses whose framing is broken, ambiguous or odd, requests with odd targets, and clients that close their side early.
See docs/CONFIGURATION.md, "What is relayed, and what is refused"."""
from harness import *

R = response
HELLO, CHUNKS = b"hello", b"5\r\nhello\r\n0\r\n\r\n"
OK = "HTTP/1.1 200 OK\n"
# What the server sends, and the reason of the 502; None: it is relayed.
cases = {
    "chunked twice": (R(OK + "Transfer-Encoding: chunked\nTransfer-Encoding: chunked\n", CHUNKS), "chunked-twice"),
    "chunked, chunked": (R(OK + "Transfer-Encoding: chunked, chunked\n", CHUNKS), "chunked-twice"),
    "two equal lengths": (R(OK + "Content-Length: 5\nContent-Length: 5\n", HELLO), None),
    "a list of equal lengths": (R(OK + "Content-Length: 5, 5\n", HELLO), None),
    "two lengths": (R(OK + "Content-Length: 5\nContent-Length: 6\n", HELLO), "two-content-lengths"),
    "a negative length": (R(OK + "Content-Length: -5\n", HELLO), "invalid-content-length"),
    "a length of 23 digits": (R(OK + f"Content-Length: {'9' * 23}\n", HELLO), "invalid-content-length"),
    "a length and chunked": (R(OK + "Content-Length: 5\nTransfer-Encoding: chunked\n", CHUNKS), "length-and-chunked"),
    "identity": (R(OK + "Transfer-Encoding: identity\n", HELLO), "identity-transfer-encoding"),
    "gzip, chunked": (R(OK + "Transfer-Encoding: gzip, chunked\n", CHUNKS), "unknown-transfer-encoding"),
    "LF alone": (b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", "line-without-crlf"),
    "white space before a colon": (R(OK + "Content-Length : 5\n", HELLO), None),
    "a folded field": (R(OK + "X: a\n b\nContent-Length: 5\n", HELLO), "folded-field"),
    "a NUL": (R(OK + "X: a\0b\nContent-Length: 5\n", HELLO), "invalid-field-value"),
    "an empty line first": (b"\r\n" + R(OK + "Content-Length: 5\n", HELLO), "empty-line"),
    "status 99": (R("HTTP/1.1 99 X\nContent-Length: 5\n", HELLO), "malformed-status-line"),
    "HTTP/2.0": (R("HTTP/2.0 200 OK\nContent-Length: 5\n", HELLO), "unsupported-version"),
    "a head of 70 KB": (R(OK + f"X: {'a' * 70000}\nContent-Length: 5\n", HELLO), "head-too-large"),
    "a broken chunk size": (R(OK + "Transfer-Encoding: chunked\n", b"zz\r\nhello\r\n0\r\n\r\n"), "broken-chunks"),
    "Content_Length": (R(OK + "Content_Length: 3\nContent-Length: 5\n", HELLO), "framing-with-underscore"),
    "a switch that nobody asked for": (R("HTTP/1.1 101 X\nUpgrade: websocket\n"), "unexpected-101"),
    "HTTP/1.0 until the end": (R("HTTP/1.0 200 OK\n", HELLO), None),
    "100, then 200": (R("HTTP/1.1 100 Continue\n") + R(OK + "Content-Length: 5\n", HELLO), None),
    "two responses at once": (R(OK + "Content-Length: 5\n", HELLO) * 2, None),
}
current = [b""]


async def scripted(reader, writer):
    await reader.readuntil(b"\r\n\r\n")
    writer.write(current[0])
    await writer.drain()
    await asyncio.sleep(0.02)


server, port = Server(raw=scripted), free_port()
agent = Agent({"s": service("s", port, server)})
GET = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
for name, (sent, reason) in cases.items():
    current[0] = sent
    answer = exchange(port, GET)
    head = answer.split(b"\r\n\r\n")[0].decode(errors="replace")
    if reason is None:
        expect(f"{name} is relayed", " 200 " in answer.decode(errors="replace") and answer.count(HELLO) == 1, answer)
    else:
        expect(f"{name} is a 502 that says {reason}", " 502 " in head and f"response-{reason}\r\n" in head + "\r\n", head)
doctor = until(lambda: "response-chunked-twice" in agent.ctl("doctor")[1], 10)
expect("doctor names the reasons", doctor)


async def echo(reader, writer):
    head = await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(head) + head)


server.raw = echo
for target, relayed in [
    ('/a"{}|^`\\', '/a"{}|^`\\'), ("https://x/y?q", "/y?q"), ("http://x", "/"), ("/?q=%zz", "/?q=%zz"), ("/a#b", None),
    ("/%zz", None), ("/\x7f", None), ("https://u@x/", None), ("ftp://x/", None),
]:
    answer = exchange(port, f"GET {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
    wanted = b"GET " + relayed.encode() + b" HTTP/1.1" if relayed else b" 400 "
    expect(f"target {target!r} {'goes on as ' + relayed if relayed else 'is a 400'}", wanted in answer, answer)


async def slow(reader, writer):
    head = await reader.readuntil(b"\r\n\r\n")
    if b"POST" in head:
        await reader.readexactly(200000)
    await asyncio.sleep(2)
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")


server.raw = slow
SHORT = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
for name, data in [
    ("a request", SHORT), ("two requests", SHORT * 2),
    ("an upload", b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 200000\r\n\r\n" + b"x" * 200000),
]:
    answer = exchange(port, data, 15, half_close=True)
    expect(f"a client that closes its side after {name} is answered", answer.count(b"\r\n\r\nok") == data.count(b"HTTP/1.1"), answer)
expect("the agent goes on", agent.is_running)
agent.end()
finish()
