// Branching from the past: a person looks back, goes on from there with another setting, and sees both futures.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, test } from "node:test";
import { PATIENCE, SOON, WHOLE, faults, shots, staged } from "./helpers.mjs";

// Sixty-two steps: centres are filled at step 2, and there are marks at 2 and at every fourth step.
const TINY =
  "users=300&items=800&categories=20&rows=20000&evaluate_every=5&probe_set=256&seed=7&sample=off&device=cpu&variants=ple,duia&warm_up=2&autoplay=off";

describe("a branch", { timeout: WHOLE }, () => {
  const stage = staged();
  const rows = (reader) => reader.part("shelf-runs").locator("tbody tr");
  const kept = (reader) => rows(reader).evaluateAll((all) => all.map((row) => [...row.cells].map((cell) => cell.innerText)));
  const isBranch = async (reader) => (await reader.part("branched").count()) > 0;
  const branchable = (reader) => reader.until("a mark", () => reader.part("branch").isEnabled());

  async function begun(options = {}, more = "") {
    const reader = await stage.open(`${TINY}${more}`, options);
    await reader.phase("Paused");
    return reader;
  }

  /** Looks back at a step. */
  async function look(reader, step) {
    await reader.part("look-back").fill(String(step));
    await reader.until(`step ${step}`, async () => (await reader.text("shown-step")) === `as it stood at step ${step}`);
  }

  /** Waits until the page stands at the beginning of a branch. */
  async function stands(reader, step) {
    await reader.until("a branch", async () => (await isBranch(reader)) && (await reader.step()) === step);
    await reader.phase("Paused");
  }

  test("looks as the run did there, goes on as it did, and parts from it by another setting", async () => {
    const reader = await begun();
    assert.ok(await reader.part("branch").isDisabled(), "there is no past yet");
    await reader.walk(14);
    const there = await reader.figures();
    await look(reader, 1);
    assert.ok(await reader.part("branch").isDisabled(), "before the first mark");
    await look(reader, 8);
    const then = await reader.figures();
    assert.notEqual(then, there);
    // From a step between two marks it goes back to the one before, and says so beforehand.
    await look(reader, 9);
    assert.match(await reader.part("branch").getAttribute("title"), /from step 8,/);
    await reader.press("branch");
    await stands(reader, 8);
    assert.equal(await reader.text("branched"), "Branched at step 8. Change a setting that acts from here on, then play.");
    assert.equal(await reader.text("shown-step"), "now");
    await reader.until("the past", async () => (await reader.figures()) === then);
    // The run that was left is a ghost at once, and none of this one is.
    assert.deepEqual((await kept(reader)).map(([name, differs, measured]) => [name.trim(), differs, measured]), [["A", "not branched", "step 10 of 62, on the probe set"]]);
    assert.ok(await reader.part("lay-A").isChecked());
    assert.equal(await reader.page.locator(".acts").count(), 6, "what acts from here on is marked");

    // Nothing changed: the same batches, the same figures.
    await reader.walk(6);
    assert.equal(await reader.text("branched"), "Branched at step 8.");
    assert.equal(await reader.figures(), there);

    // Another setting branches once more from the same step, and parts.
    await reader.part("slide-learning_rate").focus();
    await reader.page.keyboard.press("End");
    await reader.link(/learning_rate=0.03/);
    await stands(reader, 8);
    await reader.until("the past", async () => (await reader.figures()) === then);
    assert.deepEqual((await kept(reader)).map(([, differs]) => differs), ["learning_rate 0.003, branched at step 8", "learning_rate 0.003, not branched"]);
    assert.equal(await reader.part("again-B").count(), 0, "its settings do not make it again");
    assert.equal(await reader.part("again-A").count(), 1);
    assert.ok(await reader.part("more-seeds").isDisabled());
    await reader.walk(6);
    assert.notEqual(await reader.figures(), there);
    await look(reader, 8);
    assert.equal(await reader.figures(), then);
    await reader.press("live");
    // What it is told from outside, too.
    const download = async (id) => {
      const [file] = await Promise.all([reader.page.waitForEvent("download"), reader.press(id)]);
      return readFile(await file.path(), "utf8");
    };
    const record = JSON.parse(await download("save-run"));
    assert.deepEqual([record.branched_at, record.before.map(({ until_step, config }) => [until_step, config.learning_rate])], [8, [[8, 0.003]]]);
    assert.equal(record.config.learning_rate, 0.03);
    const replay = await download("save-html");
    assert.match(replay, /"command":""/);
    assert.match(replay, /"course":\[\{"step":8,"settings":\[\["learning_rate","0.003"\]\]\}\]/);
    await reader.page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    await reader.press("share");
    await reader.until("what the link holds", async () => /from the start, and not the branch/.test(await reader.text("kept")));
    // Back takes the setting back, from the same step.
    await reader.page.goBack();
    await reader.link(/^(?!.*learning_rate)/);
    await stands(reader, 8);
    await reader.walk(6);
    assert.equal(await reader.figures(), there);

    // A setting that cannot change under way begins anew, as does a reset.
    await reader.part("slide-history").focus();
    await reader.page.keyboard.press("Home");
    await reader.link(/history=1(&|$)/);
    await reader.phase("Paused");
    assert.ok(!(await isBranch(reader)));
    assert.equal(await reader.step(), 0);
    assert.match(await reader.text("changes"), /^Each change starts the run anew/);
    assert.deepEqual(reader.wrong, []);
    await reader.close();
  });

  test("of a run that has ended comes to the same end, at full speed, and a reset ends it", async () => {
    const reader = await begun();
    await reader.press("play");
    await reader.phase("Finished");
    const end = await reader.figures();
    await look(reader, 30);
    await reader.press("branch");
    await stands(reader, 28);
    await reader.press("play");
    await reader.phase("Finished");
    await reader.until("the same end", async () => (await reader.figures()) === end);
    assert.match((await kept(reader))[0][2], /^the end, on the whole test set$/);
    // Looking back before the branch, it branches from there: the marks until there are those of the run before.
    await look(reader, 13);
    await reader.press("branch");
    await stands(reader, 12);
    await reader.press("reset");
    await reader.until("a run from the start", async () => !(await isBranch(reader)) && (await reader.text("phase")) === "Paused");
    assert.equal(await reader.step(), 0);
    assert.deepEqual(reader.wrong, []);
    await reader.close();
  });

  test("pressed twice in a moment, or with the key, is one branch", async () => {
    const reader = await begun();
    await reader.walk(9);
    await reader.part("branch").evaluate((button) => { button.click(); button.click(); });
    await stands(reader, 8);
    assert.equal(await rows(reader).count(), 1);
    // Twice in a row while the trainer still builds the first, by way of a setting.
    await reader.part("slide-rho").focus();
    for (const key of ["Home", "End", "Home"]) await reader.page.keyboard.press(key);
    await reader.link(/rho=0\.0(&|$)/);
    await stands(reader, 8);
    assert.equal(await rows(reader).count(), 1, "a branch that was not played on is none to keep");
    await reader.walk(2);
    await reader.part("branch").focus();
    await reader.page.keyboard.press("Enter");
    await stands(reader, 8);
    await reader.part("branch").dblclick();
    await stands(reader, 8);
    await reader.press("play");
    await reader.plays();
    assert.deepEqual(reader.wrong, []);
    await reader.close();
  });

  test("a setting changes while it plays, and it plays on from the same step", async () => {
    const reader = await begun();
    await reader.walk(9);
    await reader.press("branch");
    await stands(reader, 8);
    await reader.playBriskly();
    await reader.steps(11);
    await reader.press("switch-no-reseeding");
    await reader.link(/reseed=false/);
    await reader.until("it plays on", async () => (await reader.text("phase")) === "Training" && (await reader.step()) >= 9);
    assert.equal(await reader.text("branched"), "Branched at step 8.");
    assert.deepEqual(reader.wrong, []);
    await reader.close();
  });

  test("a trainer that ends takes its marks with it", async () => {
    const reader = await begun();
    await reader.walk(9);
    await branchable(reader);
    const [worker] = reader.page.workers();
    await worker.evaluate(() => self.close()).catch(() => {});
    await reader.failure(/ended by the browser/, SOON);
    assert.ok(await reader.part("branch").isDisabled());
    await reader.press("restart");
    await reader.plays();
    await branchable(reader);
    await reader.close();
  });

  test("of a run that diverged begins before it, where a lower learning rate helps", async () => {
    const reader = await begun();
    await reader.walk(9);
    await reader.press("branch");
    await stands(reader, 8);
    await reader.page.evaluate(() => { location.hash = `${location.hash}&learning_rate=1`; });
    await reader.press("play");
    await reader.failure(/diverged/, PATIENCE);
    assert.ok(await reader.part("branch").isEnabled());
    await reader.press("lower-rate");
    await reader.link(/learning_rate=0.1/);
    await reader.until("it plays on", async () => (await reader.step()) > 8 && (await reader.text("branched")) === "Branched at step 8.");
    assert.deepEqual(reader.wrong, []);
    await reader.close();
  });

  test("takes no place that was not kept for it, in both languages and on a phone, and axe finds nothing", async () => {
    for (const [width, lang, scheme] of [[1280, "en", "light"], [1050, "en", "light"], [390, "en", "dark"], [390, "zh", "light"]]) {
      const reader = await stage.open(`${TINY}&lang=${lang}`, { viewport: { width, height: 850 }, colorScheme: scheme });
      await reader.until("a run", async () => /Paused|已暂停/.test(await reader.text("phase")));
      await reader.walk(14);
      const height = () => reader.page.locator(".progress").evaluate((part) => part.getBoundingClientRect().height);
      const before = await height();
      await reader.part("branch").focus();
      await reader.page.keyboard.press("Enter");
      await reader.until("a branch", async () => (await isBranch(reader)) && (await reader.step()) === 12);
      await reader.until("it waits", async () => /Change a setting|改一项/.test(await reader.text("branched")));
      assert.ok(Math.abs((await height()) - before) < 2, `${before} and then ${await height()} px in ${lang} at ${width} px`);
      const wide = await reader.page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.ok(wide <= 0, `${wide} px wider than the window of ${width}`);
      assert.deepEqual(await faults(reader.page), []);
      if (shots) await reader.page.screenshot({ path: `${shots}/branch-${width}-${lang}.png` });
      await reader.walk(4);
      if (shots) {
        await reader.page.screenshot({ path: `${shots}/branch-${width}-${lang}-whole.png`, fullPage: true });
      }
      assert.deepEqual(reader.wrong, []);
      await reader.close();
    }
  });
});
