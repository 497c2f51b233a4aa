"""Has a real Prometheus scrape what producers, readers and workers report, and asks it what the dashboard and the alerts ask.

    python3 tests/dashboard/check.py PROMETHEUS SCRAPES FOLDER

SCRAPES is a folder with texts of the exporter, FOLDER where Prometheus keeps its data. Each expression of the dashboard must return something, and
the rules must be evaluated without an error.
"""

import functools
import http.server
import json
import pathlib
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
DASHBOARD = ROOT / "docs/grafana/kpl.json"
ALERTS = ROOT / "docs/grafana/alerts.yml"


class Scrapes(http.server.SimpleHTTPRequestHandler):
    extensions_map = {"": "text/plain; version=0.0.4"}

    def log_message(self, *_):
        pass


def ask(url, path, **query):
    with urllib.request.urlopen(f"{url}{path}?{urllib.parse.urlencode(query)}", timeout=10) as answer:
        return json.load(answer)["data"]


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def until(found, seconds=60):
    """Waits until `found` returns something."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if result := found():
                return result
        except OSError:
            pass
        time.sleep(0.2)
    sys.exit(f"Prometheus: not within {seconds} s")


def main(prometheus, scrapes, folder):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Scrapes, directory=scrapes))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    names = sorted(path.name for path in scrapes.iterdir())
    jobs = [
        {"job_name": name, "metrics_path": f"/{name}", "static_configs": [{"targets": [f"127.0.0.1:{server.server_port}"]}]} for name in names
    ]
    config = {"global": {"scrape_interval": "1s", "evaluation_interval": "1s"}, "rule_files": [str(ALERTS)], "scrape_configs": jobs}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
    port = free_port()
    process = subprocess.Popen(
        [
            prometheus,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=warn",
        ]
    )
    try:
        url = f"http://127.0.0.1:{port}"
        # Rates need two scrapes of each.
        until(lambda: all(int(result["value"][1]) >= 3 for result in ask(url, "/api/v1/query", query="count_over_time(up[1m])")["result"] or [{"value": [0, 0]}]))
        down = ask(url, "/api/v1/query", query="up == 0")["result"]
        problems = [f"cannot be scraped: {result['metric']}" for result in down]

        dashboard = json.loads(DASHBOARD.read_text())
        expressions = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
        for expression in expressions:
            query = expression.replace("$__rate_interval", "1m").replace("$stream", ".*")
            if not ask(url, "/api/v1/query", query=query)["result"]:
                problems.append(f"returns nothing: {expression}")

        groups = until(lambda: (found := ask(url, "/api/v1/rules")["groups"]) and all(rule["health"] != "unknown" for group in found for rule in group["rules"]) and found)
        rules = [rule for group in groups for rule in group["rules"]]
        problems += [f"{rule['name']}: {rule['lastError']}" for rule in rules if rule["health"] != "ok"]
        for problem in problems:
            print(problem, file=sys.stderr)
        print(f"Prometheus: {len(expressions)} expressions of the dashboard, {len(rules)} alerts, {len(problems)} problems")
        return 1 if problems else 0
    finally:
        process.terminate()
        process.wait()


sys.exit(main(sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])))
