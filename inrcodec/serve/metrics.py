"""What a server has done, in the text format of Prometheus."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)  # seconds
Labels = tuple[tuple[str, str], ...]


@dataclass(eq=False)
class Metrics:
    """Counts by (method, route, status), and seconds by route. Routes are templates: what clients make up does not grow it."""

    requests: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    sent: int = 0
    buckets: Counter[tuple[str, float]] = field(default_factory=Counter)
    seconds: Counter[str] = field(default_factory=Counter)

    def add(self, method: str, route: str, status: int, *, seconds: float, nbytes: int) -> None:
        self.requests[method, route, status] += 1
        self.sent += nbytes
        self.seconds[route] += seconds  # type: ignore[assignment]
        bound = next((each for each in BUCKETS if seconds <= each), float("inf"))
        self.buckets[route, bound] += 1

    def text(self, gauges: Mapping[str, Iterable[tuple[Labels, float]]]) -> str:
        """Gauges by name beside what is counted here."""
        lines = ["# TYPE inrcodec_requests_total counter"]
        for (method, route, status), count in sorted(self.requests.items()):
            lines.append(sample("inrcodec_requests_total", (("method", method), ("route", route), ("status", str(status))), count))
        lines += ["# TYPE inrcodec_sent_bytes_total counter", sample("inrcodec_sent_bytes_total", (), self.sent)]
        lines.append("# TYPE inrcodec_request_seconds histogram")
        for route in sorted(self.seconds):
            total = 0
            for bound in (*BUCKETS, float("inf")):
                total += self.buckets[route, bound]
                label = "+Inf" if bound == float("inf") else f"{bound:g}"
                lines.append(sample("inrcodec_request_seconds_bucket", (("route", route), ("le", label)), total))
            lines.append(sample("inrcodec_request_seconds_sum", (("route", route),), self.seconds[route]))
            lines.append(sample("inrcodec_request_seconds_count", (("route", route),), total))
        for name, found in gauges.items():
            lines += [f"# TYPE {name} gauge", *(sample(name, labels, value) for labels, value in found)]
        return "\n".join(lines) + "\n"


def sample(name: str, labels: Labels, value: float) -> str:
    told = ",".join(f'{key}="{escaped(each)}"' for key, each in labels)
    return f"{name}{{{told}}} {value:.10g}" if told else f"{name} {value:.10g}"


def escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
