"""A small shop of three services, instrumented with the OpenTelemetry SDK for Python.

Makes traces that cross services by W3C trace context: quick and slow ones, ones with errors and
recorded exceptions, with events, links, and attributes of every type. Start and end times are
explicit, so that a slow span needs no waiting. Ends when every span has been exported.

    shop.py ENDPOINT TRACES     ENDPOINT of an OTLP/gRPC receiver, TRACES of each sort
"""

import sys
import time

from opentelemetry import propagate, trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, SpanKind, Status, StatusCode

MILLISECOND = 1_000_000
RESOURCE_SCHEMA = "https://opentelemetry.io/schemas/1.27.0"
SCOPE_SCHEMA = "https://opentelemetry.io/schemas/1.30.0"


class Service:
    """One service: a provider and an exporter of its own."""

    def __init__(self, name, endpoint):
        resource = Resource.create(
            {
                "service.name": name,
                "service.version": "1.2.3",
                "service.instance.id": f"{name}-0",
                "host.cpus": 4,
                "deployment.environment.name": "test",
                "process.command_args": ["python", "-m", name],
            },
            schema_url=RESOURCE_SCHEMA,
        )
        self.provider = TracerProvider(
            resource=resource, span_limits=SpanLimits(max_events=3, max_span_attributes=24)
        )
        exporter = OTLPSpanExporter(endpoint=endpoint, insecure=True)
        self.provider.add_span_processor(BatchSpanProcessor(exporter))
        self.tracer = self.provider.get_tracer(
            f"shop.{name}", "0.7.0", SCOPE_SCHEMA, {"scope.kind": "library"}
        )

    def start(self, name, carrier, kind, at, **more):
        """Starts a span as the child of what the headers in `carrier` say."""
        context = propagate.extract(carrier)
        return self.tracer.start_span(name, context=context, kind=kind, start_time=at, **more)


def headers(span):
    """The headers of a request that `span` sends."""
    carrier = {}
    propagate.inject(carrier, trace.set_span_in_context(span))
    return carrier


def order(shop, number, carrier, duration, failing, linked):
    """One order through all services; returns the context of its root, to be linked to."""
    frontend, checkout, inventory = shop
    start = time.time_ns() - duration
    root = frontend.start(
        "POST /orders",
        carrier,
        SpanKind.SERVER,
        start,
        links=[Link(linked, {"link.reason": "retry"})] if linked else [],
        attributes={
            "http.request.method": "POST",
            "http.response.status_code": 500 if failing else 201,
            "url.path": "/orders",
            "order.number": number,
            "order.total": 12.5 + number,
            "order.gift": number % 2 == 0,
            "order.comment": "größer als 世界 🛒",
            "order.empty": "",
            "order.large": 2**62,
            "order.negative": -1,
            "order.skus": ["a-1", "b-2"],
            "order.quantities": [1, 2, 3],
            "order.weights": [0.5, 1.25],
            "order.flags": [True, False],
            "order.nothing": [],
        },
    )
    call = frontend.start(
        "checkout", headers(root), SpanKind.CLIENT, start + MILLISECOND,
        attributes={"peer.service": "checkout"},
    )
    work = checkout.start("charge", headers(call), SpanKind.SERVER, start + 2 * MILLISECOND)
    for attempt in range(5):  # more events than the limit: the dropped ones are counted
        work.add_event("attempt", {"attempt": attempt}, start + (3 + attempt) * MILLISECOND)
    reserve = inventory.start(
        "reserve", headers(work), SpanKind.PRODUCER, start + 4 * MILLISECOND,
        attributes={f"stock.{item}": item for item in range(30)},
    )
    receive = inventory.start("ship", headers(reserve), SpanKind.CONSUMER, start + 5 * MILLISECOND)
    if failing:
        try:
            raise RuntimeError(f"no stock for order {number}")
        except RuntimeError as error:
            receive.record_exception(error, timestamp=start + 6 * MILLISECOND)
            receive.set_status(Status(StatusCode.ERROR, "out of stock"))
    else:
        receive.set_status(Status(StatusCode.OK))
    end = start + duration
    for distance, span in enumerate([receive, reserve, work, call, root]):
        span.end(end - (4 - distance) * MILLISECOND // 10)
    return root.get_span_context()


def main():
    endpoint, traces = sys.argv[1], int(sys.argv[2])
    shop = [Service(name, endpoint) for name in ("frontend", "checkout", "inventory")]
    linked = None
    for number in range(traces):
        linked = order(shop, number, {}, 40 * MILLISECOND, False, linked)
        linked = order(shop, number, {}, 40 * MILLISECOND, True, linked)
        linked = order(shop, number, {}, 1500 * MILLISECOND, False, linked)
        # From a client that is not instrumented here: no root span comes, the tracestate brings
        # other vendors' entries and the randomness to sample by.
        caller = {
            "traceparent": f"00-{0xABCDEF << 64 | number + 1:032x}-{number + 1:016x}-01",
            "tracestate": f"acme=t{number},ot=rv:{number * 2**56 // traces:014x},other=1",
        }
        linked = order(shop, number, caller, 40 * MILLISECOND, False, linked)
    for service in shop:
        service.provider.shutdown()


main()
