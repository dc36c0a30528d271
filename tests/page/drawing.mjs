// How much of the main thread drawing takes while training goes at full speed, in a browser without a GPU, where the browser
// draws canvases on that thread. Time is that of the thread and not of the clock, so that a busy machine changes little. `npm run drawing` after `make page`; a link's keys may follow: `npm run drawing -- preset=long`.

import { SECOND, host, launch, open } from "./helpers.mjs";
import { watchCanvases } from "./canvas.mjs";

const WATCHED = 15 * SECOND;
const [extra = ""] = process.argv.slice(2);
const site = await host();
const browser = await launch(["--disable-gpu"]);
const reader = await open(browser, site, `preset=long&sample=off&device=cpu&${extra}`, { before: watchCanvases });
const session = await reader.page.context().newCDPSession(reader.page);
await session.send("Performance.enable", { timeDomain: "threadTicks" });
const metrics = async () => {
  const { metrics } = await session.send("Performance.getMetrics");
  return { at: Date.now() / SECOND, ...Object.fromEntries(metrics.map(({ name, value }) => [name, value])) };
};
const drawn = () =>
  reader.page.evaluate(() => {
    const all = [...document.querySelectorAll("canvas")].map((canvas) => [canvas.matches(".map"), globalThis.drawingOf(canvas).number]);
    const sum = (map) => all.filter(([is]) => is === map).reduce((sum, [, number]) => sum + number, 0);
    return { map: sum(true), charts: sum(false) };
  });

await reader.steps(60);
const [before, pictures, step] = [await metrics(), await drawn(), await reader.step()];
await reader.page.waitForTimeout(WATCHED);
const [after, later, steps] = [await metrics(), await drawn(), (await reader.step()) - step];
const seconds = after.at - before.at;
const share = (name) => `${((100 * (after[name] - before[name])) / seconds).toFixed(0)} %`;
const rate = (what) => ((later[what] - pictures[what]) / seconds).toFixed(1);
console.log(`main thread at work for ${share("TaskDuration")} of the time, of which scripts ${share("ScriptDuration")}, layout and style ${share("LayoutDuration")}`);
console.log(`${rate("map")} drawings of the map a second, ${rate("charts")} of charts; ${(steps / seconds).toFixed(1)} training steps a second`);
await browser.close();
await site.close();
