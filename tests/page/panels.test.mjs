// What each panel shows, and that a link can leave it out.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { readFile } from "node:fs/promises";
import { WHOLE, staged } from "./helpers.mjs";
import { drawings, watchCanvases } from "./canvas.mjs";

const SMALL = "users=400&items=1600&categories=40&rows=60000&evaluate_every=10&probe_set=256&seed=7&sample=off&device=cpu";

describe("panels", { timeout: WHOLE }, () => {
  const stage = staged();

  test("a link leaves panels out, the others stay, and a name that is none is said", async () => {
    const reader = await stage.open(`${SMALL}&autoplay=off&hide=losses,data,field,nonsense`);
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

  /** Paused at a step at which there are centres and a first verdict. */
  async function atStep12(hash = "", options = {}) {
    const reader = await stage.open(`${SMALL}&warm_up=2&autoplay=off${hash}`, { before: watchCanvases, ...options });
    await reader.phase("Paused");
    await reader.walk(12);
    await reader.until("a verdict", async () => /[+−]\.\d{3}, /.test(await reader.text("finding-low")));
    return reader;
  }

  test("the headline says the verdict of both groups, how certain it is, and why", async () => {
    const reader = await atStep12();
    const low = await reader.text("finding-low");
    assert.match(low, /^Quiet users: [+−]\.\d{3}, (not yet certain|a gain in this run|a loss in this run)$/);
    assert.match(await reader.text("finding-high"), /^Active users: [+−]\.\d{3}, /);
    const why = await reader.text("why");
    assert.match(why, /^DUIA minus PLE, on [\d,]+ positives of the probe set at step 10, 95 % interval [+−]\.\d{3} to [+−]\.\d{3}\./);
    // The same figure stands in the race.
    const [, value] = /: ([+−]\.\d{3}),/.exec(low);
    const [, precise] = /([+−]0\.\d{4}) \[/.exec(await reader.text("lift-low"));
    const number = (text) => Number(text.replace("−", "-"));
    assert.ok(Math.abs(number(value) - number(precise)) <= 0.00051, `${value} is ${precise}`);
    await reader.press("finish");
    await reader.until("the final verdict", async () => /on all [\d,]+ test positives of quiet users/.test(await reader.text("why")));
    assert.doesNotMatch(await reader.text("finding-low"), /yet/);
    await reader.close();
  });

  test("before there are clusters both models rank alike, and the headline says so and no figure", async () => {
    const reader = await stage.open(`${SMALL}&warm_up=15&autoplay=off`);
    await reader.phase("Paused");
    await reader.walk(10);
    await reader.until("a verdict", async () => /no difference yet/.test(await reader.text("finding-low")));
    assert.equal(await reader.text("finding-high"), "Active users: no difference yet");
    assert.match(await reader.text("why"), /^No cluster is known before step 15: until then DUIA has nothing to add to PLE/);
    await reader.walk(10);
    await reader.until("a figure", async () => /[+−]\.\d{3}, /.test(await reader.text("finding-low")));
    assert.match(await reader.text("why"), /at step 20/);
    await reader.close();
  });

  test("one user is followed, another can be, and one more behaviour changes what the models make of them", async () => {
    const reader = await atStep12();
    const who = await reader.text("way-user");
    assert.match(who, /^User \d+ did \d+ things before\. They want mostly things of categories \d+ \(\d+×\)/);
    assert.match(await reader.text("way-cluster"), /^Centre \d+, child [1-4]/);
    assert.match(await reader.text("way-ranker"), /the one that they took next stands[^]*by PLE[^]*by DUIA/);
    const rows = reader.part("offers").locator("tbody tr");
    assert.equal(await rows.count(), 8);
    assert.equal(await rows.filter({ hasText: "took it" }).count(), 1, "one of them they took");
    assert.doesNotMatch(await rows.nth(3).innerText(), /→/);
    await reader.press("add-3");
    await reader.until("what changes", async () => /had they also taken something of category \d+: they (stay in|move from) centre/.test(await reader.text("what-if")));
    assert.match(await rows.nth(3).innerText(), /\.\d{3} → \.\d{3}/);
    const scores = await rows.nth(3).locator("td").allInnerTexts();
    assert.ok(scores.some((text) => /→/.test(text) && text.split(" → ")[0] !== text.split(" → ")[1]), `a score changes: ${scores}`);
    await reader.press("add-3");
    await reader.until("as they are", async () => /as they are/.test(await reader.text("what-if")));
    await reader.press("another-user");
    await reader.until("another user", async () => (await reader.text("way-user")).split(" ")[1] !== who.split(" ")[1]);
    const step = await reader.step();
    await reader.walk(1);
    await reader.until("a portrait of that step", async () => new RegExp(`at step ${step + 1}:`).test(await reader.text("what-if")));
    assert.deepEqual(reader.wrong, []);
    await reader.close();
  });

  test("the field shows items as well, names who is in a centre, keeps a pinned one lit, and has a view by size", async () => {
    const reader = await atStep12();
    const tip = () => reader.text("field-tip");
    await reader.part("field").focus();
    await reader.page.keyboard.press("Home");
    assert.match(await tip(), /They take most of categories \d+ \(\d+ %\)[^]*are of planted group \d+/);
    await reader.page.keyboard.press("Enter");
    assert.match(await tip(), /Pinned/);
    await reader.part("by-centre").focus();
    assert.match(await tip(), /^Centre \d+[^]*Pinned/, "it stays when the focus goes");
    const colours = async () => new Set((await drawings(reader.page, ".map"))[0].strokes).size;
    // A flash has many colours until it is over.
    const plain = await reader.until("a field at rest", async () => {
      const [before, drawn] = [await colours(), (await drawings(reader.page, ".map"))[0].number];
      await reader.page.waitForTimeout(300);
      return (await drawings(reader.page, ".map"))[0].number === drawn && before;
    });
    await reader.press("by-centre");
    await reader.until("more colours", async () => (await colours()) > plain);
    await reader.press("by-occupancy");
    await reader.until("numbers on bars", async () => (await drawings(reader.page, ".map"))[0].words.some(({ text }) => /^\d+$/.test(text)));
    await reader.press("by-occupancy");
    await reader.press("show-items");
    await reader.until("items", async () => /Each small mark is an item/.test(await reader.part("panel-field").innerText()));
    await reader.until("marks of items", async () => (await drawings(reader.page, ".map"))[0].marks.length > 60);
    await reader.part("field").focus();
    await reader.page.keyboard.press("Home");
    assert.match(await tip(), /items on show, \d+ of them of the tail\. Most are of categories \d+/);
    assert.deepEqual(reader.wrong, []);
    await reader.close();
  });

  test("the race has a ceiling to add, what is won of it, and the values under the pointer", async () => {
    const reader = await atStep12("&variants=ple,duia,truth");
    await reader.until("the share", async () => /is won: -?\d+ % for quiet users|is won: nothing/.test(await reader.text("headroom")));
    const chart = reader.page.locator(".lane .plot").first();
    const box = await chart.boundingBox();
    await reader.page.mouse.move(box.x + 60, box.y + box.height / 2);
    await reader.until("the values", async () => /step 10\s*[^]*DUIA 0\.\d{4}[^]*PLE 0\.\d{4}/.test(await chart.innerText()));
    await reader.close();
    const plain = await stage.open(`${SMALL}&autoplay=off`);
    await plain.phase("Paused");
    await plain.press("add-ceiling");
    await plain.until("the link", async () => /ple-group/.test(plain.page.url()));
    await plain.close();
  });

  test("sliders and switches start another run that stands in the link, and go back", async () => {
    const reader = await stage.open(`${SMALL}&autoplay=off`);
    await reader.phase("Paused");
    const slider = reader.part("slide-history");
    assert.equal(await slider.getAttribute("aria-valuetext"), "50");
    await slider.focus();
    await reader.page.keyboard.press("Home");
    await reader.until("the link", async () => /history=1(&|$)/.test(reader.page.url()));
    await reader.phase("Paused");
    await reader.press("switch-raw-dot");
    await reader.until("the link", async () => /similarity=dot/.test(reader.page.url()) && /centred=false/.test(reader.page.url()));
    assert.equal(await reader.part("switch-raw-dot").getAttribute("aria-pressed"), "true");
    await reader.press("switch-raw-dot");
    await reader.until("the way back", async () => !/similarity=dot/.test(reader.page.url()));
    await reader.press("switch-literal");
    await reader.until("all of them", async () => /centre_step=adam/.test(reader.page.url()) && /memory_start=zero/.test(reader.page.url()));
    assert.equal(await reader.part("switch-no-reseeding").getAttribute("aria-pressed"), "true", "the paper has none");
    await reader.phase("Paused");
    await reader.walk(3);
    assert.deepEqual(reader.wrong, []);
    await reader.close();
  });

  test("each block of the diagram opens to its equation and shapes, and one that the model lacks says so", async () => {
    const reader = await stage.open(`${SMALL}&autoplay=off&variants=ple,uie`);
    await reader.phase("Paused");
    await reader.press("block-2");
    assert.match(await reader.text("block-open"), /User centres[^]*Eq\. 2–5[^]*32 centres × 4 children, 16 wide/);
    await reader.press("block-6");
    assert.match(await reader.text("block-open"), /UHSE[^]*does not have this block/);
    await reader.close();
  });

  test("the run can be taken along: every series, the settings, a drawing", async () => {
    const reader = await atStep12();
    const download = async (id) => {
      const [file] = await Promise.all([reader.page.waitForEvent("download"), reader.press(id)]);
      return [file.suggestedFilename(), await readFile(await file.path(), "utf8")];
    };
    const [name, csv] = await download("save-csv");
    assert.equal(name, "duia-run.csv");
    const lines = csv.trim().split("\n");
    assert.equal(lines[0], "step,measured_on,figure,model,group,value,half_width_95");
    assert.ok(lines.every((line) => line.split(",").length === 7), csv.slice(0, 500));
    for (const figure of ["10,probe-set,auc,ple,low,", "10,probe-set,lift,duia,high,", "probe-set,hit-rate-1,duia,users,"]) assert.ok(csv.includes(figure), figure);
    const [, run] = await download("save-run");
    const record = JSON.parse(run);
    assert.equal(record.config.users, 400);
    assert.ok(record.link.includes("users=400") && record.evaluations.length >= 1 && record.device.backend === "CPU", run.slice(0, 400));
    await reader.part("chart").selectOption("AUC, Low-active users");
    const [drawing, svg] = await download("save-svg");
    assert.equal(drawing, "auc-low-active-users.svg");
    assert.match(svg, /^<svg[^]*AUC, Low-active users[^]*DUIA[^]*<\/svg>\s*$/);
    assert.deepEqual(reader.wrong, []);
    await reader.close();
  });
});
