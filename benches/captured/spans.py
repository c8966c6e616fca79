"""Makes the captures of the stage benches: what the OpenTelemetry SDK for Python exports, as it
encodes it, one export a message, each behind its length (as the Collector's file exporter writes).

    spans.py FOLDER     writes small.otlp, batched.otlp and wide.otlp

small     an export for each span, with the attributes of an HTTP server
batched   exports of 512 spans, of many traces
wide      an export for each trace, of spans with 45 attributes, among them a long statement

Ids and times are drawn and counted, not taken from the machine, so that the same version of the SDK
makes the same files.
"""

import pathlib
import random
import struct
import sys

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import SpanKind, Status, StatusCode

MILLISECOND = 1_000_000
START = 1_760_000_000_000 * MILLISECOND
SCHEMA = "https://opentelemetry.io/schemas/1.30.0"
STATEMENT = (
    "SELECT o.id, o.customer_id, o.status, o.total, i.sku, i.quantity, i.price FROM orders AS o "
    "JOIN order_items AS i ON i.order_id = o.id LEFT JOIN shipments AS s ON s.order_id = o.id "
    "WHERE o.customer_id = $1 AND o.created_at > $2 ORDER BY o.created_at DESC LIMIT 50"
)
STACK = "Traceback (most recent call last):\n" + "".join(
    f'  File "/app/shop/orders/layer_{level}.py", line {40 + level}, in find_by_customer\n'
    f"    return self.layer_{level + 1}.find_by_customer(customer_id, since, limit=50)\n"
    for level in range(12)
)


class Drawn(IdGenerator):
    """Ids that are drawn from a seed."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def generate_span_id(self):
        return self.random.getrandbits(64) | 1

    def generate_trace_id(self):
        return self.random.getrandbits(128) | 1


class Gather(SpanProcessor):
    """Keeps the spans that ended until they are exported."""

    def __init__(self):
        self.spans = []

    def on_end(self, span):
        self.spans.append(span)

    def export(self, file, most):
        """Writes what was gathered, at most so many spans in a message."""
        for start in range(0, len(self.spans), most):
            message = encode_spans(self.spans[start : start + most]).SerializeToString()
            file.write(struct.pack(">I", len(message)) + message)
        self.spans.clear()


def provider(name, seed):
    """A service that runs in a pod, as resource detectors describe it."""
    resource = {
        "service.name": name,
        "service.namespace": "shop",
        "service.version": "2.14.3",
        "service.instance.id": f"{name}-7d9f8b6c5d-x2k4q",
        "deployment.environment.name": "production",
        "host.name": "ip-10-12-34-56.eu-central-1.compute.internal",
        "host.arch": "amd64",
        "os.type": "linux",
        "process.pid": 1,
        "process.runtime.name": "cpython",
        "process.runtime.version": "3.12.4",
        "k8s.cluster.name": "prod-eu-1",
        "k8s.namespace.name": "shop",
        "k8s.deployment.name": name,
        "k8s.pod.name": f"{name}-7d9f8b6c5d-x2k4q",
        "k8s.node.name": "ip-10-12-34-56.eu-central-1.compute.internal",
        "cloud.provider": "aws",
        "cloud.region": "eu-central-1",
    }
    resource = Resource.create(resource, schema_url=SCHEMA)
    return TracerProvider(resource=resource, id_generator=Drawn(seed), shutdown_on_exit=False)


def http(number):
    """What an HTTP server's instrumentation says."""
    return {
        "http.request.method": "GET",
        "http.route": "/products/{id}",
        "url.path": f"/products/{number}",
        "url.scheme": "https",
        "server.address": "shop.example.com",
        "server.port": 443,
        "client.address": f"10.1.{number // 256 % 256}.{number % 256}",
        "user_agent.original": "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0",
        "http.response.status_code": 500 if number % 50 == 0 else 200,
        "network.protocol.version": "1.1",
    }


def wide(number):
    """Many attributes: a database's, a message's, and what a platform team adds to each span."""
    more = {
        "db.system.name": "postgresql",
        "db.namespace": "orders",
        "db.query.text": STATEMENT,
        "db.operation.name": "SELECT",
        "db.response.returned_rows": number % 50,
        "thread.id": 100 + number % 8,
        "thread.name": f"worker-{number % 8}",
        "code.function.name": "shop.orders.repository.find_by_customer",
        "code.file.path": "/app/shop/orders/repository.py",
        "code.line.number": 214,
        "enduser.id": f"customer-{number * 7919 % 100_000}",
        "feature.flags": ["new-checkout", "eu-taxes", "fast-search"],
        "cart.value": 12.5 + number,
        "cart.is_gift": number % 2 == 0,
    }
    platform = {f"platform.label.{label:02}": f"value-{label}-{number % 4}" for label in range(21)}
    return {**http(number), **more, **platform}


def tree(tracer, number, depth, attributes, at):
    """A trace of `depth` spans, each the child of the one before; every 50th fails."""
    kinds = [SpanKind.SERVER, SpanKind.INTERNAL, SpanKind.CLIENT]
    context, spans = None, []
    for level in range(depth):
        span = tracer.start_span(
            ["GET /products/{id}", "render", "SELECT orders"][level % 3],
            context=context,
            kind=kinds[level % 3],
            start_time=at + level * MILLISECOND,
            attributes=attributes(number * depth + level),
        )
        if number % 50 == 0 and level == depth - 1:
            try:
                raise TimeoutError("the database did not answer within 2 s")
            except TimeoutError as error:
                stack = {"exception.stacktrace": STACK}
                span.record_exception(error, stack, timestamp=at + 40 * MILLISECOND)
                span.set_status(Status(StatusCode.ERROR, "timed out"))
        context = trace.set_span_in_context(span)
        spans.append(span)
    for level, span in reversed(list(enumerate(spans))):
        span.end(at + (60 - level) * MILLISECOND)


def capture(path, seed, traces, attributes, exported_by, most):
    """So many traces of five spans, exported after every `exported_by` traces."""
    gather = Gather()
    service = provider(path.stem, seed)
    service.add_span_processor(gather)
    tracer = service.get_tracer("shop.http", "0.58b0", SCHEMA)
    with open(path, "wb") as file:
        for number in range(traces):
            tree(tracer, number, 5, attributes, START + number * 10 * MILLISECOND)
            if (number + 1) % exported_by == 0:
                gather.export(file, most)
        gather.export(file, most)


def main():
    folder = pathlib.Path(sys.argv[1])
    capture(folder / "small.otlp", 1, 200, http, exported_by=1, most=1)
    capture(folder / "batched.otlp", 2, 400, http, exported_by=400, most=512)
    capture(folder / "wide.otlp", 3, 60, wide, exported_by=1, most=512)


main()
