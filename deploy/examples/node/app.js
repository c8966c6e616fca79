// The storefront of the demo shop: takes orders, and passes them on to the next service.
//
// Requests, both incoming and outgoing, and log lines are instrumented from outside, by
// @opentelemetry/auto-instrumentations-node (`npm start`). The span `price order` is made by hand.
'use strict';

const { setTimeout: sleep } = require('node:timers/promises');
const { SpanStatusCode, trace } = require('@opentelemetry/api');
const express = require('express');
const pino = require('pino');

const service = process.env.OTEL_SERVICE_NAME ?? 'storefront';
const next = process.env.NEXT_URL;
const port = Number(process.env.PORT ?? 8080);

const log = pino();
const tracer = trace.getTracer(service);
const app = express();

app.get('/healthz', (_request, response) => response.send('ok\n'));

// GET /order?item=7, and for the demo: fail=SERVICE, slow=SERVICE.
app.get('/order', async (request, response) => {
  const { item = '1', fail, slow } = request.query;
  await priceOrder(item, slow === service);
  if (fail === service) throw new Error(`item ${item} is not for sale`);
  const answer = next ? await passOn(item, fail, slow) : {};
  log.info({ item }, 'order taken');
  response.json({ item, trace_id: traceId(), ...answer });
});

// Express hands over what a route throws.
app.use((error, _request, response, _next) => {
  const span = trace.getActiveSpan();
  span?.recordException(error);
  span?.setStatus({ code: SpanStatusCode.ERROR, message: error.message });
  log.error({ err: error }, 'order refused');
  response.status(500).json({ error: error.message, trace_id: traceId() });
});

function priceOrder(item, isSlow) {
  return tracer.startActiveSpan('price order', async (span) => {
    span.setAttribute('shop.item', item);
    await sleep(isSlow ? 1500 : 5);
    span.end();
  });
}

async function passOn(item, fail = '', slow = '') {
  const response = await fetch(`${next}/order?${new URLSearchParams({ item, fail, slow })}`);
  if (!response.ok) throw new Error(`the next service answers ${response.status}`);
  const { trace_id: _, ...answer } = await response.json();
  return answer;
}

function traceId() {
  return trace.getActiveSpan()?.spanContext().traceId;
}

const server = app.listen(port, () => log.info({ port, next }, 'open'));
process.on('SIGTERM', () => server.close());
