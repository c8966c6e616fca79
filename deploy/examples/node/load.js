// Steady load on the demo shop, without instrumentation: the storefront's span is the root of a trace.
//
//   node load.js URL [--rate 10] [--requests 0] [--fail SERVICE] [--slow SERVICE]
//
// Of twenty requests one fails and one is slow, in the services that are named. With --requests it ends
// after so many. A line for each answer: what it was to be, the status, the trace id.
'use strict';

const { setTimeout: sleep } = require('node:timers/promises');
const { parseArgs } = require('node:util');

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    rate: { type: 'string', default: '10' },
    requests: { type: 'string', default: '0' },
    fail: { type: 'string', default: 'storefront' },
    slow: { type: 'string', default: 'storefront' },
  },
});
const url = positionals[0] ?? 'http://localhost:8080';
const requests = Number(values.requests) || Infinity;
const pause = 1000 / Number(values.rate);

function kindOf(number) {
  if (number % 20 === 7) return 'fail';
  if (number % 20 === 13) return 'slow';
  return 'fine';
}

async function order(number) {
  const kind = kindOf(number);
  const query = new URLSearchParams({ item: String(number) });
  if (kind !== 'fine') query.set(kind, values[kind]);
  try {
    const response = await fetch(`${url}/order?${query}`);
    const { trace_id: traceId } = await response.json();
    console.log(`${kind} ${response.status} ${traceId}`);
  } catch (error) {
    console.log(`${kind} ${error.cause?.code ?? error.message}`);
  }
}

async function main() {
  const open = new Set();
  for (let number = 0; number < requests; number += 1) {
    const answer = order(number).finally(() => open.delete(answer));
    open.add(answer);
    await sleep(pause);
  }
  await Promise.all(open);
}

process.on('SIGTERM', () => process.exit());
main();
