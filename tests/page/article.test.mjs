// "How it works": the text under the tool answers what a newcomer asks (docs/questions.md), and its buttons lead to the live thing.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { WHOLE, faults, staged } from "./helpers.mjs";

const SMALL = "users=400&items=1600&categories=40&rows=60000&device=cpu&sample=off&autoplay=off";

// Words without which a question of docs/questions.md has no answer, and the part of the page that must hold them.
const ANSWERS = [
  ["what is trained", "#article", /scores the items that a user might take next[^]*with DUIA and the same ranker\s+without/],
  ["a quiet user", "#article", /Quiet users[^]*The third with the fewest rows/],
  ["a centre and its child", "#article", /A centre stands for a cluster[^]*children/],
  ["what a cluster gives", "#article", /UIE[^]*UPBE[^]*UHSE/],
  ["who gains, how certain", "[data-testid=headline]", /Quiet users:[^]*Active users:/],
  ["AUC and its band", "#article", /Chance is \.5[^]*the band holds the true value/],
  ["whether it is real", "[data-testid=panel-data]", /No row is Taobao's/],
  ["why it stops", "#article", /used up it stops[^]*these figures count/],
  ["what goes wrong", "[data-testid=panel-controls]", /No re-seeding/],
  ["whether it would help", "#article", /Would it help me\?[^]*stay on this device/],
];

describe("how it works", { timeout: WHOLE }, () => {
  const stage = staged();

  test("the page holds an answer to each of the ten questions", async () => {
    const reader = await stage.open(SMALL);
    await reader.phase("Paused");
    for (const [question, place, words] of ANSWERS) assert.match(await reader.page.locator(place).innerText(), words, question);
    assert.deepEqual(reader.wrong, []);
    await reader.close();
  });

  test("each button lights the panel that it names, in view, with its block open, and the link stays", async () => {
    const reader = await stage.open(SMALL);
    await reader.phase("Paused");
    const link = reader.page.url();
    const buttons = reader.page.locator("#article [data-show]");
    assert.ok((await buttons.count()) >= 8);
    for (const button of await buttons.all()) {
      const [panel, block] = await button.evaluate(({ dataset }) => [dataset.show, dataset.press]);
      // Where a person could press it; and what follows in the same moment, for a panel is lit for two seconds only.
      await button.click({ trial: true });
      const [isLit, top, bar] = await button.evaluate((button) => {
        const panel = document.querySelector(`[data-testid=panel-${button.dataset.show}]`);
        button.click();
        return ["led" in panel.dataset, panel.getBoundingClientRect().top, document.querySelector(".bar").getBoundingClientRect().bottom];
      });
      assert.ok(isLit, panel);
      assert.ok(top >= bar && top < 800, `${panel} is at ${top}, the bar ends at ${bar}`);
      if (block) await reader.until(`${block} is open`, async () => (await reader.part(block).getAttribute("aria-pressed")) === "true");
    }
    await reader.until("no panel is lit any more", async () => (await reader.page.locator("[data-led]").count()) === 0);
    assert.equal(reader.page.url(), link);
    assert.deepEqual(await faults(reader.page), []);
    assert.deepEqual(reader.wrong, []);
    await reader.close();
  });

  test("it stays away where the link says so, and inside another page", async () => {
    for (const key of ["hide=article", "embed=1"]) {
      const reader = await stage.open(`${SMALL}&${key}`);
      await reader.phase("Paused");
      assert.equal(await reader.page.locator("#article").isVisible(), false, key);
      await reader.close();
    }
  });
});
