// The file that plays a run again: made by the page, opened without a network.

import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { PATIENCE, SMALL, WHOLE, faults, shots, staged } from "./helpers.mjs";

const NAMES = { low: "Quiet users", high: "Active users", all: "All users" };

describe("the replay", { timeout: WHOLE }, () => {
  const stage = staged();
  let folder, file, run, live;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "duia-replay-"));
    file = join(folder, "duia-run.html");
    const reader = await stage.open(`${SMALL}&seed=7&device=cpu&sample=off&variants=ple,duia,uie&autoplay=off`);
    await reader.playBriskly();
    await reader.steps(60);
    await reader.press("finish");
    await reader.phase("Finished early");
    const [download] = await Promise.all([reader.page.waitForEvent("download"), reader.press("save-html")]);
    assert.equal(download.suggestedFilename(), "duia-run.html");
    await download.saveAs(file);
    live = { findings: await reader.text("headline"), link: reader.page.url() };
    await reader.close();
    run = JSON.parse(/<script type="application\/json" id="run">(.*)<\/script>/.exec(await readFile(file, "utf8"))[1]);
  });
  after(() => rm(folder, { recursive: true, force: true }));

  /** The file in a browser that reaches nobody. */
  async function play(look = {}) {
    const context = await stage.browser.newContext({ viewport: { width: 1280, height: 900 }, offline: true, ...look });
    context.setDefaultTimeout(PATIENCE);
    const page = await context.newPage();
    const wrong = [];
    page.on("request", (request) => request.url() !== `file://${file}` && wrong.push(`asked ${request.url()}`));
    page.on("console", (message) => message.type() === "error" && wrong.push(message.text()));
    page.on("pageerror", (error) => wrong.push(`${error}`));
    await page.goto(`file://${file}`);
    return { page, wrong, part: (id) => page.getByTestId(id), close: () => context.close() };
  }
  const scrub = (page, to) => page.getByTestId("scrubber").fill(String(to));
  /** The exact figures on show, a row each. */
  const figures = (page) => page.locator("#everything tbody tr").evaluateAll((rows) => rows.map((row) => [...row.cells].map((cell) => cell.textContent)));

  test("it is small, opens at the end, and says what the page said there", async () => {
    assert.ok((await stat(file)).size < 2_000_000);
    const { page, part, wrong, close } = await play();
    assert.match(await part("place").innerText(), /^final test, after step \d+/);
    const [, low] = /Quiet users: (.*?)\s+Active users: (.*)/.exec(live.findings);
    assert.equal(await part("finding-low").innerText(), `${low.trim()}.`);
    assert.match(await page.locator(".recorded").innerText(), /A recorded run of \d{4}-\d\d-\d\d[^]*synthetic: no real user is in them[^]*To make it again: duia train --preset browser --seed 7 [^]*--set variants=ple,duia,uie/);
    assert.equal(await page.locator(".recorded a").getAttribute("href"), live.link);
    if (shots) await page.screenshot({ path: join(shots, "replay.png"), fullPage: true });
    assert.deepEqual(wrong, []);
    await close();
  });

  test("at each step the slider shows the figures of that step, to the last digit", async () => {
    const { page, part, wrong, close } = await play();
    await page.locator("summary").filter({ hasText: "Every figure" }).click();
    const last = Number(await part("scrubber").getAttribute("max"));
    const seen = new Set();
    for (const at of [0, Math.floor(last / 3), Math.floor(last / 2), last - 1, last]) {
      await scrub(page, at);
      const place = await part("place").innerText();
      const step = Number(/step ([\d,]+)/.exec(place)[1].replaceAll(",", ""));
      const isFinal = place.startsWith("final");
      const probed = run.evaluations.filter((one) => one.kind === "probe-set" && one.step <= step).at(-1);
      const measured = isFinal ? run.evaluations.find(({ kind }) => kind === "whole") : probed;
      seen.add(measured?.step);
      const rows = await figures(page);
      for (const [n, model] of (measured?.models ?? []).entries()) {
        for (const [group, name] of Object.entries(NAMES)) {
          for (const [figure, pair] of [["AUC", model.auc[group]], ["difference", model.lift?.[group]]].filter(([, pair]) => pair)) {
            const row = rows.find((row) => row[0].startsWith(`${figure}, `) && row[1] === run.models[n].name && row[2] === name);
            assert.deepEqual(row.slice(3).map(Number), pair, `${place}: ${row}`);
          }
        }
      }
      for (const { model, side, probed: on, tested } of run.clusters) {
        const health = isFinal ? tested : on.filter((one) => one.step <= step).at(-1);
        const name = run.models.find(({ key }) => key === model).name;
        const row = rows.find((row) => row[0] === "clusters: hit_rate_1" && row[1] === name && row[2] === side);
        assert.equal(row && Number(row[3]), health?.hit_rate_1, place);
      }
      const found = measured?.models[1].lift.low[0];
      if (found !== undefined) assert.ok((await part("finding-low").innerText()).startsWith(`${found < 0 ? "−" : "+"}.${Math.abs(found).toFixed(3).slice(2)}`), place);
      else assert.equal(await part("finding-low").innerText(), "not measured yet.");
      // What is drawn ends where the slider is.
      const ends = await page.locator("section.chart").first().evaluate((chart) => [chart.querySelector("clipPath rect").width.baseVal.value, chart.querySelector(".cursor").x1.baseVal.value]);
      assert.equal(ends[0], ends[1] + 1);
    }
    assert.ok(seen.size >= 3, `${[...seen]}`);
    assert.deepEqual(wrong, []);
    await close();
  });

  test("the pictures move with the slider", async () => {
    assert.ok(run.pictures.length > 3, `${run.pictures.length} pictures`);
    const { page, close } = await play();
    const look = () => page.locator(".field svg").innerHTML();
    const end = await look();
    await scrub(page, 0);
    assert.notEqual(await look(), end);
    await close();
  });

  test("it plays, pauses and walks by keys, on a phone and in the dark too", async () => {
    const { page, part, wrong, close } = await play({ viewport: { width: 390, height: 800 }, colorScheme: "dark" });
    const at = async () => Number(await part("scrubber").inputValue());
    const last = await at();
    await page.keyboard.press("Space");
    assert.equal(await part("play").innerText(), "Pause");
    await page.waitForFunction(() => document.querySelector("input[type=range]").value > 0);
    assert.ok((await at()) < last);
    await page.keyboard.press("Space");
    assert.equal(await part("play").innerText(), "Play");
    const paused = await at();
    await page.keyboard.press("ArrowRight");
    assert.equal(await at(), paused + 1);
    await page.keyboard.press("Home");
    assert.equal(await at(), 0);
    await page.keyboard.press("End");
    assert.equal(await at(), last);
    await part("scrubber").focus();
    await page.keyboard.press("ArrowLeft");
    assert.equal(await at(), last - 1, "one step, not two");
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "nothing is wider than the screen");
    assert.equal(await page.evaluate(() => getComputedStyle(document.body).backgroundColor), "rgb(16, 22, 26)");
    if (shots) await page.screenshot({ path: join(shots, "replay-phone.png"), fullPage: true });
    assert.deepEqual(wrong, []);
    await close();
  });

  test("it is accessible", async () => {
    // The checker is a script that the file's own policy would forbid.
    const { page, close } = await play({ bypassCSP: true });
    assert.deepEqual(await faults(page), []);
    await close();
  });

  test("its policy lets nothing in and nothing out", async () => {
    const { page, close } = await play();
    const outcome = await page.evaluate(async () => {
      const script = document.createElement("script");
      script.textContent = "globalThis.foreign = true";
      document.body.append(script);
      const asked = await fetch("http://127.0.0.1:9/").then(() => "went out", (error) => `${error}`);
      return [globalThis.foreign, asked];
    });
    assert.equal(outcome[0], undefined);
    assert.match(outcome[1], /Failed to fetch|violates/);
    await close();
  });
});
