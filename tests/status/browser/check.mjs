// Looks at each page of a status server, and at reports of `tailsieve whatif`, in Chromium, light and dark, on a
// telephone, a laptop and a large screen: axe-core finds nothing, no request leaves the server or the file, the
// console has no error (a violation of the content security policy is one), and nothing is wider than the screen.
//
//   node check.mjs BASE member     of a member with traffic, on which a policy file is tried, too
//   node check.mjs BASE worst      of one whose names are markup, long, or written from right to left
//   node check.mjs BASE planted    of mistakes, each of which has to be found
//   node check.mjs FILE report     a report, which is a file:// URL
//   node check.mjs FILE worst-report, planted-report    the same of such names, and of mistakes
//
// CHROMIUM is the browser; with SCREENSHOTS=FOLDER the pages are left there as pictures.
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

import { chromium } from "playwright-core";

let [base, what] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const { CHROMIUM = "/usr/bin/chromium", SCREENSHOTS } = process.env;

const SCHEMES = ["light", "dark"];
const WIDTHS = [360, 1024, 1920];
const REPORT_WIDTHS = [360, 1440];
// A sheet of A4, with margins.
const SHEET = 720;
const PATIENCE = 20_000;

const POLICIES = `policies:
  - {name: errors, type: status_code, status_code: {status_codes: [ERROR]}}
  - {name: half, type: probabilistic, probabilistic: {sampling_percentage: 50}}
`;

// What is wrong, in a line each.
const problems = [];

function expect(condition, problem) {
  if (!condition) problems.push(problem);
}

// A page that writes down what it should not do.
async function open(browser, options) {
  const context = await browser.newContext({ ...options, baseURL: base });
  context.setDefaultTimeout(PATIENCE);
  const page = await context.newPage();
  const at = () => `${page.url().slice(0, 100)} (${options.colorScheme}, ${options.viewport?.width} px)`;
  page.on("request", (request) => {
    const { protocol, origin } = new URL(request.url());
    const isOwn = protocol === "file:" ? request.url() === base : origin === new URL(base).origin;
    expect(isOwn, `${at()}: asks for ${request.url()}`);
  });
  page.on("console", (message) => {
    // An answer of 4xx, or that there is no room for a stream, is asked for here, and told as an error.
    const isAnswer = /^Failed to load resource: the server responded with a status of (4|503)/.test(message.text());
    const isBad = ["error", "warning"].includes(message.type()) && !isAnswer;
    expect(!isBad, `${at()}: ${message.type()} on the console: ${message.text()}`);
  });
  page.on("pageerror", (error) => problems.push(`${at()}: ${error}`));
  page.on("dialog", (dialog) => {
    problems.push(`${at()}: says ${dialog.message()}`);
    dialog.dismiss();
  });
  return { page, at };
}

async function inspect({ page, at }) {
  const { width, screen } = await page.evaluate(() => ({
    width: document.documentElement.scrollWidth,
    screen: document.documentElement.clientWidth,
  }));
  expect(width <= screen, `${at()}: is ${width} px wide`);
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run({ resultTypes: ["violations"] }));
  for (const { id, help, nodes } of violations) {
    problems.push(`${at()}: axe: ${id}: ${help}: ${nodes[0].html.slice(0, 200)}`);
  }
  if (SCREENSHOTS) {
    const { pathname, search } = new URL(page.url());
    const path = pathname.startsWith("/tmp") ? basename(pathname) : pathname + search;
    const name = `${what}-${path}`.replaceAll(/[^A-Za-z0-9]+/g, "-").slice(0, 60);
    const size = at().match(/\((\w+), (\d+)/).slice(1).join("-");
    await page.screenshot({ path: join(SCREENSHOTS, `${name}-${size}.png`), fullPage: true });
  }
}

async function look(browser, paths) {
  for (const colorScheme of SCHEMES) {
    for (const width of WIDTHS) {
      const opened = await open(browser, { colorScheme, viewport: { width, height: 900 } });
      for (const path of paths) {
        await opened.page.goto(path);
        await inspect(opened);
      }
      await opened.page.context().close();
    }
  }
}

async function begin(page, policies) {
  await page.goto("/trials");
  await page.getByLabel("The policy file").fill(policies);
  await page.getByRole("button", { name: "Try it" }).click();
}

// Whether more traces were decided than that, on the page of a trial.
const hasMore = (before) =>
  Number(document.querySelector("#trial p + p").textContent.split(" ")[0].replace(/\D/g, "")) > before;

