"""Metrics pages that lie, break or stand still: none may crash the agent, be counted as evidence, or pass without a word."""
from harness import *
import gzip

TYPES = "# TYPE nv_inference_request_success counter\n# TYPE nv_inference_request_failure counter\n"


def page(requests, failures=0, type_lines=TYPES, more=""):
    return (type_lines + f'nv_inference_request_success{{model="m"}} {requests}\n'
            f'nv_inference_request_failure{{model="m"}} {failures}\n' + more)


def models(n):
    """Three models of which one is missing from each page; none of them fails."""
    lines = [f'nv_inference_request_success{{model="m{i}"}} {1000 * (i + 1) + 50 * n}\n'
             f'nv_inference_request_failure{{model="m{i}"}} {800 * i}\n' for i in range(3) if n % 4 != i]
    return TYPES + "".join(lines)


OPEN_METRICS = {"content-type": "application/openmetrics-text; version=1.0.0"}
# The candidate's nth page, and what status says of it; None: it is promoted.
pages = {
    "grows-by-3e19": (lambda n: page(n * 30000000000000000000), "no count"),
    "negative": (lambda n: page(-5 * n, -n), "no count"),
    "infinite-sum": (lambda n: TYPES + "".join(f'nv_inference_request_success{{model="{i}"}} 1e308\n' for i in range(9)), "no count"),
    "not-a-number": (lambda n: page("NaN", "NaN"), "no count"),
    "frozen": (lambda n: TYPES + "nv_inference_request_success 5000 1700000000000\nnv_inference_request_failure 1 1700000000000\n", "out of date"),
    "empty": (lambda n: b"", "showed none of its preset's request counters"),
    "html": (lambda n: b"<html>hello</html>\n", "not Prometheus text"),
    "cut-off": (lambda n: page(n * 100).encode()[:-3], "cut off"),
    "gzip-without-header": (lambda n: gzip.compress(page(n * 100).encode()), "compressed with gzip and does not say so"),
    "openmetrics-without-eof": (lambda n: (200, OPEN_METRICS, page(n * 100)), "does not end with # EOF"),
    "written-twice": (lambda n: page(n * 100, more=f'nv_inference_request_success{{model="m"}} {n * 999}\n'), "stands twice"),
    "type-changes": (lambda n: page(n * 100, type_lines=TYPES if n % 2 else TYPES.replace("counter", "gauge")), "was declared a"),
    "models-come-and-go": (models, None),
}
POLICY = """policy: p
threshold: {interval: 2s, window: 10s, minSamples: 5}
checks:
  - name: errors
    errors: {max: 5%, from: scrape}
  - name: failures
    metric: {series: nv_inference_request_failure, aggregate: rate, max: 3}
"""


def counted(give):
    turns = iter(range(1, 1 << 40))
    return lambda: give(next(turns))


ports, services = {}, {}
for name, (give, _) in pages.items():
    ports[name] = free_port()
    old, new = Server(metrics=counted(lambda n: page(n * 100))), Server(metrics=counted(give))
    services[name] = service(
        name, ports[name], old, new, "[p]", QUICK + "analysis: {judge: threshold}\n", metrics="preset: triton")
agent = Agent(services, {"p": POLICY})
loads = [Load(port, 10, threads=1) for port in ports.values()]
for name, (_, words) in pages.items():
    if words is None:
        promoted = until(lambda: "new serves all" in agent.status(name), 60)
        expect(f"{name}: promoted", promoted, agent.status(name))
    else:
        expect(f"{name}: {words}", until(lambda: words in agent.status(name) + agent.log(), 30), agent.status(name))
for load in loads:
    load.is_over = True
expect("the agent goes on", agent.is_running)
agent.end()
finish()
