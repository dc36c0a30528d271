// What the tests share: a static host for the built page, a browser, and the page as a person reads it.
//
// DUIA_DIST    the built folder (default: dist beside the repository's index.html)
// DUIA_CHROME  the browser's program (default: Debian's chromium)
// DUIA_BIN     the terminal's program (default: of the release build)
// DUIA_SHOTS   where screenshots go; without it none are taken

import { createServer } from "node:http";
import { execFile } from "node:child_process";
import { access, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { createRequire } from "node:module";
import { extname, join, normalize } from "node:path";
import { after, before } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { chromium } from "playwright-core";

const here = fileURLToPath(new URL(".", import.meta.url));
export const dist = process.env.DUIA_DIST ?? join(here, "../../dist");
const executablePath = process.env.DUIA_CHROME ?? "/usr/bin/chromium";
export const shots = process.env.DUIA_SHOTS;
export const target = process.env.CARGO_TARGET_DIR ?? join(here, "../../target");
const terminal = process.env.DUIA_BIN ?? join(target, "release/duia");

// Two slow cores and a GPU made of software: what takes a second on a desk takes a minute there.
export const SECOND = 1_000;
export const PATIENCE = 240 * SECOND;
/** For what takes a few seconds on a machine that does nothing else. */
export const SOON = 90 * SECOND;
/** What no group of tests comes near: it ends one that hangs. */
export const WHOLE = 10 * PATIENCE;

const QUIET = ["--no-sandbox", "--disable-quic", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
export const WEBGPU = ["--enable-unsafe-webgpu"];

const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
};

/** A body that the host never sends, or never ends: a function of what it has to send. */
export const NEVER = { begin: false };
export const UNENDED = { begin: true };

/**
 * Serves the built folder, or another one, under `base` and nothing else, as any static host would. `answer(file, reply)` may change the
 * reply, `{ status, headers, body }`, as a careless host does: other headers, another body, none that ever comes. Where it gives a promise
 * the host waits for it.
 */
export async function host(base = "/", answer = () => {}, folder = dist) {
  await access(join(dist, "index.html")).catch(() => {
    throw new Error(`no built page in ${dist}: run "make page" first, or set DUIA_DIST`);
  });
  const server = createServer(async (request, response) => {
    const path = new URL(request.url, "http://host").pathname;
    const inside = path.startsWith(base) ? normalize(path.slice(base.length)) : "..";
    const file = inside === "." || inside === "" ? "index.html" : inside.endsWith("/") ? `${inside}index.html` : inside;
    const body = file.startsWith("..") ? null : await readFile(join(folder, file)).catch(() => null);
    const headers = { "content-type": TYPES[extname(file)] ?? "application/octet-stream" };
    const reply = { status: body ? 200 : 404, headers, body: body ?? "" };
    await answer(file, reply);
    if (reply.body === NEVER) return;
    response.writeHead(reply.status, reply.headers);
    if (reply.body === UNENDED) response.write("begun");
    else response.end(reply.body);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const origin = `http://127.0.0.1:${server.address().port}`;
  return { origin, url: origin + base, close: () => new Promise((resolve) => server.close(resolve).closeAllConnections()) };
}

/** The text of the built page. */
export const builtPage = () => readFile(join(dist, "index.html"), "utf8");

/** Where the built page lies. */
export const builtFile = () => `file://${join(dist, "index.html")}`;

/** Runs `code` in the worker after its program is read and before it starts. Init scripts do not reach workers. */
export const inWorker = (code) => (page) =>
  page.route("**/worker_loader.js", async (route) => {
    const answer = await route.fetch();
    await route.fulfill({ response: answer, body: `${code}\n${await answer.text()}` });
  });

/** A small run, and the first step of a lesson on it. */
export const SMALL = "users=400&items=1600&categories=40&rows=60000&evaluate_every=10&probe_set=256";
export const LESSON_STEP = `## First
set: ${SMALL}
ask: Do quiet users gain?
- gain: yes
- loss: no, they lose
- open: nobody can say
run: step 10
answer: quiet-gain
explain: That is what these rows say.
highlight: race
`;

/** Random numbers of a seed, in `0..1` (mulberry32). */
export function seeded(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Whether the terminal's program is built. */
export const hasTerminal = () => access(terminal).then(() => true, () => false);

/** What the terminal's program prints. */
export async function askTerminal(...args) {
  const { stdout, stderr } = await promisify(execFile)(terminal, args);
  return stdout + stderr;
}

/** Trains in the terminal with these settings, and gives the bytes of a model's weights. */
export async function trainInTerminal(settings, model) {
  const folder = await mkdtemp(join(tmpdir(), "duia-weights-"));
  const set = settings.split("&").flatMap((pair) => ["--set", pair]);
  const run = ["train", "--quiet", "--device", "cpu", ...set, "--weights-out", join(folder, "weights"), "--out", join(folder, "run")];
  try {
    await promisify(execFile)(terminal, run);
    return await readFile(join(folder, "weights", `${model}.safetensors`));
  } finally {
    await rm(folder, { recursive: true });
  }
}

const AXE = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

/** What axe finds wrong, a line each. */
export async function faults(page) {
  await page.evaluate(AXE);
  const found = await page.evaluate(
    (values) => globalThis.axe.run(document, { runOnly: { type: "tag", values }, rules: { "label-content-name-mismatch": { enabled: true } } }),
    RULES,
  );
  return found.violations.flatMap(({ id, nodes }) => nodes.map(({ target, failureSummary }) => `${id} ${target}: ${failureSummary}`));
}

export const launch = (flags = []) => chromium.launch({ executablePath, args: [...QUIET, ...flags] });

/**
 * Opens the page at a link. What is wrong on the way is collected: requests to other origins, errors in the console,
 * exceptions. A sample that is not there is no error: the page asks for it to find out.
 */
export async function open(browser, site, hash = "", options = {}) {
  const { before, prepare, ...look } = options;
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...look });
  context.setDefaultTimeout(PATIENCE);
  const page = await context.newPage();
  const wrong = [];
  page.on("request", (request) => {
    if (!request.url().startsWith(site.origin) && !/^(data|blob):/.test(request.url())) wrong.push(`asked ${request.url()}`);
  });
  page.on("console", (message) => {
    const optional = message.location().url.endsWith("assets/sample.bin");
    if (message.type() === "error" && !optional) wrong.push(`console: ${message.text()} ${message.location().url}`);
  });
  page.on("pageerror", (error) => wrong.push(`exception: ${error}`));
  if (before) await page.addInitScript(before);
  if (prepare) await prepare(page);
  await page.goto(site.url + (/^[?#]/.test(hash) ? hash : `#${hash}`));
  return new Reader(page, wrong);
}

/** What a group of tests stands on: the built page on a host, and a browser, from before its first test until after its last. */
export function staged({ answer, flags } = {}) {
  const stage = { open: (hash, options) => open(stage.browser, stage.site, hash, options) };
  before(async () => {
    stage.site = await host("/", answer);
    stage.browser = await launch(flags);
  });
  after(async () => {
    await stage.browser?.close();
    await stage.site?.close();
  });
  return stage;
}

/** Someone who waits for what the page shows. Whoever is one says what a part's `text` is, the `step`, and the `situation`. */
export class Patient {
  /** Waits until `look` holds, gives it, and says what the page showed when it does not. */
  async until(what, look, patience = PATIENCE) {
    const end = Date.now() + patience;
    while (Date.now() < end) {
      const value = await look();
      if (value) return value;
      await new Promise((done) => setTimeout(done, 100));
    }
    throw new Error(`${what}: not within ${patience / SECOND} s. The page says: ${await this.situation()}`);
  }

  phase(words) {
    return this.until(`"${words}"`, async () => (await this.text("phase")) === words);
  }

  steps(least, patience) {
    return this.until(`step ${least}`, async () => (await this.step()) >= least, patience);
  }

  /** Presses Step so many times, each after the one before is done. */
  async walk(steps) {
    const first = await this.step();
    for (let done = 1; done <= steps; done += 1) {
      await this.press("step");
      await this.until(`step ${first + done}`, async () => (await this.step()) === first + done);
    }
  }

  async step() {
    return Number(await this.text("step-count"));
  }
}

/** The page as a person reads and works it. */
class Reader extends Patient {
  constructor(page, wrong) {
    super();
    this.page = page;
    this.wrong = wrong;
  }

  part(id) {
    return this.page.getByTestId(id);
  }

  text(id) {
    return this.part(id).innerText();
  }

  press(id) {
    return this.part(id).click();
  }

  /** Waits until the page's address is like this. */
  link(pattern) {
    return this.until(`the link ${pattern}`, () => pattern.test(this.page.url()));
  }

  /** Plays at ten steps a second, so that a short run goes on while somebody looks, on a fast machine too. Before it has begun. */
  async playBriskly() {
    await this.part("speed").selectOption("brisk");
    await this.press("play");
  }

  async situation() {
    const read = async (id) => ((await this.part(id).count()) ? await this.part(id).first().innerText() : "-");
    return `${await read("phase")}, step ${await read("step-count")}, device ${await read("device-badge")}, failure ${await read("failure")}`;
  }

  /** Waits until it plays on, and gives the step. A run that ends meanwhile has played too. */
  async plays(patience) {
    await this.until("it plays", async () => /^(Training|Finished)/.test(await this.text("phase")), patience);
    const step = await this.step();
    await this.until(`a step after ${step}`, async () => (await this.step()) > step || /^Finished/.test(await this.text("phase")), patience);
    return step;
  }

  /**
   * Waits for the banner of a failure in such words, and gives all of them. A slow machine may first read of a silence, which the next
   * message takes back.
   */
  failure(words = /^(?!The trainer('s program)? has not (answered|arrived))/, patience) {
    return this.until(`a failure like ${words}`, async () => {
      const [said = ""] = await this.part("failure").allInnerTexts();
      return said && words.test(said) && said;
    }, patience);
  }

  /** The figures of the race and the losses. */
  async figures() {
    const table = await this.text("auc-table");
    const losses = await Promise.all(["loss-ranking", "loss-auxiliary", "loss-clustering"].map((id) => this.text(id)));
    return [table, ...losses].join("\n");
  }

  picture(id) {
    return this.part(id).evaluate((canvas) => canvas.toDataURL());
  }

  close() {
    return this.page.context().close();
  }
}
