"""Uploads of all sizes to servers that refuse, hang, answer early or restart: none hangs, none arrives changed."""
from harness import *
import hashlib
from concurrent.futures import ThreadPoolExecutor

respond = lambda m, t, h, body: (200, {"x-sha": hashlib.sha1(body).hexdigest()}, b"ok")


def upload(port, size, chunked, slow):
    body = random.randbytes(size)
    pieces = [body[i:i + 65536] for i in range(0, size, 65536)]
    client = socket.create_connection(("127.0.0.1", port), 20)
    framing = b"transfer-encoding: chunked" if chunked else b"content-length: %d" % size
    answer = b""
    try:
        client.sendall(b"POST /predict HTTP/1.1\r\nhost: x\r\nconnection: close\r\n" + framing + b"\r\n\r\n")
        for piece in pieces:
            client.sendall(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
            if slow:
                time.sleep(0.005)
        if chunked:
            client.sendall(b"0\r\n\r\n")
    except OSError:
        pass
    answer = receive(client)
    if b" 200 " not in answer[:16]:
        return answer[9:12].decode() or "nothing"
    return "whole" if hashlib.sha1(body).hexdigest().encode() in answer else "changed"


async def refuses_at_once(reader, writer):
    await reader.readuntil(b"\r\n\r\n")


full = socket.socket()
full.bind(("127.0.0.1", 0))
full.listen(0)
waiting = [socket.socket() for _ in range(4)]
for client in waiting:
    client.setblocking(False)
    client.connect_ex(full.getsockname())
dead, hangs, live = free_port(), full.getsockname()[1], Server(respond)
RESCUE = "strategy: {steps: [{weight: 50%, hold: 10m}]}\ntraffic: {rescue: {paths: [/predict]}, timeouts: {connect: 300ms}}\n"
POLICY = "policy: p\nchecks:\n  - name: e\n    errors: {max: 99%}\n    action: notify\n"
ports, services = {}, {}


def add(name, *arguments):
    ports[name] = free_port()
    services[name] = service(name, ports[name], *arguments)


add("refuses-then-takes", [dead, live.port])
add("hangs-then-takes", [hangs, live.port], None, "[]", "traffic: {timeouts: {connect: 300ms}}\n")
add("candidate-refuses", live, [dead], "[p]", RESCUE)
add("candidate-hangs", live, [hangs], "[p]", RESCUE)
add("candidate-closes", live, Server(raw=refuses_at_once), "[p]", RESCUE)
first, second = Server(respond), Server(respond)
add("rolling-restart", [first.port, second.port])
agent = Agent(services, {"p": POLICY})
for port in ports.values():
    upload(port, 10, False, False)
sizes = [0, 1, 60 << 10, 64 << 10, (64 << 10) + 1, 200_000, 1 << 20, 3 << 20]
for name, port in ports.items():
    if name == "rolling-restart":
        continue
    jobs = [(port, size, chunked, slow) for size in sizes for chunked in (0, 1) for slow in (0, 1)] * 2
    random.shuffle(jobs)
    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(lambda job: upload(*job), jobs))
    # What was sent to a server that closed goes nowhere else unless it fits into one buffer.
    allowed = {"whole", "502"} if name == "candidate-closes" else {"whole"}
    expect(f"{name}: {len(jobs)} uploads", set(results) <= allowed, {r: results.count(r) for r in set(results)})
results, is_over = [], threading.Event()


def uploads():
    while not is_over.is_set():
        results.append(upload(ports["rolling-restart"], 300_000, 0, 0))


threads = [threading.Thread(target=uploads) for _ in range(3)]
for thread in threads:
    thread.start()
for _ in range(4):
    first.stop()
    time.sleep(1)
    first.start()
    time.sleep(0.5)
is_over.set()
for thread in threads:
    thread.join()
bad = [r for r in results if r != "whole"]
expect(f"rolling-restart: {len(results)} uploads, of which those under way at a restart may be 502", set(bad) <= {"502"} and len(bad) <= 12, bad)
agent.end()
finish()
