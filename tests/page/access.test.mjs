// Whoever uses the page by key, by finger, by ear, on paper or with colours of their own.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { SECOND, WHOLE, faults, staged } from "./helpers.mjs";
import { drawings, pixel, watchCanvases } from "./canvas.mjs";

const SMALL = "users=400&items=1600&categories=40&rows=60000&evaluate_every=10&probe_set=256&seed=7&sample=off&device=cpu";
describe("access", { timeout: WHOLE }, () => {
  const stage = staged();
  const at = (hash, options = {}) => stage.open(hash, { before: watchCanvases, ...options });
  /** The field once there is a centre to look at. */
  async function withCentres(options = {}) {
    const reader = await at(`${SMALL}&autoplay=off&warm_up=2`, options);
    await reader.phase("Paused");
    await reader.walk(6);
    await reader.until("centres", async () => (await drawings(reader.page, ".map"))[0].marks.length > 40);
    return reader;
  }

  const STATES = {
    paused: async (reader) => reader.phase("Paused"),
    playing: async (reader) => {
      await reader.playBriskly();
      await reader.until("a verdict", async () => /probe set/.test(await reader.text("lift-low")));
      // It plays while this state and the next are looked at, however fast the machine is.
      await reader.part("speed").selectOption("slow");
    },
    models: async (reader) => reader.press("models"),
    help: async (reader) => {
      await reader.page.keyboard.press("Escape");
      await reader.press("help-button");
      await reader.part("help").waitFor({ state: "visible" });
    },
    tables: async (reader) => {
      await reader.page.keyboard.press("Escape");
      await reader.page.locator("details").evaluateAll((all) => all.forEach((details) => (details.open = true)));
      await reader.page.locator(".scroll").nth(3).waitFor();
    },
    finished: async (reader) => {
      await reader.press("finish");
      await reader.until("the final verdict", async () => /final test/.test(await reader.text("lift-low")));
    },
    "bad weights": async (reader) => {
      await reader.press("reset");
      await reader.until("a run", async () => /Paused|Training/.test(await reader.text("phase")));
      await reader.press("models");
      const weights = { name: "notes.safetensors", mimeType: "application/octet-stream", buffer: Buffer.from("no weights") };
      await reader.part("weights").setInputFiles(weights);
      await reader.until("a refusal", async () => (await reader.part("refused").count()) > 0);
    },
  };
  for (const theme of ["light", "dark"]) {
    for (const [size, viewport] of Object.entries({ laptop: { width: 1280, height: 800 }, phone: { width: 320, height: 640 } })) {
      test(`axe finds nothing in any state, ${theme}, ${size}`, async () => {
        const reader = await at(`${SMALL}&theme=${theme}&autoplay=off&variants=ple,uie,duia&nonsense=1&seed=x`, { viewport });
        for (const [state, reach] of Object.entries(STATES)) {
          await reach(reader);
          assert.deepEqual(await faults(reader.page), [], state);
        }
        await reader.close();
        const failed = await at(`${SMALL}&theme=${theme}&learning_rate=1&embedding_std=10`, { viewport });
        await failed.until("the banner", async () => (await failed.part("failure").count()) > 0);
        assert.deepEqual(await faults(failed.page), [], "failed");
        await failed.close();
      });
    }
  }

  test("the list of models is in the window at any width, and nothing is wider than it", async () => {
    const reader = await at(`${SMALL}&autoplay=off`);
    await reader.phase("Paused");
    await reader.press("models");
    for (const width of [320, 360, 480, 641, 700, 800, 900, 1000, 1103, 1280, 1920]) {
      await reader.page.setViewportSize({ width, height: 720 });
      await reader.until(`a window of ${width}`, () => reader.page.evaluate((width) => innerWidth === width, width));
      // What the page does about its size it does before the second frame.
      await reader.page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
      const list = await reader.page.locator(".menu-body").boundingBox();
      assert.ok(list.x >= 0 && list.x + list.width <= width, `${width}: from ${list.x} to ${list.x + list.width}`);
      const cut = await reader.page.locator(".menu-body, .menu-body *").evaluateAll((all) => {
        const edge = all[0].getBoundingClientRect().right;
        return all.filter((element) => element.getBoundingClientRect().right > edge + 0.5).map((element) => element.textContent);
      });
      assert.deepEqual(cut, [], `${width}: cut at the edge of the list`);
      const wide = await reader.page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.ok(wide <= 0, `${width}: the page is ${wide} px wider than the window`);
      const last = reader.part("weights");
      await last.scrollIntoViewIfNeeded();
      const reached = await last.boundingBox();
      assert.ok(reached.y + reached.height <= 720.5, `${width}: the end of the list cannot be reached`);
    }
    await reader.close();
  });

  test("Escape closes the list and gives the focus back, and so does leaving it by key", async () => {
    const reader = await at(`${SMALL}&autoplay=off`);
    await reader.phase("Paused");
    const list = reader.page.locator(".menu-body");
    await reader.part("models").focus();
    await reader.page.keyboard.press("Enter");
    await list.waitFor({ state: "visible" });
    await reader.page.keyboard.press("Tab");
    assert.ok(await list.evaluate((list) => list.contains(document.activeElement)), "Tab goes into the list");
    await reader.page.keyboard.press("Escape");
    await list.waitFor({ state: "hidden" });
    assert.equal(await reader.page.evaluate(() => document.activeElement.dataset.testid), "models");
    await reader.page.keyboard.press("Enter");
    await reader.part("weights").focus();
    await reader.part("seed").focus();
    await list.waitFor({ state: "hidden" });
    await reader.close();
  });

  test("the map answers to the keyboard", async () => {
    const reader = await withCentres();
    await reader.part("field").focus();
    await reader.page.keyboard.press("ArrowRight");
    const tip = () => reader.text("field-tip");
    assert.match(await tip(), /^Centre \d+: /);
    const seen = new Set();
    for (const key of ["ArrowLeft", "ArrowLeft", "ArrowUp", "ArrowUp", "ArrowRight", "ArrowRight", "ArrowDown", "ArrowDown"]) {
      await reader.page.keyboard.press(key);
      seen.add((await tip()).split(":")[0]);
    }
    assert.ok(seen.size >= 3, `arrow keys reach ${[...seen]}`);
    await reader.page.keyboard.press("Escape");
    assert.equal(await tip(), "");
    const step = await reader.step();
    await reader.page.keyboard.press(".");
    await reader.until("a step", async () => (await reader.step()) === step + 1);
    await reader.close();
  });

  test("a finger reads a tip and has time for it", async () => {
    const reader = await withCentres({ hasTouch: true });
    await reader.page.waitForTimeout(2 * SECOND);
    await reader.part("field").focus();
    await reader.page.keyboard.press("Home");
    const said = await reader.text("field-tip");
    const place = await reader.page.locator(".tip").evaluate((tip) => ["--x", "--y"].map((name) => Number.parseFloat(tip.style.getPropertyValue(name))));
    await reader.page.keyboard.press("Escape");
    await reader.part("field").tap({ position: { x: place[0], y: place[1] } });
    await reader.until("the tip", async () => (await reader.text("field-tip")) === said);
    await reader.page.waitForTimeout(SECOND);
    assert.equal(await reader.text("field-tip"), said, "it stays");
    await reader.page.locator("#field-title").tap();
    await reader.until("the tip has gone", async () => (await reader.text("field-tip")) === "");
    await reader.close();
  });

  test("forced colours reach the canvases", async () => {
    const reader = await at(`${SMALL}&theme=light`, { forcedColors: "active", colorScheme: "dark" });
    await reader.steps(20);
    const system = await reader.page.evaluate(() => {
      const probe = document.body.appendChild(document.createElement("i"));
      probe.style.cssText = "forced-color-adjust: none; color: Canvas";
      return getComputedStyle(probe).color.match(/\d+/g).slice(0, 3).map(Number);
    });
    await reader.until("a chart in the system's colours", async () => String(await pixel(reader.page, ".lane canvas", 1, 1)) === String(system));
    await reader.close();
  });

  test("paper is white, and has no controls", async () => {
    const reader = await at(`${SMALL}&theme=dark`);
    await reader.steps(20);
    assert.notDeepEqual(await pixel(reader.page, ".lane canvas", 1, 1), [255, 255, 255]);
    await reader.page.emulateMedia({ media: "print" });
    await reader.until("a white chart", async () => String(await pixel(reader.page, ".lane canvas", 1, 1)) === "255,255,255");
    assert.ok(!(await reader.part("play").isVisible()));
    await reader.close();
  });

  test("with less motion nothing flies and nothing widens", async () => {
    const reader = await at(`${SMALL}&autoplay=off&warm_up=2`, { reducedMotion: "reduce" });
    await reader.phase("Paused");
    // Centres are filled at the end of step 2, and step 3 is the first to show them.
    await reader.walk(3);
    const drawn = async () => (await drawings(reader.page, ".map"))[0];
    await reader.until("a flash", async () => (await drawn()).flashes.length > 0 && (await drawn()).number > 2);
    await reader.page.waitForTimeout(2 * SECOND);
    const { flashes } = await drawn();
    const centres = flashes.length / new Set(flashes).size;
    assert.ok(new Set(flashes).size <= 32, `${new Set(flashes).size} places of a flash, of 32 centres: they move (${centres} drawings of each)`);
    await reader.close();
  });

  test("the map is drawn 30 times a second at most", async () => {
    // A run that does not end while it is watched.
    const reader = await at(SMALL.replace(/rows=\d+/, "rows=1000000"));
    await reader.steps(60);
    // Both from the page, at one moment: an answer may be late.
    const drawn = () => reader.page.locator(".map").evaluate((map) => [globalThis.drawingOf(map).number, performance.now() / 1_000]);
    const [first, begun] = await drawn();
    await reader.page.waitForTimeout(4 * SECOND);
    await reader.until("it moves", async () => (await drawn())[0] > first + 4);
    const [last, ended] = await drawn();
    const [number, seconds] = [last - first, ended - begun];
    assert.ok(number <= 30 * seconds + 2, `${number} drawings in ${seconds} s`);
    await reader.close();
  });
});
