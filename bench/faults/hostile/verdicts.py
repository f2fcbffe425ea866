"""Candidates that are bad in ways that look harmless: what the shipped policy decides about each, and how a slow first byte is seen."""
from harness import *


def some(status, share, fields={}):
    return lambda *request: (status, fields, b"x") if random.random() < share else b"{}"


def late_body(seconds):
    async def write(writer):
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(seconds)
        writer.write(b"5\r\nhello\r\n0\r\n\r\n")
        await writer.drain()

    return lambda *request: write


async def burst(writer):
    is_bad = 12 < time.monotonic() - began < 17
    writer.write(response(f"HTTP/1.1 {500 if is_bad else 200} X\nContent-Length: 0\n"))
    await writer.drain()


sound = lambda *request: b"{}"
THRESHOLD = "analysis: {judge: threshold}\n"
# Baseline, candidate, policy, further lines, and what the note of the revert says; None: it is not reverted.
cases = {
    "all-404": (sound, some(404, 1), "standard", "", "all of them 404"),
    "all-429": (sound, some(429, 1), "standard", "", "all of them 429"),
    "some-404": (sound, some(404, 0.3), "standard", "", "standard/client-errors"),
    "some-404-by-thresholds": (sound, some(404, 0.3), "standard", THRESHOLD, "standard/client-errors"),
    "redirects": (sound, some(307, 1, {"location": "/elsewhere"}), "standard", "", "3xx: 100%"),
    "both-404": (some(404, 0.5), some(404, 0.5), "standard", "", None),
    "late-first-byte": (late_body(0.05), late_body(0.6), "first-byte", "", "first-byte/p95"),
    "a-burst-of-5-s": (sound, lambda *request: burst, "thresholds", THRESHOLD, None),
}
policies = {
    "standard": open(f"{ROOT}/policies/standard.yaml").read(),
    "first-byte": "policy: first-byte\nchecks:\n  - name: p95\n    latency: {quantile: p95, of: firstByte, maxIncrease: 40%}\n",
    "thresholds": "policy: thresholds\nthreshold: {interval: 5s, window: 30s, minSamples: 20, failureLimit: 2}\n"
                  "checks:\n  - name: errors\n    errors: {max: 5%}\n",
}
ports, services = {}, {}
for name, (old, new, policy, extra, _) in cases.items():
    ports[name] = free_port()
    services[name] = service(name, ports[name], Server(old), Server(new), f"[{policy}]", QUICK + extra)
agent, began = Agent(services, policies), time.monotonic()
loads = [Load(port, 20) for port in ports.values()]
for name, (*_, words) in cases.items():
    if words:
        expect(f"{name} is reverted: {words}", until(lambda: "was reverted" in agent.status(name), 120) and words in agent.status(name), agent.status(name))
time.sleep(max(0, 45 - (time.monotonic() - began)))
for name, (*_, words) in cases.items():
    if words is None:
        expect(f"{name} is not reverted", "was reverted" not in agent.status(name), agent.status(name))
expect("explain says so too", "4xx: fail" in agent.ctl("explain", "all-404")[1])
for load in loads:
    load.is_over = True
agent.end()
finish()
