"""Holds the metrics, rules and dashboards of docs/operate against a real Prometheus.

    python3 check.py <the built tautline>

Starts the gateway, the demo load of load.py and a Prometheus that scrapes each second. Then every query of every
dashboard must return data, every alert must be known with a page and a test, and promtool and amtool must have nothing
to say. Prints each finding and ends with 1 where there are any.
"""

import json
import math
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from pathlib import Path

import load

ROOT = Path(__file__).resolve().parents[2]
OPERATE = ROOT / "docs/operate"
ALERTS = OPERATE / "alerts"
# Rates are taken over this, so the load runs for somewhat longer.
RATE = "10s"
PATIENCE_S = 45
ALERTS_MIN = 12

PROMETHEUS = """
global: {{ scrape_interval: 1s, evaluation_interval: 1s }}
rule_files: ["{rules}"]
scrape_configs:
  - job_name: tautline
    authorization: {{ credentials: "{key}" }}
    static_configs: [{{ targets: ["{address}"] }}]
  - job_name: tautline-channels
    metrics_path: /metrics/channels
    authorization: {{ credentials: "{key}" }}
    static_configs: [{{ targets: ["{address}"] }}]
"""

findings = []


def finding(text):
    findings.append(text)
    print(f"finding: {text}", flush=True)


def tool(*args, text=None, cwd=None):
    """A tool that must have nothing to say against its input."""
    ended = subprocess.run(args, input=text, capture_output=True, text=True, cwd=cwd, check=False)
    said = (ended.stdout + ended.stderr).strip()
    if ended.returncode != 0:
        finding(f"{' '.join(map(str, args))}: {said}")
    return said


def get(address, path, accept="*/*"):
    headers = {"authorization": f"Bearer {load.KEY}", "accept": accept}
    with urllib.request.urlopen(urllib.request.Request(f"http://{address}{path}", headers=headers), timeout=10) as answer:
        return answer.read().decode()


def free_port():
    # Prometheus does not tell which port it took.
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def check_alerts():
    rules = (ALERTS / "tautline.rules.yml").read_text()
    tests = (ALERTS / "tautline.tests.yml").read_text()
    names = re.findall(r"^ *- alert: (\w+)$", rules, re.M)
    if len(names) < ALERTS_MIN:
        finding(f"only {len(names)} alerts")
    tested = set(re.findall(r"^ *- alertname: (\w+)$", tests, re.M))
    for name in names:
        if name not in tested:
            finding(f"{name} has no test")
        if f"/{name}.md" not in rules:
            finding(f"{name} has no runbook_url")
        page = ALERTS / f"{name}.md"
        text = page.read_text() if page.exists() else ""
        for part in ("## Meaning", "## Where to look", "## What to do"):
            if part not in text:
                finding(f"{page.name} lacks {part!r}")
    tool("promtool", "check", "rules", "tautline.rules.yml", cwd=ALERTS)
    tool("promtool", "test", "rules", "tautline.tests.yml", cwd=ALERTS)
    tool("amtool", "check-config", "alertmanager.yml", cwd=ALERTS)
    return names


def check_metrics(address):
    for path in ("/metrics", "/metrics/channels"):
        said = tool("promtool", "check", "metrics", text=get(address, path))
        if said:
            finding(f"promtool check metrics {path}: {said}")
        if not get(address, path, "application/openmetrics-text").endswith("# EOF\n"):
            finding(f"{path} is no OpenMetrics for those who accept it")


def queries():
    """Each panel's queries as Grafana would send them."""
    for file in sorted((OPERATE / "dashboards").glob("*.json")):
        for panel in json.loads(file.read_text())["panels"]:
            for target in panel["targets"]:
                query = target["expr"].replace("$__rate_interval", RATE).replace("$instance", ".*")
                yield f"{file.stem}: {panel['title']}", query


def ask(prometheus, query):
    """The values of an instant query."""
    path = "/api/v1/query?" + urllib.parse.urlencode({"query": query})
    with urllib.request.urlopen(f"http://{prometheus}{path}", timeout=10) as answer:
        return [float(series["value"][1]) for series in json.load(answer)["data"]["result"]]


def is_answered(prometheus, query):
    return any(not math.isnan(value) for value in ask(prometheus, query))


def check_dashboards(prometheus):
    """Every query has data at some moment of the load."""
    waiting = dict(enumerate(queries()))
    count, until = len(waiting), time.monotonic() + PATIENCE_S
    while waiting and time.monotonic() < until:
        try:
            waiting = {key: it for key, it in waiting.items() if not is_answered(prometheus, it[1])}
        except OSError:
            pass  # It is still starting.
        time.sleep(1)
    for name, query in waiting.values():
        finding(f"no data for {name}: {query}")
    return count


def main(binary):
    names = check_alerts()
    with tempfile.TemporaryDirectory(prefix="tautline-prometheus-") as folder:
        folder = Path(folder)
        config = folder / "tautline.toml"
        config.write_text(load.CONFIG % {"key": load.KEY, "secret": load.SECRET, "port": load.back_end()})
        config.chmod(0o600)
        gateway = subprocess.Popen([binary, "serve", "--config", config, "--log", "error"], stdout=subprocess.PIPE, text=True)
        prometheus = None
        try:
            address = re.search(r"http://(\S+)", gateway.stdout.readline()).group(1).rstrip("/")
            own = f"127.0.0.1:{free_port()}"
            scrape = folder / "prometheus.yml"
            scrape.write_text(PROMETHEUS.format(rules=ALERTS / "tautline.rules.yml", key=load.KEY, address=address))
            args = [f"--config.file={scrape}", f"--storage.tsdb.path={folder}/data", f"--web.listen-address={own}"]
            prometheus = subprocess.Popen(["prometheus", "--log.level=warn", *args])
            is_over, failed = threading.Event(), []
            loading = threading.Thread(target=lambda: rounds(address, is_over, failed))
            loading.start()
            try:
                count = check_dashboards(own)
                check_metrics(address)
            finally:
                is_over.set()
                loading.join()
            for error in failed:
                finding(f"the load: {error!r}")
        finally:
            for process in filter(None, (prometheus, gateway)):
                process.terminate()
                process.wait()
    print(f"{len(names)} alerts, {count} queries of dashboards, {len(findings)} findings")
    return 1 if findings else 0


def rounds(address, is_over, failed):
    try:
        load.run(address, is_over.is_set)
    except Exception as error:  # pylint: disable=broad-except
        failed.append(error)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
