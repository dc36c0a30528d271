// The page with the real trainer, in Chromium.

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { PATIENCE, SECOND, WEBGPU, WHOLE, hasTerminal, host, open, shots, staged, trainInTerminal } from "./helpers.mjs";

// Evaluated often and with a small panel, so that figures come early.
const SHORT = "version=1&preset=browser&seed=7&evaluate_every=10&probe_set=256";

describe("on the CPU", { timeout: WHOLE }, () => {
  const stage = staged();

  test("it loads, says which device and why, where the rows come from, and trains", async () => {
    const reader = await stage.open(`${SHORT}&sample=off`);
    await reader.steps(1);
    assert.match(await reader.text("device-badge"), /CPU/);
    await reader.part("device-badge").hover();
    assert.match(await reader.text("device-card"), /CPU[^]*\w+ \w+ \w+/);
    assert.match(await reader.text("data-badge"), /Synthetic/);
    const auc = () => reader.text("auc-DUIA-low");
    await reader.until("an AUC", async () => /^0\.\d{4} ± 0\.\d{4}$/.test(await auc()));
    assert.match(await reader.text("lift-low"), /[+−]0\.\d{4} \[[+−]0\.\d{4}, [+−]0\.\d{4}\]/);
    const early = await reader.picture("field");
    const step = await reader.step();
    await reader.steps(step + 60);
    assert.notEqual(await reader.picture("field"), early, "the field has moved");
    assert.deepEqual(reader.wrong, [], "no other origin, no error in the console");
    await reader.close();
  });

  test("pause really pauses, a step is one step, play goes on", async () => {
    const reader = await stage.open(SHORT);
    await reader.steps(5);
    await reader.page.keyboard.press("Space");
    await reader.phase("Paused");
    const step = await reader.step();
    await reader.page.waitForTimeout(2 * SECOND);
    assert.equal(await reader.step(), step, "nothing moves while paused");
    await reader.page.keyboard.press(".");
    await reader.until("one step", async () => (await reader.step()) === step + 1);
    await reader.page.waitForTimeout(SECOND);
    assert.equal(await reader.step(), step + 1, "one step and no more");
    await reader.press("play");
    await reader.steps(step + 5);
    await reader.part("play").dblclick();
    await reader.phase("Paused");
    await reader.page.waitForTimeout(SECOND);
    assert.equal(await reader.text("phase"), "Paused", "a double click is one press");
    await reader.close();
  });

  test("reset starts again with the same figures", async () => {
    const reader = await stage.open(`${SHORT}&autoplay=off`);
    const run = async () => {
      await reader.phase("Paused");
      await reader.walk(30);
      await reader.until("the figures of step 30", async () => / step 30,/.test(await reader.text("auc-table")));
      return reader.figures();
    };
    const first = await run();
    await reader.press("reset");
    await reader.until("step 0", async () => (await reader.step()) === 0);
    assert.equal(await run(), first);
    await reader.close();
  });

  test("a run that is ended early is tested like any other", async () => {
    const reader = await stage.open(`${SHORT}&sample=off&rows=60000&autoplay=off`);
    await reader.playBriskly();
    await reader.steps(11);
    await reader.press("finish");
    await reader.phase("Finished early");
    const step = await reader.step();
    assert.ok(step >= 11 && step < 187, `step ${step} of 187`);
    assert.match(await reader.text("auc-table"), /whole test/);
    assert.ok(await reader.part("finish").isDisabled(), "there is nothing left to end");
    assert.deepEqual(reader.wrong, []);
    await reader.close();
  });

  test("a slow run is slow", async () => {
    const reader = await stage.open(`${SHORT}&autoplay=off`);
    await reader.phase("Paused");
    await reader.part("speed").selectOption("slow");
    await reader.press("play");
    await reader.steps(1);
    // Both from the page, at one moment: an answer may be late.
    const read = () => reader.part("step-count").evaluate((count) => [Number(count.innerText), performance.now() / 1_000]);
    const [first, begun] = await read();
    await reader.steps(first + 6);
    const [last, ended] = await read();
    const [done, seconds] = [last - first, ended - begun];
    // Two steps that were under way may come together.
    assert.ok(done <= 2 * seconds + 2, `${done} steps in ${seconds} s at 2 steps/s`);
    await reader.close();
  });

  test("a new seed is a new run and stands in the link", async () => {
    const reader = await stage.open(`${SHORT}&autoplay=off`);
    await reader.phase("Paused");
    await reader.part("seed").fill("11");
    await reader.part("seed").press("Enter");
    await reader.until("the link", async () => /seed=11/.test(reader.page.url()));
    assert.match(reader.page.url(), /evaluate_every=10/, "the rest of the link stays");
    await reader.part("seed").fill("many");
    await reader.part("seed").press("Enter");
    await reader.until("a notice", async () => /seed = many/.test(await reader.text("notice")));
    assert.match(reader.page.url(), /seed=11/);
    await reader.close();
  });

  test("models are chosen on the page, race on the same batches and stand in the link", async () => {
    const reader = await stage.open(`${SHORT}&sample=off&autoplay=off`);
    await reader.phase("Paused");
    await reader.press("models");
    assert.ok(await reader.part("model-ple").isDisabled(), "the baseline stays");
    for (const key of ["uie", "duia-items", "popularity"]) await reader.part(`model-${key}`).check();
    await reader.press("race-these");
    await reader.until("the link", async () => /variants=ple%2Cuie%2Cduia%2Cduia-items%2Cpopularity/.test(reader.page.url()));
    await reader.phase("Paused");
    await reader.press("play");
    for (const name of ["PLE", "UIE", "DUIA u+i", "popularity"]) {
      await reader.until(`${name}'s AUC`, async () => /^0\.\d{4}/.test(await reader.text(`auc-${name}-low`)));
    }
    assert.match(await reader.text("lift-low"), /^DUIA u\+i minus PLE:/, "the last one that is trained");
    const lift = await reader.text("lift-low");
    await reader.press("against-popularity-low");
    await reader.until("another comparison", async () => /^popularity minus PLE:/.test(await reader.text("lift-low")));
    assert.notEqual(await reader.text("lift-low"), lift);
    const clusters = reader.part("clusters");
    assert.deepEqual(await clusters.locator("option").allInnerTexts(), ["UIE: users", "DUIA: users", "DUIA: items", "DUIA u+i: users", "DUIA u+i: items"]);
    await clusters.selectOption("DUIA u+i: items");
    await reader.until("its figures", async () => /DUIA u\+i: items/.test(await reader.text("clusters-shown")));
    assert.deepEqual(reader.wrong, []);
    await reader.close();
  });

  test("a race without clusters of users promises none", async () => {
    const reader = await stage.open(`${SHORT}&sample=off&variants=ple,uhse`);
    await reader.until("the items' clusters", async () => /UHSE: items/.test(await reader.text("clusters-shown")));
    await reader.page.getByText("No clusters of users in this race").waitFor();
    assert.equal(await reader.part("loss-clustering").count(), 0, "no loss that no model has");
    await reader.close();
  });

  test("a model goes on from weights that the terminal trained, and a file that does not fit changes nothing", async (context) => {
    if (!(await hasTerminal())) return context.skip("the terminal's program is not built: `cargo build --release`");
    const settings = "users=300&items=1200&categories=40&rows=30000&evaluate_every=10&probe_set=256&seed=7";
    const trained = await trainInTerminal(settings, "duia");
    const reader = await stage.open(`version=1&preset=browser&${settings}&sample=off&autoplay=off`);
    await reader.phase("Paused");
    await reader.press("models");
    const give = (name, buffer) => reader.part("weights").setInputFiles({ name, mimeType: "application/octet-stream", buffer });
    await give("notes.safetensors", Buffer.from("these are no weights"));
    await reader.until("a refusal", async () => (await reader.part("refused").count()) > 0);
    assert.match(await reader.text("refused"), /^notes\.safetensors: [^]* no whole safetensors file/);
    await give("half.safetensors", trained.subarray(0, trained.length / 2));
    await reader.until("another refusal", async () => /^half\.safetensors: /.test(await reader.text("refused")));
    assert.equal(await reader.text("phase"), "Paused");
    await give("duia.safetensors", trained);
    await reader.until("the loaded model", async () => /DUIA goes on from duia\.safetensors/.test(await reader.text("loaded")));
    await reader.until("its figures", async () => /step 0,/.test(await reader.text("auc-table")));
    const area = async (name) => Number((await reader.text(`auc-${name}-all`)).split(" ")[0]);
    assert.ok((await area("DUIA")) > (await area("PLE")) + 0.1, `what is trained beats what is not: ${await reader.text("auc-table")}`);
    await reader.press("play");
    await reader.steps(3);
    assert.deepEqual(reader.wrong, []);
    await reader.close();
  });

  test("a trainer that is killed is noticed, and start again works", async () => {
    // Without locks only silence tells.
    const locks = { before: () => Object.defineProperty(Navigator.prototype, "locks", { value: undefined }) };
    const reader = await stage.open(`${SHORT}&watchdog=5`, locks);
    await reader.steps(5);
    // Slow, so that the beginning after this can be seen.
    await reader.part("speed").selectOption("slow");
    const [worker] = reader.page.workers();
    // Ends the worker from inside, in silence, as a browser short of memory would.
    await worker.evaluate(() => self.close()).catch(() => {});
    await reader.failure(/not answered for \d+ s/);
    await reader.press("restart");
    await reader.until("the banner has gone", async () => (await reader.part("failure").count()) === 0);
    await reader.until("the beginning", async () => (await reader.step()) < 5);
    await reader.steps(5);
    await reader.close();
  });

  test("a trainer that cannot be loaded is said", async () => {
    const context = await stage.browser.newContext();
    await context.route("**/worker_bg.wasm", (route) => route.abort());
    const page = await context.newPage();
    await page.goto(stage.site.url);
    const failure = page.getByTestId("failure").filter({ hasText: "The trainer could not start: worker_bg.wasm could not be fetched" });
    await failure.waitFor({ timeout: PATIENCE });
    await context.close();
  });

  test("a page whose own program does not load says so", async () => {
    const context = await stage.browser.newContext();
    await context.route("**/page-*_bg.wasm", (route) => route.abort());
    const page = await context.newPage();
    await page.goto(stage.site.url);
    await page.getByRole("alert").filter({ hasText: "could not start" }).waitFor({ timeout: PATIENCE });
    await context.close();
  });

  test("bad values in the link are said, and the page lives", async () => {
    const reader = await stage.open("seed=minus&batch=7&preset=huge&theme=pink&device=toaster&watchdog=1e9&nobody=knows&probe_set=256&%zz");
    await reader.steps(1);
    const notice = await reader.text("notice");
    for (const key of ["seed = minus", "batch = 7", "preset = huge", "theme = pink", "device = toaster", "watchdog = 1e9"]) {
      assert.ok(notice.includes(key), `${key} in: ${notice}`);
    }
    assert.match(notice, /`nobody` is not a setting/, "a key that nobody knows may be a slip of the pen");
    assert.deepEqual(reader.wrong, []);
    await reader.close();
  });

  test("training leaves the main thread free", async () => {
    const reader = await stage.open("preset=browser&sample=off&device=cpu");
    await reader.steps(1);
    const metrics = await reader.page.context().newCDPSession(reader.page);
    await metrics.send("Performance.enable");
    // Processor time, and not how long a task takes: on a busy machine every task is long.
    const spent = async () => {
      const { metrics: figures } = await metrics.send("Performance.getMetrics");
      return ["ThreadTime", "ProcessTime"].map((name) => figures.find((one) => one.name === name).value);
    };
    const [threadBefore, allBefore] = await spent();
    await reader.steps((await reader.step()) + 100);
    const [thread, all] = await spent();
    const share = (thread - threadBefore) / (all - allBefore);
    // Drawing takes a quarter. Training on this thread would fill it.
    assert.ok(share < 0.75, `of the page's processor time the main thread took ${Math.round(100 * share)} %`);
    await reader.close();
  });

  test("everything answers to the keyboard", async () => {
    const reader = await stage.open(`${SHORT}&autoplay=off`);
    await reader.phase("Paused");
    await reader.page.keyboard.press("?");
    await reader.part("help").waitFor({ state: "visible" });
    await reader.page.keyboard.press("Escape");
    await reader.part("help").waitFor({ state: "hidden" });
    await reader.part("theme").focus();
    await reader.page.keyboard.press("Enter");
    await reader.page.waitForFunction(() => document.documentElement.dataset.theme === "light");
    await reader.link(/theme=light/);
    await reader.close();
  });

  test("it works in a sub-folder", async () => {
    const folder = await host("/some/folder/");
    const reader = await open(stage.browser, folder, SHORT);
    await reader.steps(3);
    assert.deepEqual(reader.wrong, []);
    await reader.close();
    await folder.close();
  });

  test("screenshots", { skip: !shots }, async () => {
    await mkdir(shots, { recursive: true });
    const sizes = { phone: [390, 844], laptop: [1280, 800], projector: [1920, 1080] };
    for (const [name, [width, height]] of Object.entries(sizes)) {
      for (const theme of ["light", "dark"]) {
        const reader = await stage.open(`preset=browser&theme=${theme}`, { viewport: { width, height } });
        await reader.steps(150);
        await reader.page.screenshot({ path: join(shots, `${name}-${theme}.png`) });
        await reader.page.screenshot({ path: join(shots, `${name}-${theme}-whole.png`), fullPage: true });
        const wide = await reader.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(wide <= 0, `${name}: ${wide} px too wide`);
        await reader.press("models");
        await reader.page.screenshot({ path: join(shots, `${name}-${theme}-models.png`) });
        const list = await reader.page.locator(".menu-body").boundingBox();
        assert.ok(list.x >= 0 && list.x + list.width <= width, `${name}: the list of models is outside the window`);
        await reader.close();
      }
    }
    const many = await stage.open("preset=browser&variants=ple,uie,uie-upbe,duia,duia-items,popularity&evaluate_every=25");
    await many.steps(150);
    await many.page.screenshot({ path: join(shots, "many-whole.png"), fullPage: true });
    await many.close();
  });
});

describe("with WebGPU", { timeout: WHOLE }, () => {
  const stage = staged({ flags: WEBGPU });

  test("it trains on the graphics card and says so", async () => {
    const reader = await stage.open(`${SHORT}&watchdog=120&device=gpu`);
    await reader.steps(2, 4 * PATIENCE);
    assert.match(await reader.text("device-badge"), /WebGPU/);
    await reader.part("device-badge").hover();
    assert.match(await reader.text("device-card"), /Self-test/);
    const step = await reader.step();
    await reader.steps(step + 2);
    await reader.close();
  });

  test("where nobody asked for a device both are timed, the faster trains, and the card says how much faster", async () => {
    const reader = await stage.open(`${SHORT}&watchdog=120`);
    await reader.steps(2, 4 * PATIENCE);
    const badge = await reader.text("device-badge");
    await reader.part("device-badge").hover();
    const card = await reader.text("device-card");
    if (/WebGPU/.test(badge)) assert.match(card, /A step of these models takes the CPU [\d.]+ times as long/);
    else assert.match(card, /agrees with the CPU, and takes [\d.]+ times as long for a step of these models\. It trains where you ask for it\. So the CPU trains/);
    await reader.close();
  });
});
