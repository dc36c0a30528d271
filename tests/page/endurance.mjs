// How the page bears a long run on the CPU: tasks of the main thread that are longer than 50 ms, the time between frames, and the memory
// of the tab's process, trainer included, quarter of a minute by quarter. `npm run endurance` after `make page` watches for five minutes;
// `npm run endurance -- --minutes 20 --steps 100000 "batch=64&..."` until so many steps are done, with these keys in the link.

import { readFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { SECOND, host, launch, open } from "./helpers.mjs";

const EVERY = 15 * SECOND;
const MINUTE = 60 * SECOND;
const { values, positionals } = parseArgs({
  options: { minutes: { type: "string", default: "5" }, steps: { type: "string", default: "Infinity" } },
  allowPositionals: true,
});
const [longest, enough] = [Number(values.minutes) * MINUTE, Number(values.steps)];

/** Runs in the page before its program: keeps what takes the main thread long, and the time between frames. */
function watchThread() {
  const seen = { tasks: [], frames: [], last: undefined };
  globalThis.threadSeen = () => ({ tasks: seen.tasks.splice(0), frames: seen.frames.splice(0) });
  new PerformanceObserver((list) => {
    for (const { startTime, duration } of list.getEntries()) seen.tasks.push({ startTime, duration });
  }).observe({ type: "longtask", buffered: true });
  const frame = (now) => {
    if (seen.last !== undefined) seen.frames.push(now - seen.last);
    seen.last = now;
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
}

/** Megabytes that a process holds in memory. */
async function resident(pid) {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+)/m.exec(status)[1]) / 1024;
}

const quantile = (numbers, share) => numbers.toSorted((a, b) => a - b)[Math.min(numbers.length - 1, Math.floor(share * numbers.length))];

const site = await host();
const browser = await launch(["--disable-gpu"]);
const processes = await browser.newBrowserCDPSession();
const reader = await open(browser, site, `preset=long&sample=off&device=cpu&${positionals[0] ?? ""}`, { before: watchThread });
await reader.plays();
// Of the tabs' processes the one that trains has done most.
const { processInfo } = await processes.send("SystemInfo.getProcessInfo");
const { id: tab } = processInfo.filter(({ type }) => type === "renderer").toSorted((a, b) => b.cpuTime - a.cpuTime)[0];
await reader.page.evaluate(() => globalThis.threadSeen());
const [begun, first] = [Date.now(), await reader.step()];
const [tasks, frames, memory] = [[], [], []];
let step = first;
while (Date.now() - begun < longest && step - first < enough) {
  await reader.page.waitForTimeout(EVERY);
  const seen = await reader.page.evaluate(() => globalThis.threadSeen());
  tasks.push(...seen.tasks);
  frames.push(...seen.frames);
  const megabytes = await resident(tab);
  memory.push({ at: Date.now() - begun, megabytes });
  step = await reader.step();
  console.error(`${((Date.now() - begun) / MINUTE).toFixed(1)} min, step ${step}, ${megabytes.toFixed(0)} MB, ${tasks.length} long tasks`);
}
const later = memory.filter(({ at }) => at > MINUTE).map(({ megabytes }) => megabytes);
const third = Math.ceil(later.length / 3);
const thirds = [0, 1, 2].map((part) => later.slice(part * third, (part + 1) * third)).filter((part) => part.length > 0);
const most = thirds.map((part) => Math.max(...part).toFixed(0)).join(", ");
console.log(`${step - first} steps in ${((Date.now() - begun) / MINUTE).toFixed(1)} minutes`);
console.log(`tasks over 50 ms: ${tasks.length}, the longest ${Math.max(0, ...tasks.map(({ duration }) => duration)).toFixed(0)} ms`);
console.log(`between frames: median ${quantile(frames, 0.5).toFixed(1)} ms, p95 ${quantile(frames, 0.95).toFixed(1)} ms, longest ${Math.max(...frames).toFixed(0)} ms`);
console.log(`memory of the tab after the first minute, by thirds, at most: ${most} MB`);
await browser.close();
await site.close();
