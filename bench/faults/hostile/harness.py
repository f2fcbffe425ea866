"""An agent, servers that misbehave on purpose, and clients, all on loopback. Python's standard library alone."""
import asyncio, http.client, json, os, random, shutil, signal, socket, subprocess, sys, tempfile, threading, time

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../../.."))
BINARIES = os.environ.get("CANARYD_BINARIES", os.path.join(ROOT, ".build/release"))
failures = []


def expect(what, condition, detail=""):
    """Prints a line for each expectation; `finish` makes the exit status."""
    print(f"{'ok    ' if condition else 'FAILED'} {what}{'' if condition or not detail else ': ' + str(detail)[:400]}", flush=True)
    if not condition:
        failures.append(what)


def finish():
    sys.exit(1 if failures else 0)


def until(condition, seconds=30):
    """Waits for a condition; its last value."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value or time.monotonic() > end:
            return value
        time.sleep(0.1)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Loop:
    """The servers' event loop, on a thread of its own."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(10)


LOOP = Loop()


class Server:
    """An HTTP server. `respond(method, target, fields, body)` gives bytes (a 200), `(status, fields, body)`, or a coroutine
    function that writes for itself; `metrics()` gives what /metrics shows; `raw(reader, writer)` replaces all of it."""

    def __init__(self, respond=lambda m, t, h, b: b"{}", metrics=None, raw=None):
        self.respond, self.metrics, self.raw, self.port, self.writers = respond, metrics, raw, free_port(), set()
        self.start()

    def start(self):
        async def go():
            self.server = await asyncio.start_server(self.serve, "127.0.0.1", self.port, limit=1 << 26)

        LOOP.run(go())

    def stop(self):
        async def go():
            # asyncio forgets a connection that it accepts while its server closes: it stays open and nobody reads it. So
            # nothing is accepted any more, and what was accepted gets its handler, before the server closes.
            for listener in self.server.sockets:
                LOOP.loop.remove_reader(listener.fileno())
            await asyncio.sleep(0.1)
            self.server.close()
            for writer in list(self.writers):
                writer.transport.abort()

        LOOP.run(go())

    async def serve(self, reader, writer):
        self.writers.add(writer)
        try:
            if self.raw:
                return await self.raw(reader, writer)
            while True:
                lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin1").split("\r\n")
                method, target, _ = lines[0].split(" ", 2)
                fields = {k.lower(): v.strip() for k, v in (l.split(":", 1) for l in lines[1:] if ":" in l)}
                body = b""
                if "content-length" in fields:
                    body = await reader.readexactly(int(fields["content-length"]))
                elif "chunked" in fields.get("transfer-encoding", ""):
                    while size := int((await reader.readline()).split(b";")[0], 16):
                        body += (await reader.readexactly(size + 2))[:-2]
                    await reader.readline()
                isPage = target.startswith("/metrics") and self.metrics
                answer = self.metrics() if isPage else self.respond(method, target, fields, body)
                if callable(answer):
                    await answer(writer)
                    continue
                status, more, content = answer if isinstance(answer, tuple) else (200, {}, answer)
                content = content.encode() if isinstance(content, str) else content
                head = f"HTTP/1.1 {status} X\r\ncontent-length: {len(content)}\r\n"
                head += "".join(f"{k}: {v}\r\n" for k, v in more.items()) + "\r\n"
                writer.write(head.encode() + content)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.LimitOverrunError):
            pass
        finally:
            self.writers.discard(writer)
            writer.close()


def response(head, body=b""):
    return head.replace("\n", "\r\n").encode("latin1") + b"\r\n" + body


QUICK = "strategy: {warmup: {requests: 5, within: 1m}, steps: [{weight: 30%, hold: 5s}, {weight: 50%, hold: 5s}]}\n"


