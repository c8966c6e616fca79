// Writes traffic and policy files into a folder, of which `tailsieve whatif` makes reports:
//
//   node traffic.mjs FOLDER
//
// shop.json with old.yaml and new.yaml are what a shop has; worst.json with worst-old.yaml and worst-new.yaml
// have names that are markup, long, invisible, or written from right to left.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";

const [folder] = process.argv.slice(2);

const SHOP = ["frontend", "cart", "checkout", "payment", "shipping", "currency", "email", "ads", "search", "stock"];
const WORST = [
  "<script>alert(1)</script>",
  `"'--></style></title><img src=x onerror=alert(1)>`,
  "javascript:alert(1)",
  "שלום עולם",
  "\u202eevil\u2066",
  "\u001b[2J\u0000\u200b",
  "x".repeat(3000),
  "ש".repeat(3000),
  "a b  c\nd",
  "&amp;&lt;",
  "",
];

// The same numbers each time (Park and Miller 1988).
let seed = 42;
function random() {
  seed = (seed * 48271) % 2147483647;
  return seed / 2147483647;
}
const pick = (all) => all[Math.floor(random() * all.length)];
const hex = (digits) => Array.from({ length: digits }, () => pick("0123456789abcdef".split(""))).join("");
const nanos = (millis) => `${Math.round(millis)}000000`;

function span(trace, { service, name, parent, start, millis, failed }) {
  const id = hex(16);
  const status = { code: failed ? 2 : 0 };
  const times = { startTimeUnixNano: nanos(start), endTimeUnixNano: nanos(start + millis) };
  const spans = [{ traceId: trace, spanId: id, parentSpanId: parent, name, status, ...times }];
  const attributes = [{ key: "service.name", value: { stringValue: service } }];
  return { id, resource: { resource: { attributes }, scopeSpans: [{ spans }] } };
}

// Each record is a trace.
function records(count, services, names) {
  let now = 1_790_000_000_000;
  const all = [];
  for (let number = 0; number < count; number++) {
    now += 50;
    const [trace, service, failed] = [hex(32), pick(services), random() < 0.04];
    const millis = Math.exp(3 + 4 * random() ** 2) + 1;
    const root = span(trace, { service, name: pick(names), start: now, millis, failed });
    const steps = Array.from({ length: Math.floor(random() * 12) }, () =>
      span(trace, { service: pick(services), name: pick(names), parent: root.id, start: now + 1, millis: millis / 3, failed: false }),
    );
    all.push(JSON.stringify({ resourceSpans: [root, ...steps].map(({ resource }) => resource) }));
  }
  return all.join("\n");
}

// JSON is YAML.
function policies(all) {
  return JSON.stringify({ policies: all.map(([name, type, options]) => ({ name, type, [type]: options })) });
}
const errors = { status_codes: ["ERROR"] };
const share = (sampling_percentage) => ({ sampling_percentage });
const of = (...values) => ({ key: "service.name", values });

const write = (name, text) => writeFileSync(join(folder, name), `${text}\n`);
write("shop.json", records(1500, SHOP, ["GET /", "POST /cart", "charge", "quote"]));
write(
  "old.yaml",
  policies([
    ["errors", "status_code", errors],
    ["slow", "latency", { threshold_ms: 600 }],
    ["the-rest", "probabilistic", share(10)],
  ]),
);
write(
  "new.yaml",
  policies([
    ["slow", "latency", { threshold_ms: 300 }],
    ["payment", "string_attribute", of("payment")],
    ["the-rest", "probabilistic", share(5)],
    ["half-of-the-rest", "probabilistic", share(2)],
    ["nobody", "string_attribute", of("nobody")],
    ["quota", "rate_limiting", { spans_per_second: 5 }],
  ]),
);

const many = Array.from({ length: 30 }, (_, number) => `${pick(WORST)} ${number}`);
write("worst.json", records(400, [...WORST, ...many], WORST));
const named = WORST.filter((name) => name !== "");
write("worst-old.yaml", policies(named.map((name) => [`old ${name}`, "probabilistic", share(3 + random() * 30)])));
write("worst-new.yaml", policies(named.map((name) => [name, "string_attribute", of(name, `${name} 1`)])));
