// What moves before the trainer does: a recorded run of the page's own race, said to be one; and looking back at a run.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { NEVER, SECOND, WHOLE, shots, staged } from "./helpers.mjs";

// These are the page's own keys: a link without settings opens the page's own race.
const OWN = "device=cpu&sample=off";
const SMALL = "users=400&items=1600&categories=40&rows=60000&evaluate_every=10&probe_set=256&seed=7&warm_up=2&sample=off&device=cpu";

/** Notes when the recorded run was first said to be on show, in milliseconds since the page was asked for. */
const watchRecorded = () => {
  const look = () => {
    if (!globalThis.recordedAt && document.querySelector('[data-testid="recorded"]')) globalThis.recordedAt = performance.now();
  };
  new MutationObserver(look).observe(document, { subtree: true, childList: true });
};

/** Adds up how far parts of the page are moved without being asked, as browsers score it (Cumulative Layout Shift). */
const watchShifts = () => {
  const shifts = (globalThis.shifts = { sum: 0, worst: "", most: 0, isLate: false });
  // What a slow machine is told of a late start or a silent trainer takes room, and gives it back.
  const look = () => (shifts.isLate ||= document.querySelector('#boot button, [data-testid="failure"]') !== null);
  new MutationObserver(look).observe(document, { subtree: true, childList: true });
  new PerformanceObserver((list) => {
    for (const { value, hadRecentInput, sources } of list.getEntries()) {
      if (hadRecentInput) continue;
      shifts.sum += value;
      if (value < shifts.most) continue;
      const words = sources.map(({ node }) => node?.textContent?.slice(0, 40));
      Object.assign(shifts, { most: value, worst: words.join(" | ") });
    }
  }).observe({ type: "layout-shift", buffered: true });
};

/** Notes the first step of the live run that takes over. A step that is still the recorded run's is a later one. */
const watchTakeover = () => {
  globalThis.firstLive = Infinity;
  const look = () => {
    if (!document.querySelector('[data-testid="took-over"]')) return;
    globalThis.firstLive = Math.min(globalThis.firstLive, Number(document.querySelector('[data-testid="step-count"]').innerText));
  };
  new MutationObserver(look).observe(document, { subtree: true, childList: true, characterData: true });
};