def service(name, port, old, new=None, policies="[]", extra="", metrics=""):
    """A service's file; `old` and `new` are servers, or lists of ports."""

    def version(server):
        ports = server if isinstance(server, list) else [server.port]
        page = f", metrics: {{{metrics}, port: {ports[-1]}, interval: 500ms, timeout: 400ms}}" if metrics else ""
        return f"{{servers: [{', '.join(f'http://127.0.0.1:{p}' for p in ports)}]{page}}}"

    text = f"service: {name}\nlisten: 127.0.0.1:{port}\nversions:\n  old: {version(old)}\n"
    text += f"  new: {version(new)}\n" if new else ""
    return text + f"baseline: old\n{'candidate: new' if new else ''}\npolicies: {policies}\n{extra}"


class Agent:
    def __init__(self, services, policies={}, agent=""):
        self.folder = tempfile.mkdtemp(prefix="canaryd-hostile-")
        for name in ["services", "policies"]:
            os.mkdir(f"{self.folder}/{name}")
        self.write(services, policies)
        with open(f"{self.folder}/canaryd.yaml", "w") as file:
            file.write(f"state: state/\nadmin: {{socket: a.sock}}\nfeedback: {{socket: f.sock}}\nloops: 1\n{agent}")
        self.start()

    def write(self, services, policies={}):
        for kind, files in [("services", services), ("policies", policies)]:
            for name, text in files.items():
                with open(f"{self.folder}/{kind}/{name}.yaml", "w") as file:
                    file.write(text)

    def start(self):
        with open(f"{self.folder}/log", "ab") as log:
            self.process = subprocess.Popen(
                [f"{BINARIES}/canaryd", "--config", f"{self.folder}/canaryd.yaml"], stdout=log, stderr=log)
        if not until(lambda: self.process.poll() is not None or self.ctl("status")[0] == 0, 20) or not self.is_running:
            raise SystemExit("the agent did not start:\n" + self.log())

    @property
    def is_running(self):
        return self.process.poll() is None

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        self.process.wait(40)

    def end(self):
        if self.is_running:
            self.stop()
        shutil.rmtree(self.folder)

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def log(self):
        with open(f"{self.folder}/log", errors="replace") as file:
            return file.read()

    def ctl(self, *arguments):
        """The exit status and what was said."""
        done = subprocess.run(
            [f"{BINARIES}/canaryctl", *arguments], env={**os.environ, "CANARYD_SOCKET": f"{self.folder}/a.sock"},
            capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout + done.stderr

    def status(self, name):
        return self.ctl("status", name)[1]

    def post_labels(self, name, body):
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(60)
        client.connect(f"{self.folder}/f.sock")
        head = f"POST /v1/services/{name}/feedback HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
        client.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        return receive(client).decode(errors="replace")


def receive(client):
    """All until the end; what came before an error."""
    data = b""
    try:
        while more := client.recv(65536):
            data += more
    except OSError:
        pass
    client.close()
    return data


def exchange(port, data, timeout=10, half_close=False):
    client = socket.create_connection(("127.0.0.1", port), timeout)
    client.sendall(data)
    if half_close:
        client.shutdown(socket.SHUT_WR)
    return receive(client)


class Load:
    """Requests at a steady rate; `seen` counts them by version, status and reason, `ids` are (request id, version)."""

    def __init__(self, port, rate, threads=2):
        self.port, self.pause, self.seen, self.ids, self.is_over = port, threads / rate, {}, [], False
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(threads)]
        for thread in self.threads:
            thread.start()

    def run(self):
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        while not self.is_over:
            try:
                client.request("POST", "/predict", b"{}")
                answer = client.getresponse()
                answer.read()
                key = (answer.getheader("x-canary-version"), answer.status, answer.getheader("x-canary-error"))
                identity = (answer.getheader("x-request-id"), key[0])
            except (OSError, http.client.HTTPException) as error:
                client.close()
                key, identity = ("error", type(error).__name__, None), None
            with self.lock:
                self.seen[key] = self.seen.get(key, 0) + 1
                if identity:
                    self.ids.append(identity)
            time.sleep(self.pause)

    def end(self):
        self.is_over = True
        for thread in self.threads:
            thread.join(25)
        return self.seen
