// <duia-live>, as somebody uses it who puts a run into a page of their own.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { assemble } from "../../web/element/assemble.mjs";
import { NEVER, PATIENCE, SECOND, SMALL, SOON, WHOLE, dist, host, launch, shots } from "./helpers.mjs";

const RUN = `${SMALL}&device=cpu&sample=off`;

describe("the element", { timeout: WHOLE }, () => {
  let folder, site, other, browser;
  /** Pages around the element, by name. */
  const pages = new Map();
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "duia-npm-"));
    await assemble("npm", dist, folder);
    site = await host("/", (file, reply) => {
      if (file === "silent/index.html") reply.body = NEVER;
      const { html, headers } = pages.get(file) ?? {};
      if (html) Object.assign(reply, { status: 200, body: html, headers: { "content-type": "text/html", ...headers } });
    }, folder);
    other = await host("/some/folder/");
    browser = await launch();
  });
  after(async () => {
    await browser?.close();
    await Promise.all([site?.close(), other?.close()]);
    await rm(folder, { recursive: true, force: true });
  });

  /** A page with these elements, and what went wrong on it. */
  async function show(elements, { headers, ...look } = {}) {
    const name = `around-${pages.size}.html`;
    pages.set(name, { headers, html: `<!doctype html><html lang="en"><title>Around</title><script type="module" src="duia-live.js"></script>${elements}` });
    const page = await browser.newPage({ viewport: { width: 1100, height: 900 }, ...look });
    page.setDefaultTimeout(PATIENCE);
    const wrong = [];
    page.on("pageerror", (error) => wrong.push(`exception: ${error}`));
    await page.goto(site.url + name, { waitUntil: "domcontentloaded" });
    return { page, wrong };
  }

  /** The page in an element, by the element's id. */
  function inside(page, id) {
    const frame = page.locator(`#${id} iframe`).contentFrame();
    const part = (name) => frame.getByTestId(name);
    return {
      part,
      element: page.locator(`#${id}`),
      link: () => part("phase").evaluate(() => location.href),
      async links(pattern) {
        const end = Date.now() + SOON;
        while (!pattern.test(await this.link())) {
          assert.ok(Date.now() < end, `${pattern}: ${await this.link()}`);
          await new Promise((done) => setTimeout(done, 100));
        }
      },
      step: async () => Number(await part("step-count").innerText()),
      trains: () => part("phase").filter({ hasText: /Training|Finished/ }).waitFor({ timeout: PATIENCE }),
      async passes(step) {
        const end = Date.now() + PATIENCE;
        while ((await this.step()) < step) {
          assert.ok(Date.now() < end, `no step ${step}`);
          await new Promise((done) => setTimeout(done, 100));
        }
      },
    };
  }
  const notice = (page, id) => page.locator(`#${id} p[role=status]`);

  test("two on one page train side by side, one of them from another host, each by its own attributes", async () => {
    const { page, wrong } = await show(`
      <duia-live id="a" settings="${RUN.replaceAll("&", "&amp;")}" seed="3" hide="data,keep" title="The first"></duia-live>
      <duia-live id="b" src="${other.url}" settings="${RUN.replaceAll("&", "&amp;")}" seed="4" variants="ple,uie" theme="dark"></duia-live>`);
    const [a, b] = [inside(page, "a"), inside(page, "b")];
    await Promise.all([a.trains(), b.trains()]);
    await Promise.all([a.passes(20), b.passes(20)]);
    assert.match(await a.link(), /page\/index\.html#.*seed=3.*embed=1/);
    assert.match(await b.link(), /some\/folder\/#.*seed=4/);
    assert.equal(await a.part("panel-data").count(), 0);
    assert.equal(await b.part("panel-data").count(), 1);
    assert.match(await b.part("auc-table").innerText(), /UIE/);
    assert.equal(await a.element.locator("iframe").getAttribute("title"), "The first");
    assert.match(await b.element.locator("iframe").getAttribute("title"), /\w/);
    // As tight as a page with a module and a worker can be kept.
    assert.equal(await a.element.locator("iframe").getAttribute("sandbox"), "allow-scripts allow-same-origin allow-downloads allow-forms");
    // It takes no more of the window than it needs, and none of its tool is cut off.
    const height = (one) => one.element.evaluate((element) => element.getBoundingClientRect().height);
    assert.equal(await height(a), 0.9 * 900);
    await page.addStyleTag({ content: "duia-live { max-height: none !important; }" });
    // The page tells its height, which a figure that comes may change, and the element follows.
    const end = Date.now() + SOON;
    for (let off = Infinity; off > 1; ) {
      const whole = await a.part("phase").evaluate(() => document.body.getBoundingClientRect().height);
      off = Math.abs((await height(a)) - whole);
      assert.ok(off <= 1 || Date.now() < end, `${off} px from ${whole}`);
    }
    if (shots) await page.screenshot({ path: join(shots, "element-two.png"), fullPage: true });
    assert.deepEqual(wrong, []);
    await page.close();
  });

  test("the look changes under a run that goes on, a setting begins another, and Back stays with the page around", async () => {
    const { page, wrong } = await show(`<duia-live id="a" settings="${RUN.replaceAll("&", "&amp;")}" seed="3"></duia-live>`);
    const a = inside(page, "a");
    await a.trains();
    await a.passes(15);
    // What the visitor has changed in the meantime stays too.
    await a.part("pause").or(a.part("play")).first().click();
    const step = await a.step();
    await a.element.evaluate((element) => Object.assign(element, { theme: "dark", hide: "losses" }));
    await a.part("panel-losses").waitFor({ state: "detached", timeout: SOON });
    assert.equal(await a.part("phase").evaluate(() => document.documentElement.dataset.theme), "dark");
    assert.ok((await a.step()) >= step, "the run went on");
    await a.element.evaluate((element) => element.removeAttribute("hide"));
    await a.part("panel-losses").waitFor({ timeout: SOON });
    await a.element.evaluate((element) => (element.lang = "zh-CN"));
    await a.part("step").filter({ hasText: /[\u4e00-\u9fff]/ }).waitFor({ timeout: SOON });
    await a.element.evaluate((element) => element.removeAttribute("lang"));
    await a.part("step").filter({ hasText: "Step" }).waitFor({ timeout: SOON });

    const entries = await page.evaluate(() => history.length);
    await a.element.evaluate((element) => element.setAttribute("seed", "5"));
    await a.links(/seed=5/);
    // Nor does what the visitor sets.
    await a.part("seed").fill("6");
    await a.part("seed").press("Enter");
    await a.links(/seed=6/);
    assert.equal(await page.evaluate(() => history.length), entries);

    await a.element.evaluate((element) => element.setAttribute("lesson", "collapse"));
    await a.part("lesson").waitFor({ timeout: PATIENCE });
    assert.match(await a.part("lesson").innerText(), /step 1 of 3/);
    await a.element.evaluate((element) => element.setAttribute("step", "2"));
    await a.part("lesson").filter({ hasText: "step 2 of 3" }).waitFor({ timeout: PATIENCE });
    assert.deepEqual(wrong, []);
    await page.close();
  });

  test("a page that is not there is said in its place, with what the host answers, and a better src shows it", async () => {
    const { page } = await show(`<duia-live id="a" src="nowhere/" autoplay="off"></duia-live>`);
    await notice(page, "a").filter({ hasText: /There is no page at .*\/nowhere\/: the host answers 404\. Check src/ }).waitFor({ timeout: SOON });
    assert.ok(!(await page.locator("#a iframe").isVisible()));
    await page.locator("#a").evaluate((element) => element.setAttribute("src", "page/"));
    await inside(page, "a").part("phase").waitFor({ timeout: PATIENCE });
    await notice(page, "a").waitFor({ state: "hidden", timeout: SOON });
    await page.close();
  });

  test("so is a host that is away, another page, an address that is none, and a policy that forbids the frame", async () => {
    const gone = await host();
    await gone.close();
    const { page } = await show(`
      <script>
        addEventListener("duia-trouble", ({ target, detail }) => (target.dataset.said = detail.message), true);
      </script>
      <duia-live id="gone" src="${gone.url}"></duia-live>
      <duia-live id="foreign" src="example.html"></duia-live>
      <duia-live id="script" src="javascript:document.title='taken'"></duia-live>`);
    await notice(page, "gone").filter({ hasText: "There is no page at" }).waitFor({ timeout: SOON });
    await notice(page, "foreign").filter({ hasText: "what came is not the page of duia" }).waitFor({ timeout: SOON });
    await notice(page, "script").filter({ hasText: /is no address of a page/ }).waitFor({ timeout: SOON });
    assert.equal(await page.title(), "Around");
    assert.match(await page.locator("#gone").getAttribute("data-said"), /There is no page at/);
    await page.close();

    const policy = { "content-security-policy": `script-src ${site.origin} 'unsafe-inline'; frame-src ${site.origin}` };
    const strict = await show(`<duia-live id="a" src="${other.url}"></duia-live><duia-live id="b" autoplay="off"></duia-live>`, { headers: policy });
    await notice(strict.page, "a").filter({ hasText: `it must allow ${other.origin} in frame-src` }).waitFor({ timeout: SOON });
    await inside(strict.page, "b").part("phase").waitFor({ timeout: PATIENCE });
    await strict.page.close();
  });

  test("a page that is late is said after five seconds, with a way to open it alone", async () => {
    const { page } = await show(`<duia-live id="a" src="silent/"></duia-live>`);
    await notice(page, "a").filter({ hasText: "has not answered for 5 s" }).waitFor({ timeout: SOON });
    assert.match(await page.locator("#a a").getAttribute("href"), /\/silent\/#embed=1$/);
    await page.close();
  });

  test("one far below opens when it is nearly in sight, and one that is taken away ends", async () => {
    const { page } = await show(`<div style="height: 5000px"></div><duia-live id="a" loading="lazy" autoplay="off"></duia-live>`);
    await page.waitForTimeout(SECOND);
    assert.equal(await page.locator("#a iframe").count(), 0);
    await page.evaluate(() => scrollTo(0, 5000));
    await inside(page, "a").part("phase").waitFor({ timeout: PATIENCE });
    const [worker] = await Promise.all([page.workers()[0] ?? page.waitForEvent("worker"), inside(page, "a").part("phase").waitFor()]);
    const closed = new Promise((done) => worker.once("close", done));
    await page.locator("#a").evaluate((element) => element.remove());
    await closed;
    await page.close();
  });

  test("the example of the package shows two runs", async () => {
    const page = await browser.newPage({ viewport: { width: 1100, height: 900 } });
    page.setDefaultTimeout(PATIENCE);
    await page.goto(`${site.url}example.html`);
    const race = inside(page, "read");
    await race.part("panel-race").waitFor({ timeout: PATIENCE });
    const lesson = page.locator("duia-live[lesson]").locator("iframe").contentFrame();
    await lesson.getByTestId("lesson").waitFor({ timeout: PATIENCE });
    await page.locator("#dark").check();
    await lesson.locator("html[data-theme=dark]").waitFor({ timeout: SOON });
    await page.locator("#window").fill("10");
    await race.links(/history=10/);
    if (shots) await page.screenshot({ path: join(shots, "element-example.png"), fullPage: true });
    await page.close();
  });

  test("npm packs it whole, a server may import it, and TypeScript knows it", async () => {
    const packed = JSON.parse(execFileSync("npm", ["pack", "--dry-run", "--json"], { cwd: folder, encoding: "utf8" }));
    const files = packed[0].files.map(({ path }) => path);
    for (const file of ["duia-live.js", "duia-live.d.ts", "README.md", "LICENSE", "package.json", "page/index.html", "page/worker_bg.wasm", "page/lessons/collapse.md"]) {
      assert.ok(files.includes(file), file);
    }
    execFileSync(process.execPath, ["--input-type=module", "-e", `await import(${JSON.stringify(join(folder, "duia-live.js"))})`]);
    const compile = (code) => {
      const file = join(folder, "use.ts");
      return writeFile(file, code).then(() => {
        const tsc = join(import.meta.dirname, "node_modules/.bin/tsc");
        const options = ["--noEmit", "--strict", "--module", "nodenext", "--target", "es2022", "--lib", "es2022,dom"];
        try {
          return execFileSync(tsc, [...options, file], { encoding: "utf8" });
        } catch ({ stdout }) {
          return stdout;
        }
      });
    };
    const use = (line) => `import "./duia-live.js";\nconst live = document.createElement("duia-live");\n${line}\n`;
    assert.equal(await compile(use('live.preset = "browser"; live.addEventListener("duia-trouble", ({ detail }) => detail.message.trim());')), "");
    assert.match(await compile(use("live.preset = 3;")), /'number' is not assignable/);
    // Attributes that the element has and nobody is told of, or the other way round.
    const declared = [...(await readFile(join(folder, "duia-live.d.ts"), "utf8")).matchAll(/^ {2}(\w+): string \| null;/gm)].map(([, name]) => name);
    const { DuiaLive } = await import(join(folder, "duia-live.js"));
    assert.deepEqual([...declared, "title", "lang"].sort(), [...DuiaLive.observedAttributes].sort());
    const documented = [...(await readFile(join(folder, "README.md"), "utf8")).matchAll(/^\| `(\w+)` \|/gm)].map(([, name]) => name);
    assert.deepEqual(DuiaLive.observedAttributes.filter((name) => !documented.includes(name)), []);
  });
});
