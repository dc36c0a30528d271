// The page without its host, after a first visit.

import assert from "node:assert/strict";
import { readFile, readdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { join } from "node:path";
import { test } from "node:test";
import { WHOLE, host, launch, open } from "./helpers.mjs";

const dist = process.env.DUIA_DIST ?? join(fileURLToPath(new URL(".", import.meta.url)), "../../dist");

test("the list of what is kept is that of the build", async () => {
  const script = await readFile(join(dist, "sw.js"), "utf8");
  const kept = JSON.parse(/const FILES = (\[[^\]]*?),?\s*\];/.exec(script)[1] + "]");
  const built = (await readdir(dist, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(dist.length).replace(/^\//, ""))
    .filter((file) => !["sw.js", "assets/sample.bin"].includes(file));
  assert.deepEqual([...kept].sort(), built.sort());
  assert.ok(kept.includes("index.html") && kept.includes("worker_bg.wasm") && kept.includes("lessons/collapse.md"), `${kept}`);
});

test("after a first visit it trains and opens a lesson without its host, in a sub-folder too", { timeout: WHOLE }, async () => {
  const site = await host("/some/folder/");
  const browser = await launch();
  try {
    const reader = await open(browser, site, "device=cpu&sample=off&autoplay=off");
    await reader.phase("Paused");
    await reader.until("its files are kept", () =>
      reader.page.evaluate(async () => Boolean((await navigator.serviceWorker.getRegistration())?.active) && (await caches.keys()).length === 1),
    );
    assert.deepEqual(reader.wrong, []);
    await site.close();
    await reader.page.reload();
    await reader.phase("Paused");
    await reader.walk(2);
    await reader.press("lesson-collapse");
    await reader.until("the lesson", async () => (await reader.part("lesson").count()) > 0);
    await reader.close();
  } finally {
    await browser.close();
  }
});