// A policy file is tried: with a script the page follows the trial, without one it can be asked again.
async function tries(browser) {
  const { page } = await open(browser, { viewport: { width: 1024, height: 900 } });
  await begin(page, "policies: [{name: a, type: guess}]");
  await page.getByRole("alert").getByText("policies.yaml:1:28").waitFor();
  await begin(page, POLICIES);
  await page.waitForURL("**/trials/*");
  await page.waitForFunction(hasMore, 0);
  await page.waitForFunction(hasMore, 50);
  await page.getByRole("button", { name: "Cancel the trial" }).click();
  await page.getByText("cancelled").waitFor();
  await page.context().close();

  const plain = (await open(browser, { javaScriptEnabled: false })).page;
  await begin(plain, POLICIES);
  await plain.waitForURL("**/trials/*");
  expect((await plain.content()).includes("running"), "without a script a trial does not begin");
  await plain.getByRole("button", { name: "Cancel the trial" }).click();
  await plain.getByText("cancelled").waitFor();
  const trial = new URL(plain.url()).pathname;
  await plain.context().close();
  return trial;
}

// The overview is kept up to date by a stream; without one, by asking.
async function follows(browser) {
  for (const hasStream of [true, false]) {
    const { page } = await open(browser, { viewport: { width: 1024, height: 900 } });
    if (!hasStream) await page.route("**/live", (route) => route.fulfill({ status: 503 }));
    const streams = [];
    page.on("response", (response) => {
      if (response.url().endsWith("/live")) streams.push(response.headers()["content-type"]);
    });
    await page.goto("/");
    const text = await page.locator("#process").textContent();
    await page.waitForFunction((text) => document.querySelector("#process").textContent !== text, text);
    if (hasStream) expect(streams[0] === "text/event-stream", `the stream is ${streams[0]}`);
    await page.context().close();
  }
}

