// Firefox and WebKit train on the CPU, double clicks and a lesson included, and come to Chromium's figures to the last digit.

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Crash, FOREIGN, Visitor } from "./foreign.mjs";
import { LESSON_STEP, SMALL, WHOLE, host, launch, open, shots } from "./helpers.mjs";

const HERE = "device=cpu&sample=off";
const PAUSED = `${SMALL}&${HERE}&autoplay=off`;
const STEPS = 20;

for (const { name, packages, here, open: visit } of FOREIGN) {
  describe(name, { timeout: WHOLE, skip: !here && `it is not installed: apt-get install ${packages}` }, () => {
    let site;
    before(async () => {
      site = await host("/", (file, reply) => {
        if (file === "lessons/short.md") Object.assign(reply, { status: 200, body: `# A lesson\n\nFor a test.\n\n${LESSON_STEP}`, headers: { "content-type": "text/markdown" } });
      });
    });
    after(() => site.close());
    /** Opens the page, lets `act` work it, and asks that nothing went wrong. After a crash that is the browser's own once more, and says so. */
    const visiting = async (hash, act, isAgain = false) => {
      const browser = await visit(`${site.url}#${hash}`);
      try {
        const visitor = new Visitor(browser);
        await visitor.until("the page", async () => (await visitor.text("phase")) !== "");
        await act(visitor);
        await visitor.until("the end without a failure", async () => (await visitor.text("failure")) === "");
        assert.deepEqual(browser.wrong, []);
        return;
      } catch (error) {
        if (isAgain || !(error instanceof Crash)) throw error;
        console.warn(`${name} is opened once more after: ${error.message}`);
      } finally {
        await browser.close();
      }
      await visiting(hash, act, true);
    };

    test("it trains on the CPU, draws, and goes on after a double click on Reset", () =>
      visiting(`${SMALL}&${HERE}`, async (visitor) => {
        await visitor.steps(20);
        assert.match(await visitor.text("device-badge"), /CPU/);
        await visitor.until("a headline", async () => /Quiet users: [+−]\.\d{3}/.test(await visitor.text("headline")));
        await visitor.until("a picture of the field", async () => (await visitor.colours("field")) > 5);
        if (shots) await writeFile(join(shots, `${name}.png`), await visitor.browser.picture());
        // Slow, so that its beginning can be seen.
        await visitor.choose("speed", "slow");
        await visitor.press("reset");
        await visitor.press("reset");
        await visitor.until("it begins anew", async () => (await visitor.step()) < 20);
        await visitor.choose("speed", "full");
        await visitor.steps(20);
      }));

    test("a lesson asks, runs and answers", () =>
      visiting(`lesson=short&${HERE}`, async (visitor) => {
        await visitor.until("the question", async () => /Do quiet users gain\?/.test(await visitor.text("lesson")));
        await visitor.press("answer-gain");
        await visitor.until("the answer", async () => /The run says: /.test(await visitor.text("lesson-result")));
      }));

    test("it trains in Chinese, and the same run goes on in English", () =>
      visiting(`${SMALL}&${HERE}&lang=zh`, async (visitor) => {
        await visitor.steps(20);
        await visitor.until("a headline", async () => /低活用户[^A-Za-z]*[+−]\.\d{3}/.test(await visitor.text("headline")));
        assert.equal(await visitor.browser.evaluate(() => document.documentElement.lang), "zh-CN");
        if (shots) await writeFile(join(shots, `${name}-zh.png`), await visitor.browser.picture());
        const step = await visitor.step();
        await visitor.choose("language", "en");
        await visitor.until("a headline", async () => /Quiet users: [+−]\.\d{3}/.test(await visitor.text("headline")));
        assert.ok((await visitor.step()) >= step);
      }));

    test("its figures are Chromium's", () =>
      visiting(PAUSED, async (visitor) => {
        const chromium = await launch();
        const reader = await open(chromium, site, PAUSED);
        const figures = ["auc-table", "loss-ranking", "loss-auxiliary", "loss-clustering"];
        const of = (page) => Promise.all(figures.map((id) => page.text(id)));
        for (const page of [visitor, reader]) {
          await page.phase("Paused");
          await page.walk(STEPS);
        }
        const squeezed = (texts) => texts.map((text) => text.replace(/\s+/g, " ").trim());
        // They come a moment after the step.
        for (const page of [visitor, reader]) await page.until("figures of that step", async () => new RegExp(`step ${STEPS},`).test(await page.text("auc-table")));
        assert.deepEqual(squeezed(await of(visitor)), squeezed(await of(reader)));
        await chromium.close();
      }));
  });
}
