// Random walks: two hundred clicks and keys, seeded, must leave a page that still plays.
//
// DUIA_WALKS      how many walks (default 3)
// DUIA_WALK_SEED  the seed of the first (default 1): a walk that failed is walked again by its seed

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { PATIENCE, seeded, staged } from "./helpers.mjs";

const WALKS = Number(process.env.DUIA_WALKS ?? 3);
const FIRST = Number(process.env.DUIA_WALK_SEED ?? 1);
const PACES = 200;
const KEYS = ["Space", ".", "e", "r", "?", "Escape", "Tab", "Enter", "ArrowDown", "ArrowUp"];

/**
 * Works one of the controls that a person could reach now, chosen by a number in 0..1, and says which. What opens the system's own
 * windows (lists, files) is set as such a window would set it; a click is left to the caller's mouse.
 */
function work([which, how]) {
  const dialog = document.querySelector("dialog[open]");
  const controls = [...(dialog ?? document).querySelectorAll("button, select, input:not([type=file]), summary, canvas")];
  const reachable = controls.filter((control) => !control.disabled && control.checkVisibility({ visibilityProperty: true }) && control.dataset.testid !== "reload");
  const control = reachable[Math.floor(which * reachable.length)];
  const name = control.dataset.testid ?? (control.textContent.trim().slice(0, 30) || control.tagName);
  if (control.matches("select")) {
    control.selectedIndex = Math.floor(how * control.options.length);
    control.dispatchEvent(new Event("change", { bubbles: true }));
    return { name: `${name} = ${control.value}` };
  }
  if (control.matches("input:not([type=checkbox])")) {
    control.value = how < 0.2 ? "no number" : String(Math.floor(how * 100));
    control.dispatchEvent(new Event("change", { bubbles: true }));
    return { name: `${name} = ${control.value}` };
  }
  control.scrollIntoView({ block: "center" });
  const box = control.getBoundingClientRect();
  const inside = control.matches("canvas") ? how : 0.5;
  return { name, at: [box.x + inside * box.width, box.y + inside * box.height] };
}

async function pace(page, random) {
  if (random() < 0.4) {
    const key = KEYS[Math.floor(random() * KEYS.length)];
    // The paper's link leads away from the page, as it should.
    const leads = key === "Enter" && (await page.evaluate(() => document.activeElement.matches("a[href^=http]")));
    if (!leads) await page.keyboard.press(key);
    return key;
  }
  const { name, at } = await page.evaluate(work, [random(), random()]);
  if (at) await page.mouse.click(...at);
  return name;
}

/** What a person does who wants it to play, whatever the page shows; a run that began a moment ago may still fail, and they go on. */
async function play(reader) {
  while (await reader.page.locator("dialog[open]").count()) await reader.page.keyboard.press("Escape");
  const failure = reader.part("failure");
  for (let tries = 0; tries < 3; tries += 1) {
    const step = failure.getByRole("button").first();
    if (await step.count()) await step.click();
    // The whole test of a long race takes minutes; a reset ends it.
    else if (!(await reader.part("play").isEnabled())) await reader.press("reset");
    await reader.until("the failure is gone", async () => (await failure.count()) === 0);
    if ((await reader.text("play")) !== "Pause") await reader.press("play");
    await reader.until("it plays, or says why not", async () => (await reader.text("phase")) === "Training" || (await failure.count()) > 0);
    if ((await failure.count()) === 0) break;
  }
  await reader.plays();
}

describe("random walks", { timeout: (WALKS + 1) * 4 * PATIENCE }, () => {
  const stage = staged();

  for (let seed = FIRST; seed < FIRST + WALKS; seed += 1) {
    test(`walk ${seed}`, async () => {
      const random = seeded(seed);
      const reader = await stage.open("sample=off");
      const trail = [];
      try {
        await reader.part("play").waitFor();
        for (let step = 0; step < PACES; step += 1) {
          trail.push(await pace(reader.page, random));
          // Mostly as fast as it goes; now and then a person looks at what happened.
          await reader.page.waitForTimeout(random() < 0.05 ? 1_500 * random() : 40 * random());
        }
        await play(reader);
        assert.deepEqual(reader.wrong, []);
        assert.ok(await reader.part("page-failure").isHidden(), "the page itself lives");
      } catch (error) {
        throw new Error(`${error.message}\nThe walk: ${trail.join(", ")}`, { cause: error });
      } finally {
        await reader.close();
      }
    });
  }
});
