"""The orders of the demo shop: takes an order from the storefront, passes it on to the next service.

Requests, both incoming and outgoing, and log lines are instrumented from outside, by
`opentelemetry-instrument`. The span `check order` is made by hand.
"""

import logging
import os
import time

import requests
from flask import Flask, jsonify, request
from opentelemetry import trace
from opentelemetry.trace import Status, StatusCode, format_trace_id

SERVICE = os.environ.get("OTEL_SERVICE_NAME", "orders")
NEXT = os.environ.get("NEXT_URL")

logging.basicConfig(level=logging.INFO)
log = logging.getLogger(SERVICE)
tracer = trace.get_tracer(SERVICE)
app = Flask(__name__)


@app.get("/healthz")
def healthz():
    return "ok\n"


@app.get("/order")
def order():
    """GET /order?item=7, and for the demo: fail=SERVICE, slow=SERVICE."""
    item = request.args.get("item", "1")
    check_order(item, is_slow=request.args.get("slow") == SERVICE)
    if request.args.get("fail") == SERVICE:
        raise RuntimeError(f"no customer for item {item}")
    answer = pass_on(request.args) if NEXT else {}
    log.info("order of item %s placed", item)
    return jsonify({"order": f"order-{item}", **answer, "trace_id": trace_id()})


@app.errorhandler(Exception)
def refuse(error):
    span = trace.get_current_span()
    span.record_exception(error)
    span.set_status(Status(StatusCode.ERROR, str(error)))
    log.error("order refused: %s", error)
    return jsonify({"error": str(error), "trace_id": trace_id()}), 500


def check_order(item, is_slow):
    with tracer.start_as_current_span("check order", attributes={"shop.item": item}):
        time.sleep(1.5 if is_slow else 0.005)


def pass_on(arguments):
    response = requests.get(f"{NEXT}/order", params=arguments, timeout=10)
    response.raise_for_status()
    return response.json()


def trace_id():
    return format_trace_id(trace.get_current_span().get_span_context().trace_id)
