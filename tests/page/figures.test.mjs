// What the figures say, and that none of them can be taken for something else.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { SECOND, WHOLE, staged } from "./helpers.mjs";
import { drawings, watchCanvases, words } from "./canvas.mjs";

const SMALL = "users=400&items=1600&categories=40&rows=60000&evaluate_every=10&probe_set=256&seed=7&sample=off&device=cpu";

describe("figures", { timeout: WHOLE }, () => {
  const stage = staged();
  const at = (hash, options = {}) => stage.open(hash, { before: watchCanvases, ...options });

  test("the final test is marked as such in the verdict, the table and the charts, and the probe set until then", async () => {
    const reader = await at(`${SMALL}&autoplay=off`);
    await reader.playBriskly();
    await reader.until("a verdict of the probe set", async () => /probe set at step \d+, \d+ positives/.test(await reader.text("lift-low")));
    assert.ok(!(await words(reader.page, ".lane canvas")).includes("final test"));
    await reader.press("finish");
    await reader.phase("Finished early");
    await reader.until("the final verdict", async () => /final test: whole test set, [\d,]+ positives/.test(await reader.text("lift-low")));
    assert.match(await reader.text("auc-table"), /^Final test/);
    const marked = async () => (await drawings(reader.page, ".lane canvas")).map((chart) => chart.words.some(({ text }) => text === "final test"));
    await reader.until("its column in all four charts", async () => (await marked()).filter(Boolean).length === 4);
    assert.deepEqual(reader.wrong, []);
    await reader.close();
  });

  test("models are told apart by hue, dash, marker and a name at the end, and DUIA is in front", async () => {
    const reader = await at(`${SMALL}&variants=ple,duia,uie,uie-upbe,uhse,popularity,category-repeat`);
    await reader.until("the verdict", async () => /^DUIA minus PLE: /.test(await reader.text("lift-low")));
    const legend = reader.page.locator(".lane").first().locator(".key .entry");
    const looks = await legend.evaluateAll((entries) =>
      entries.map((entry) => {
        const line = entry.querySelector("line");
        const marker = entry.querySelector("polygon, circle");
        return [getComputedStyle(line).stroke, line.getAttribute("stroke-dasharray"), marker?.getAttribute("points") ?? marker?.tagName];
      }),
    );
    assert.equal(looks.length, 7);
    for (const [n, one] of looks.entries()) {
      for (const [m, other] of looks.entries()) {
        if (m > n) assert.ok(one.filter((part, at) => part !== other[at]).length >= 2, `models ${n} and ${m}: ${one} and ${other}`);
      }
    }
    const chart = async () => (await drawings(reader.page, ".lane canvas"))[0];
    await reader.until("the names", async () => (await chart()).words.filter(({ text }) => /^[A-Z]|^(popul|categ)/i.test(text)).length >= 7);
    const named = (await chart()).words;
    const colours = new Set(named.filter(({ text }) => /^\D/.test(text)).map(({ colour }) => colour));
    assert.ok(colours.size >= 7, `as many colours of names as models: ${JSON.stringify(named)}`);
    const low = named.find(({ text }) => text === "DUIA").colour;
    const strokes = (await chart()).strokes;
    assert.equal(strokes.at(-1), low, "DUIA's line is the last that is drawn");
    await reader.close();
  });

  test("a model that diverged is said with its step, its name and what to lower", async () => {
    const reader = await at(`${SMALL}&learning_rate=1&embedding_std=10`);
    await reader.until("the banner", async () => (await reader.part("failure").count()) > 0);
    // A setting is at fault, so the sentence that names it stands open.
    const said = await reader.text("failure");
    assert.match(said, /diverged/);
    assert.match(said, /(PLE|DUIA) diverged at step \d+: /);
    assert.match(said, /Lower learning_rate \(it is 1; the preset has 0\.003\) and embedding_std/);
    await reader.close();
  });

  test("a collapsed clustering is said where its figures stand, and a healthy one says nothing", async () => {
    const reader = await at(`${SMALL}&similarity=dot&centred=false&reseed=false`);
    await reader.until("the sentence", async () => /^Collapse: \d+ % of the test positives [^]+ unused\./.test(await reader.text("collapse")));
    assert.match(await reader.text("collapse"), /Turn on re-seeding \(reseed=true\) or use cosine similarity/);
    await reader.close();
    const healthy = await at(SMALL);
    await healthy.steps(100);
    assert.equal(await healthy.text("collapse"), "");
    await healthy.close();
  });

  test("no axis of a share leaves 0 to 100 %", async () => {
    const reader = await at(SMALL);
    await reader.steps(60);
    await reader.page.waitForTimeout(SECOND);
    const shares = async (card) => (await words(reader.page, `.card:has(h3:text-is("${card}")) canvas`)).filter((text) => text.endsWith("%"));
    for (const card of ["Hit rate", "Evenness", "Tightness", "Stopped", "Planted groups found"]) {
      const axis = await reader.until(`the axis of ${card}`, async () => {
        const axis = await shares(card);
        return axis.length >= 2 && axis;
      });
      assert.deepEqual(axis.filter((text) => /^[-−]/.test(text)), [], card);
      if (card !== "Tightness") assert.deepEqual(axis.filter((text) => Number.parseInt(text) > 100), [], card);
    }
    await reader.close();
  });

  test("users outside the view are not piled up at its edges, and are counted", async () => {
    // A long run: whether somebody is outside changes from frame to frame, and a run that ends may end with nobody there.
    const reader = await at(SMALL.replace(/rows=\d+/, "rows=1000000"));
    await reader.steps(60);
    const edge = 16;
    let counted = 0;
    for (let look = 0; look < 10; look += 1) {
      await reader.page.waitForTimeout(0.3 * SECOND);
      const [{ marks, width, height }] = await drawings(reader.page, ".map");
      counted += marks.length;
      const near = (value, place) => Math.abs(value - place) < 0.01;
      const piled = marks.filter(({ x, y }) => near(x, edge) || near(x, width - edge) || near(y, edge) || near(y, height - edge));
      assert.ok(piled.length <= 2, `${piled.length} marks stand on the edge of the view`);
    }
    assert.ok(counted > 1_000, `${counted} marks were looked at`);
    await reader.until("the count", async () => /users? (is|are) outside it/.test(await reader.page.locator(".field .caption").innerText()));
    await reader.close();
  });

  test("a hollow circle means one thing", async () => {
    const reader = await at(`${SMALL}&autoplay=off`);
    await reader.phase("Paused");
    const entries = await reader.page.locator(".field .legend li").evaluateAll((all) =>
      all.filter((entry) => entry.querySelector("svg.hollow circle")).map((entry) => entry.textContent.trim()),
    );
    assert.deepEqual(entries, ["unused"]);
    await reader.close();
  });

  test("the data's name is said once", async () => {
    const reader = await at(`${SMALL}&autoplay=off`);
    await reader.phase("Paused");
    const said = await reader.page.locator(".panel.data").innerText();
    assert.match(said, /Synthetic stream, seed 7/);
    assert.doesNotMatch(said, /synthetic stream: synthetic stream/i);
    await reader.close();
  });
});
