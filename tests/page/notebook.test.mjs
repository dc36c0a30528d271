// The widget for notebooks: its package installed, its example run by a kernel without a front end, and what the kernel then sends shown
// in a browser, whose model is the only part that is made up.
//
// It needs anywidget, nbclient and ipykernel from PyPI, in a virtual environment below the target directory (half a minute, once).

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { appendFile, mkdir, mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { assemble } from "../../web/element/assemble.mjs";
import { PATIENCE, SOON, WHOLE, dist, launch, shots, target } from "./helpers.mjs";

const NEEDED = ["anywidget", "nbclient", "ipykernel", "hatchling"];
const run = promisify(execFile);

/** A Python with what is needed; null, and a line for the end of `make test`, where there is none. */
async function python() {
  const [tmp, folder] = [join(target, "tmp"), join(target, "tmp/notebook-venv")];
  const program = join(folder, "bin/python");
  try {
    await run(program, ["-c", `import ${NEEDED.join(", ")}`]).catch(async () => {
      console.error("Downloading anywidget and a kernel from PyPI (half a minute) …");
      await run("python3", ["-m", "venv", "--clear", folder]);
      await run(program, ["-m", "pip", "install", "--quiet", ...NEEDED]);
    });
    return program;
  } catch (error) {
    await mkdir(tmp, { recursive: true });
    await appendFile(join(tmp, "not-tested.txt"), `NOT TESTED: the widget in a notebook: ${String(error.stderr ?? error).trim().split("\n").at(-1)}\n`);
    return null;
  }
}

/** A notebook's page: it imports a widget's module as a front end does, from a blob, and gives it a model. */
const AROUND = `<!doctype html><html lang="en"><title>A notebook</title><body><script>
  globalThis.show = async (state) => {
    const listeners = new Map();
    const model = {
      get: (name) => state[name],
      set: (name, value) => (state[name] = value),
      save_changes() {},
      on: (name, act) => listeners.set(act, name),
      off: (_, act) => listeners.delete(act),
    };
    const element = document.body.appendChild(document.createElement("div"));
    const { default: widget } = await import(URL.createObjectURL(new Blob([state._esm], { type: "text/javascript" })));
    const clean = widget.render({ model, el: element });
    return {
      state,
      listeners,
      change(name, value) {
        state[name] = value;
        listeners.forEach((on, act) => on === "change:" + name && act());
      },
      end: () => (clean(), element.remove()),
    };
  };
</script>`;

describe("the notebook", { timeout: WHOLE }, () => {
  let folder, kernel, states, site, browser;
  before(async () => {
    const program = await python();
    if (!program) return;
    folder = await mkdtemp(join(tmpdir(), "duia-notebook-"));
    await assemble("notebook", dist, join(folder, "package"));
    const site_packages = join(folder, "installed");
    await run(program, ["-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--target", site_packages, join(folder, "package")]);
    kernel = spawn(program, [join(import.meta.dirname, "notebook.py"), join(folder, "package/live.ipynb")], {
      cwd: folder,
      env: { ...process.env, PYTHONPATH: site_packages },
      stdio: ["pipe", "pipe", "pipe"],
    });
    let said = "";
    kernel.stderr.on("data", (text) => (said += text));
    states = await new Promise((done, failed) => {
      createInterface({ input: kernel.stdout }).once("line", (line) => done(JSON.parse(line)));
      kernel.once("exit", (code) => failed(new Error(`the notebook ended with ${code}: ${said}`)));
    });
    site = createServer((_, response) => response.setHeader("content-type", "text/html").end(AROUND));
    await new Promise((done) => site.listen(0, "127.0.0.1", done));
    browser = await launch();
  });
  after(async () => {
    kernel?.removeAllListeners("exit").stdin.end();
    await browser?.close();
    site?.close();
    if (folder) await rm(folder, { recursive: true, force: true });
  });
  const it = (name, body) =>
    test(name, async (context) => {
      if (!states) return context.skip("no Python with anywidget: see the end of make test");
      const page = await browser.newPage({ viewport: { width: 1100, height: 900 } });
      page.setDefaultTimeout(PATIENCE);
      await page.goto(`http://127.0.0.1:${site.address().port}/`);
      await body(page);
      await page.close();
    });

  it("runs, and its widgets hold what the cells said", async () => {
    const [race, lesson] = states;
    assert.deepEqual([states.length, race.settings, race.theme, lesson.lesson], [2, { history: 10 }, "light", "collapse"]);
    assert.match(race.src, /^http:\/\/127\.0\.0\.1:\d+\/$/);
    assert.equal(race.src, lesson.src, "one server for all");
  });

  it("two widgets show the page that the kernel serves, one trains and one asks", async (page) => {
    await page.evaluate(async (states) => Promise.all(states.map((state) => show({ ...state, device: "cpu" }))), states);
    const frame = (at) => page.locator("duia-live").nth(at).locator("iframe").contentFrame();
    await frame(0).getByTestId("phase").filter({ hasText: "Training" }).waitFor({ timeout: PATIENCE });
    await frame(0).getByTestId("step-count").filter({ hasText: /^[1-9]/ }).waitFor({ timeout: PATIENCE });
    assert.match(await frame(0).getByTestId("phase").evaluate(() => location.href), /history=10/);
    await frame(1).getByTestId("lesson").waitFor({ timeout: PATIENCE });
    if (shots) await page.screenshot({ path: join(shots, "notebook.png"), fullPage: true });
  });

  it("traits that change are followed, and a widget that is closed ends", async (page) => {
    const shown = await page.evaluateHandle((state) => show(state), { ...states[0], autoplay: false, settings: { users: 400, items: 1600, categories: 40, rows: 60000 } });
    const frame = page.locator("duia-live iframe").contentFrame();
    await frame.getByTestId("phase").filter({ hasText: "Paused" }).waitFor({ timeout: PATIENCE });
    await shown.evaluate(({ change }) => change("theme", "dark"));
    await frame.locator("html[data-theme=dark]").waitFor({ timeout: SOON });
    await shown.evaluate(({ change }) => change("seed", 11));
    const end = Date.now() + SOON;
    while ((await frame.getByTestId("seed").inputValue()) !== "11") {
      assert.ok(Date.now() < end, "the seed");
      await new Promise((done) => setTimeout(done, 100));
    }
    assert.ok((await shown.evaluate(({ listeners }) => listeners.size)) > 10);
    assert.equal(await shown.evaluate(({ end, listeners }) => (end(), listeners.size)), 0);
    assert.equal(await page.locator("duia-live").count(), 0);
  });

  it("a page that cannot be reached is said in the cell and in the kernel's trait", async (page) => {
    const shown = await page.evaluateHandle((state) => show({ ...state, src: "http://127.0.0.1:9/" }), states[0]);
    await page.locator("duia-live p[role=status]").filter({ hasText: "There is no page at http://127.0.0.1:9/" }).waitFor({ timeout: SOON });
    assert.match(await shown.evaluate(({ state }) => state.trouble), /There is no page at/);
  });

  it("the kernel serves the page's files and nothing else, and nobody reads its folders", async () => {
    const ask = async (path) => (await fetch(states[0].src + path)).status;
    assert.equal(await ask("worker.js"), 200);
    assert.equal(await ask("lessons/"), 404);
    assert.equal(await ask("../duia-live.js"), 404);
    assert.equal(await ask("%2e%2e/duia-live.js"), 404);
    assert.match((await fetch(`${states[0].src}worker_bg.wasm`)).headers.get("content-type"), /^application\/wasm$/);
  });
});
