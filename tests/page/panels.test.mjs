// What each panel shows, and that a link can leave it out.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { PATIENCE, host, launch, open } from "./helpers.mjs";

const SMALL = "users=400&items=1600&categories=40&rows=60000&evaluate_every=10&probe_set=256&seed=7&sample=off&device=cpu";

describe("panels", { timeout: 4 * PATIENCE }, () => {
  let site;
  let browser;
  before(async () => {
    site = await host();
    browser = await launch();
  });
  after(async () => {
    await browser?.close();
    await site?.close();
  });

  test("a link leaves panels out, the others stay, and a name that is none is said", async () => {
    const reader = await open(browser, site, `${SMALL}&autoplay=off&hide=losses,data,field,nonsense`);
    await reader.phase("Paused");
    const shown = await reader.page.locator("section.panel").evaluateAll((all) => all.map((panel) => panel.dataset.testid));
    assert.ok(shown.includes("panel-race") && shown.includes("panel-clusters"), `${shown}`);
    for (const key of ["losses", "data", "field"]) assert.ok(!shown.includes(`panel-${key}`), `${shown}`);
    assert.match(await reader.text("notice"), /hide = nonsense names no panel: the panels are field, race, /);
    await reader.part("seed").fill("11");
    await reader.part("seed").press("Enter");
    await reader.until("the link", async () => /seed=11/.test(reader.page.url()));
    assert.match(decodeURIComponent(reader.page.url()), /hide=losses,data,field/, "what is left out stays left out");
    assert.deepEqual(reader.wrong, []);
    await reader.close();
  });
});
