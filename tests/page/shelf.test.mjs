// Further seeds of the same settings, and runs that were left, laid over the race.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { PATIENCE, WHOLE, staged } from "./helpers.mjs";

const TINY = "users=300&items=800&categories=20&rows=20000&evaluate_every=10&probe_set=256&seed=7&sample=off&device=cpu&variants=ple,duia";
const number = (text) => Number(text.replace("−", "-"));

describe("the shelf", { timeout: WHOLE }, () => {
  const stage = staged();
  const rows = (reader) => reader.part("shelf-runs").locator("tbody tr");
  const finished = (reader) => reader.until("the end", async () => (await reader.text("phase")) === "Finished", 2 * PATIENCE);

  test("four more seeds are trained to their ends, and their spread is told as it is", async () => {
    const reader = await stage.open(`${TINY}&autoplay=off`);
    await reader.playBriskly();
    await reader.steps(5);
    await reader.press("more-seeds");
    assert.match(await reader.text("seeds-left"), /^Seed 7 is on its way, 4 more after it\.$/);
    assert.ok(await reader.part("more-seeds").isDisabled());
    await reader.part("speed").selectOption("full");
    await reader.until("the last seed", async () => /seed=11/.test(reader.page.url()), 4 * PATIENCE);
    await finished(reader);
    assert.equal(await reader.text("seeds-left"), "");
    assert.equal(await rows(reader).count(), 4, "the fifth is on show");
    // The mean, the ends and the interval follow from the five differences that the page shows one by one.
    const kept = await rows(reader).evaluateAll((all) => all.map((row) => [...row.cells].map((cell) => cell.innerText)));
    assert.deepEqual(kept.map((cells) => cells[1]), ["seed 10", "seed 9", "seed 8", "seed 7"]);
    for (const cells of kept) assert.match(cells[2], /^the end, on the whole test set$/);
    const [, here] = /([+−]0\.\d{4}) \[/.exec(await reader.text("lift-low"));
    const all = [here, ...kept.map((cells) => /^[+−]0\.\d{4}/.exec(cells[3])[0])].map(number);
    const mean = all.reduce((sum, value) => sum + value) / 5;
    const half = (2.776 * Math.sqrt(all.reduce((sum, value) => sum + (value - mean) ** 2, 0) / 4)) / Math.sqrt(5);
    const told = (await reader.text("spread")).match(/[+−]0\.\d{4}/g).map(number);
    const expected = [mean, Math.min(...all), Math.max(...all), mean - half, mean + half];
    expected.forEach((value, at) => assert.ok(Math.abs(told[at] - value) < 0.0002, `${told} is ${expected}`));
    assert.deepEqual(reader.wrong, []);
    await reader.close();
  });

  test("a run that is left is kept, laid over, run again with the same figures, and taken away", async () => {
    const reader = await stage.open(`${TINY}&autoplay=off`);
    await reader.phase("Paused");
    await reader.walk(10);
    await reader.until("a figure", async () => /\[/.test(await reader.text("lift-low")));
    const before = await reader.text("auc-PLE-low");
    assert.equal(await reader.part("shelf-runs").count(), 0);
    const drawn = () => reader.page.locator(".lane canvas").nth(1).evaluate((canvas) => canvas.toDataURL());
    await reader.part("seed").fill("12");
    await reader.part("seed").press("Enter");
    await reader.until("it is kept", async () => (await reader.part("shelf-runs").count()) === 1);
    assert.match(await rows(reader).innerText(), /A\s+seed 7\s+step 10 of \d+, on the probe set/);
    await reader.phase("Paused");
    const over = await drawn();
    await reader.part("lay-A").uncheck();
    await reader.until("the line goes", async () => (await drawn()) !== over);
    // Back before any figure of seed 12: nothing of it to keep.
    await reader.press("again-A");
    await reader.until("seed 7", async () => /seed=7/.test(reader.page.url()));
    await reader.steps(10);
    assert.match(await rows(reader).innerText(), /nothing: the same run/);
    await reader.page.locator(".panel.race details summary").click();
    const again = () => reader.page.locator(".panel.race details tbody tr").filter({ has: reader.page.locator("th", { hasText: /^10$/ }) });
    await reader.until("its figures", async () => (await again().count()) === 1);
    assert.equal(await again().locator("td").nth(1).innerText(), before, "the same figures once more");
    await reader.press("remove-A");
    await reader.until("it is gone", async () => (await reader.part("shelf-runs").count()) === 0);
    assert.deepEqual(reader.wrong, []);
    await reader.close();
  });

  test("another setting ends the row of seeds, and so does its button", async () => {
    const reader = await stage.open(`${TINY}&autoplay=off`);
    await reader.playBriskly();
    await reader.steps(1);
    await reader.press("more-seeds");
    await reader.press("no-more-seeds");
    await reader.until("none left", async () => !(await reader.part("more-seeds").isDisabled()));
    await reader.press("more-seeds");
    await reader.page.evaluate(() => { location.hash = location.hash.replace(/rows=\d+/, "rows=21000"); });
    await reader.until("none left", async () => !(await reader.part("more-seeds").isDisabled()));
    assert.equal(await reader.text("seeds-left"), "");
    await reader.close();
  });
});