// The traces that were decided last, one of which is searched.
async function someTrace() {
  for (;;) {
    const { kept } = await (await fetch(`${base}/api/v1/traces`)).json();
    if (kept.length > 0) return kept[0].trace_id;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

const HOSTILE = ["<img src=x onerror=alert(1)>", `\u202e"'--></title>`, "ש".repeat(3000)];
const searches = HOSTILE.map((text) => `/trace?id=${encodeURIComponent(text)}`);

// Whatever would be in a report: it loads, runs and sends nothing.
async function isShut(browser) {
  const page = await browser.newPage();
  await page.goto(base);
  const refused = await page.evaluate(async () => {
    const all = [];
    addEventListener("securitypolicyviolation", ({ effectiveDirective }) => all.push(effectiveDirective));
    const add = (name, fields) => document.body.append(Object.assign(document.createElement(name), fields));
    add("img", { src: "http://elsewhere.invalid/" });
    add("iframe", { src: "http://elsewhere.invalid/" });
    add("script", { textContent: "window.hasRun = true" });
    add("link", { rel: "stylesheet", href: "http://elsewhere.invalid/" });
    await fetch("http://elsewhere.invalid/").catch(() => {});
    for (let tries = 0; all.length < 5 && tries < 100; tries++) await new Promise((resolve) => setTimeout(resolve, 50));
    return window.hasRun ? ["a script has run"] : all.sort();
  });
  const expected = ["connect-src", "frame-src", "img-src", "script-src-elem", "style-src-elem"];
  expect(refused.join() === expected.join(), `a report refuses ${refused}`);
  await page.close();
}

// On paper everything is unfolded, and nothing is cut off.
async function isPrinted(browser) {
  const opened = await open(browser, { viewport: { width: SHEET, height: 900 }, colorScheme: "light" });
  const { page, at } = opened;
  await page.emulateMedia({ media: "print" });
  await page.goto(base);
  const folded = await page.evaluate(() => {
    const inside = [...document.querySelectorAll("details > :not(summary)")];
    return inside.filter((element) => !element.checkVisibility()).length;
  });
  expect(folded === 0, `${at()}: ${folded} parts are not printed`);
  const cut = await page.evaluate(() =>
    [...document.querySelectorAll(".scroll")].filter((it) => it.firstElementChild.scrollWidth > it.clientWidth).length,
  );
  expect(cut === 0, `${at()}: ${cut} tables are wider than the sheet`);
  await inspect(opened);
  await page.context().close();
}

async function report(browser, schemes = SCHEMES, widths = REPORT_WIDTHS) {
  for (const colorScheme of schemes) {
    for (const width of widths) {
      const opened = await open(browser, { colorScheme, viewport: { width, height: 900 } });
      await opened.page.goto(base);
      const ran = await opened.page.locator("script").count();
      expect(ran === 0, `${opened.at()}: has ${ran} scripts`);
      await inspect(opened);
      const folded = opened.page.locator("summary");
      for (let number = 0; number < (await folded.count()); number++) await folded.nth(number).click();
      await inspect(opened);
      await opened.page.context().close();
    }
  }
  await isPrinted(browser);
  await isShut(browser);
}

// Whatever a policy or a service is called: it is text, in a direction of its own.
async function isText(browser) {
  const { page, at } = await open(browser, { viewport: { width: 1440, height: 900 } });
  await page.goto(base);
  const { names, elements, others } = await page.evaluate(() => ({
    names: [...document.querySelectorAll("bdi")].map((it) => it.textContent),
    elements: document.querySelectorAll("img, script, iframe, bdi *").length,
    others: document.querySelectorAll("[onerror], [href], [src]").length,
  }));
  expect(elements + others === 0, `${at()}: ${elements + others} elements come from names`);
  for (const part of ["<script>alert(1)</script>", "onerror=alert(1)>", "שלום עולם", "&amp;&lt;", "xxxx…", "(none)"]) {
    expect(names.some((name) => name.includes(part)), `${at()}: ${part} is not there`);
  }
  expect(!/[\u202a-\u202e\u2066-\u2069\u001b]/.test(await page.content()), `${at()}: has characters that turn others`);
  await page.context().close();
}

// Mistakes in copies of a report, each of which is found.
async function plantedReport(browser) {
  const original = fileURLToPath(base);
  const text = readFileSync(original, "utf8");
  const policy = /<meta http-equiv="Content-Security-Policy"[^>]*>/;
  const mistakes = {
    "asks for http://elsewhere.invalid/": [policy, `<link rel="stylesheet" href="http://elsewhere.invalid/">`],
    "has 1 scripts": [policy, "<script>0</script>"],
    "on the console": ["<main>", `<main><script>alert(1)</script>`],
    "px wide": ["</style>", "main { width: 5000px }</style>"],
    "color-contrast": ["</style>", ".quiet { color: #ccc; background: #fff }</style>"],
    "parts are not printed": ["::details-content", "::none"],
    "tables are wider than the sheet": ["</style>", "table { min-width: 60rem }</style>"],
    "a report refuses": [/default-src[^"]*/, "script-src 'none'; frame-src 'none'; img-src 'none'; connect-src 'none'; object-src 'none'; style-src * 'unsafe-inline'"],
  };
  for (const [expected, [place, mistake]] of Object.entries(mistakes)) {
    const planted = original.replace(/html$/, "planted.html");
    const wrong = text.replace(place, mistake);
    expect(wrong !== text, `there is no ${place} in ${original}`);
    writeFileSync(planted, wrong);
    base = `file://${planted}`;
    await report(browser, ["light"], [360]);
    const found = problems.splice(0);
    if (!found.some((problem) => problem.includes(expected))) {
      problems.push(`not found: ${expected}; found: ${found.join("; ") || "nothing"}`);
      return;
    }
  }
}

async function planted(browser) {
  const mistakes = {
    "image-alt": `<img src="/assets/icon.svg">`,
    "asks for http://elsewhere.invalid/": `<link rel="stylesheet" href="http://elsewhere.invalid/">`,
    "error on the console": `<script>alert(1)</script>`,
    "is 5000 px wide": `<div class="wide">wide</div>`,
    "color-contrast": `<p class="pale">pale</p>`,
  };
  const style = `.wide { width: 5000px } .pale { color: #eee; background: #fff } body { margin: 0 }`;
  for (const [expected, mistake] of Object.entries(mistakes)) {
    const opened = await open(browser, { colorScheme: "light", viewport: { width: 360, height: 900 } });
    // The server's policy would keep the request from being made.
    const policy = expected.startsWith("asks") ? "" : "default-src 'self'";
    await opened.page.route("**/planted", (route) =>
      route.fulfill({
        contentType: "text/html",
        headers: { "content-security-policy": policy },
        body: `<!DOCTYPE html><html lang="en"><title>x</title><link rel="stylesheet" href="/planted.css"><main><h1>x</h1>${mistake}</main></html>`,
      }),
    );
    await opened.page.route("**/planted.css", (route) => route.fulfill({ contentType: "text/css", body: style }));
    await opened.page.goto("/planted");
    await inspect(opened);
    await opened.page.context().close();
    const found = problems.splice(0);
    if (!found.some((problem) => problem.includes(expected))) {
      problems.push(`not found: ${expected}; found: ${found.join("; ") || "nothing"}`);
      return;
    }
  }
}

const browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox", "--disable-gpu"] });
try {
  if (what === "member") {
    await follows(browser);
    const trial = await tries(browser);
    await look(browser, ["/", "/trials", trial, `/trace?id=${await someTrace()}`, searches[0]]);
  } else if (what === "worst") {
    await look(browser, ["/", "/trials", "/trials/00000000000000aa", "/trace?id=0af7651916cd43dd8448eb211c80319c", ...searches]);
  } else if (what.endsWith("report")) {
    await (what === "planted-report" ? plantedReport(browser) : report(browser));
    if (what === "worst-report") await isText(browser);
  } else {
    await planted(browser);
  }
} finally {
  await browser.close();
}
for (const problem of new Set(problems)) console.error(problem);
process.exitCode = problems.length > 0 ? 1 : 0;