describe("before the trainer has come", { timeout: WHOLE }, () => {
  const reply = {};
  const stage = staged({ answer: (file, answer) => reply[file]?.(answer) });
  const hold = (answer) => (answer.body = NEVER);

  test("a recorded run of the page's own race moves, says that it is one, and cannot be taken for this device's", async (t) => {
    reply["worker_bg.wasm"] = hold;
    const reader = await stage.open(OWN, { before: watchRecorded });
    await reader.until("the recorded run", async () => (await reader.part("recorded").count()) > 0);
    const first = await reader.page.evaluate(() => globalThis.recordedAt);
    t.diagnostic(`on show after ${Math.round(first)} ms`);
    assert.match(await reader.text("recorded"), /^Recorded run of \d{4}-\d\d-\d\d \(commit [0-9a-f]{7}\)\. The live one takes over/);
    assert.match(await reader.part("recorded").getAttribute("title"), /by `duia record` of commit/);
    assert.equal(await reader.text("phase"), "Loading the trainer");
    await reader.steps(1);
    const [step, picture] = [await reader.step(), await reader.picture("field")];
    await reader.until("it moves", async () => (await reader.step()) > step && (await reader.picture("field")) !== picture);
    await reader.until("a recorded verdict", async () => /^Recorded: DUIA minus PLE, on [\d,]+ positives/.test(await reader.text("why")));
    const table = await reader.text("auc-table");
    for (const model of ["PLE", "DUIA", "PLE, told groups"]) assert.match(table, new RegExp(`^${model}\\s+0\\.\\d`, "m"));
    assert.match(await reader.text("data-badge"), /Synthetic/);
    assert.equal(await reader.part("slide-history").getAttribute("aria-valuetext"), "5");
    for (const id of ["save-csv", "save-run", "finish"]) assert.ok(await reader.part(id).isDisabled(), id);
    if (shots) await reader.page.screenshot({ path: `${shots}/recorded.png` });
    assert.deepEqual(reader.wrong, []);
    await reader.close();
  });

  test("nothing jumps while the page starts, the recorded run moves and the live one takes over", async (t) => {
    delete reply["worker_bg.wasm"];
    for (const [lang, width] of [["en", 390], ["en", 1100], ["en", 1440], ["zh", 390], ["zh", 1280]]) {
      const reader = await stage.open(`lang=${lang}`, { viewport: { width, height: 850 }, before: watchShifts });
      await reader.until("the live run", async () => (await reader.part("took-over").count()) > 0);
      const { sum, worst, isLate } = await reader.page.evaluate(() => globalThis.shifts);
      if (isLate) t.diagnostic(`too slow here to tell, in ${lang} at ${width} px`);
      else assert.ok(sum < 0.05, `${sum.toFixed(3)} in ${lang} at ${width} px, most of it: ${worst}`);
      const middles = await reader.page.locator(".bar .row > :not(.gap)").evaluateAll((all) =>
        all.map((part) => part.getBoundingClientRect()).map(({ top, bottom }) => (top + bottom) / 2));
      if (width >= 1100) assert.ok(Math.max(...middles) - Math.min(...middles) < 8, `the bar is one row in ${lang} at ${width} px: ${middles}`);
      await reader.close();
    }
  });

  test("another race has no recorded run, and a damaged record is left out without a word", async () => {
    reply["worker_bg.wasm"] = hold;
    const other = await stage.open(`${OWN}&seed=11`);
    await other.until("the page", async () => (await other.part("phase").count()) > 0);
    await other.page.waitForTimeout(2 * SECOND);
    assert.equal(await other.part("recorded").count(), 0);
    await other.close();
    reply["assets/recorded.bin"] = (answer) => (answer.body = answer.body.subarray(0, answer.body.length - 9));
    const damaged = await stage.open(OWN);
    await damaged.until("the page", async () => (await damaged.part("phase").count()) > 0);
    await damaged.page.waitForTimeout(2 * SECOND);
    assert.equal(await damaged.part("recorded").count(), 0);
    assert.equal(await damaged.step(), 0);
    assert.deepEqual(damaged.wrong, []);
    await damaged.close();
    delete reply["assets/recorded.bin"];
  });

  test("the live run takes over at its first step, from its own beginning, and that is said", async () => {
    // The trainer comes when the recorded run has been on show for a while, on a fast machine too.
    let release;
    const arrival = new Promise((done) => (release = done));
    reply["worker_bg.wasm"] = () => arrival;
    const reader = await stage.open(OWN, { before: watchTakeover });
    await reader.until("the recorded run", async () => (await reader.part("recorded").count()) > 0);
    await reader.steps(20);
    const recorded = await reader.step();
    release();
    await reader.until("the live one", async () => (await reader.part("took-over").count()) > 0);
    assert.equal(await reader.part("recorded").count(), 0);
    const first = () => reader.page.evaluate(() => globalThis.firstLive);
    await reader.until("its first step", async () => (await first()) < recorded);
    assert.ok((await first()) <= 5, `it begins anew, at step ${await first()}`);
    assert.doesNotMatch(await reader.text("why"), /Recorded/);
    await reader.plays();
    assert.ok(await reader.part("save-csv").isEnabled());
    assert.deepEqual(reader.wrong, []);
    delete reply["worker_bg.wasm"];
    await reader.close();
  });

  test("a person looks back at what has been, and the button leads to the present again", async () => {
    const reader = await stage.open(`${SMALL}&autoplay=off`);
    await reader.phase("Paused");
    assert.ok(await reader.part("look-back").isDisabled(), "there is no past yet");
    await reader.walk(22);
    await reader.until("the verdict of step 20", async () => /at step 20/.test(await reader.text("why")));
    const [verdict, losses, picture] = [await reader.text("lift-low"), await reader.text("loss-ranking"), await reader.picture("field")];
    await reader.part("look-back").fill("12");
    await reader.until("the verdict of step 10", async () => /at step 10/.test(await reader.text("why")));
    assert.equal(await reader.text("shown-step"), "as it stood at step 12");
    assert.match(await reader.text("lift-low"), /probe set at step 10/);
    assert.equal(await reader.step(), 22, "the run itself stays where it is");
    assert.notEqual(await reader.text("loss-ranking"), losses, "the losses are those of step 12");
    await reader.until("the field of then", async () => (await reader.picture("field")) !== picture);
    // Before the first evaluation and before there were centres there was nothing.
    await reader.part("look-back").fill("1");
    await reader.until("no verdict", async () => /not measured yet/.test(await reader.text("finding-low")));
    // What comes meanwhile is kept and not shown.
    await reader.press("step");
    await reader.until("step 23", async () => (await reader.step()) === 23);
    assert.equal(await reader.text("shown-step"), "as it stood at step 1");
    await reader.press("live");
    await reader.until("the present", async () => (await reader.text("lift-low")) === verdict);
    assert.equal(await reader.text("shown-step"), "now");
    assert.deepEqual(reader.wrong, []);
    await reader.close();
  });
});
