// Lessons, as a teacher and a class use them.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { LESSON_STEP, SMALL, WHOLE, faults, staged } from "./helpers.mjs";

const MINE = `# My own

For a test.

${LESSON_STEP}note: Wait for an answer.

## Second
set: ${SMALL}&similarity=dot&centred=false&reseed=false
ask: Do they collapse?
- yes: they do
- no: they do not
run: collapse
answer: collapsed
explain yes: The longest wins.
explain no: Not here.
highlight: clusters
`;

describe("lessons", { timeout: WHOLE }, () => {
  const stage = staged({
    answer(file, reply) {
      if (file === "lessons/mine.md") Object.assign(reply, { status: 200, body: MINE, headers: { "content-type": "text/markdown" } });
    },
  });
  const give = (reader, name, text) => reader.part("lesson-file").setInputFiles({ name, mimeType: "text/markdown", buffer: Buffer.from(text) });

  test("a lesson asks, waits, runs to its event, answers by what the run shows, and goes on", async () => {
    const reader = await stage.open("lesson=mine&device=cpu&sample=off");
    await reader.until("the question", async () => (await reader.part("lesson").count()) > 0);
    assert.match(await reader.text("lesson"), /My own[^]*step 1 of 2: First[^]*Do quiet users gain\?/);
    await reader.phase("Paused");
    assert.equal(await reader.step(), 0, "it waits for an answer");
    await reader.press("answer-gain");
    await reader.until("the answer", async () => /The run says: /.test(await reader.text("lesson-result")));
    await reader.phase("Paused");
    const result = await reader.text("lesson-result");
    assert.match(result, /^(As|Not as) you said\. The run says: [^]*quiet users [+−]\.\d{3} ± \.\d{3}[^]*That is what these rows say\./);
    // The answer is that of the headline's figures.
    const certain = /gain in this run/.test(await reader.text("finding-low")) ? "yes" : /loss in this run/.test(await reader.text("finding-low")) ? "no, they lose" : "nobody can say";
    assert.ok(result.includes(`The run says: ${certain}`), `${result} | ${await reader.text("finding-low")}`);
    assert.match(await reader.part("panel-race").getAttribute("class"), /lit/);
    await reader.press("lesson-next");
    await reader.until("the second step", async () => /step=2/.test(reader.page.url()) && /similarity=dot/.test(reader.page.url()));
    await reader.phase("Paused");
    await reader.press("answer-no");
    await reader.until("the collapse", async () => /Not as you said\. The run says: they do[^]*The longest wins/.test(await reader.text("lesson-result")));
    await reader.press("lesson-leave");
    await reader.link(/^(?!.*lesson=)/);
    assert.deepEqual(reader.wrong, []);
    await reader.close();
  });

  test("a link opens a lesson at a step, and one for another page shows the tool alone", async () => {
    const reader = await stage.open("lesson=collapse&step=2&embed=1&hide=headline,data&present=1");
    await reader.until("the step", async () => (await reader.part("lesson").count()) && /step 2 of 3/.test(await reader.text("lesson")));
    assert.ok(!(await reader.page.locator("h1").isVisible()), "no heading");
    assert.equal(await reader.part("headline").count(), 0);
    assert.equal(await reader.part("panel-data").count(), 0);
    assert.deepEqual(reader.wrong, []);
    await reader.close();
  });

  test("a lesson with an error says file, line and cause, and the one that was open stays", async () => {
    const reader = await stage.open("autoplay=off");
    await reader.phase("Paused");
    await give(reader, "good.md", MINE);
    await reader.until("the lesson", async () => (await reader.part("lesson").count()) > 0);
    await give(reader, "bad.md", MINE.replace("answer: quiet-gain", "answer: hope"));
    await reader.until("the fault", async () => (await reader.part("lesson-fault").count()) > 0);
    assert.match(await reader.text("lesson-fault"), /^bad\.md, line 12: `hope` is nothing that a run can answer: write one of gains-more/);
    assert.match(await reader.text("lesson"), /My own/);
    await give(reader, "picture.md", Buffer.from([0xff, 0xd8, 0xff, 0, 0, 10, 65]));
    await reader.until("another fault", async () => /^picture\.md, line 1: /.test(await reader.text("lesson-fault")));
    await reader.page.goto(`${stage.site.url}#lesson=nowhere`);
    await reader.page.reload();
    await reader.until("what is missing", async () => (await reader.part("lesson-fault").count()) && /there is no lessons\/nowhere\.md/.test(await reader.text("lesson-fault")));
    await reader.steps(1);
    await reader.close();
  });

  test("a file that is dropped on the page is opened, and the presenter sees the notes", async () => {
    const reader = await stage.open("autoplay=off");
    await reader.phase("Paused");
    const data = await reader.page.evaluateHandle((text) => {
      const transfer = new DataTransfer();
      transfer.items.add(new File([text], "dropped.md"));
      return transfer;
    }, MINE);
    await reader.page.dispatchEvent("body", "drop", { dataTransfer: data });
    await reader.until("the lesson", async () => (await reader.part("lesson").count()) > 0);
    assert.equal(await reader.part("lesson-note").count(), 0);
    const size = () => reader.page.evaluate(() => Number.parseFloat(getComputedStyle(document.documentElement).fontSize));
    const before = await size();
    await reader.press("present");
    await reader.until("the note", async () => (await reader.part("lesson-note").count()) > 0);
    assert.match(await reader.text("lesson-note"), /Wait for an answer/);
    assert.ok((await size()) > before, "larger type");
    await reader.close();
  });

  for (const theme of ["light", "dark"]) {
    test(`axe finds nothing in a lesson, asked, answered and in error, ${theme}`, async () => {
      const reader = await stage.open(`lesson=mine&device=cpu&sample=off&present=1&theme=${theme}`);
      await reader.until("the question", async () => (await reader.part("lesson").count()) > 0);
      await reader.phase("Paused");
      assert.deepEqual(await faults(reader.page), [], "asked");
      await reader.press("answer-open");
      await reader.until("the answer", async () => /The run says: /.test(await reader.text("lesson-result")));
      assert.deepEqual(await faults(reader.page), [], "answered");
      await give(reader, "bad.md", "no lesson");
      await reader.until("the fault", async () => (await reader.part("lesson-fault").count()) > 0);
      assert.deepEqual(await faults(reader.page), [], "in error");
      await reader.close();
    });
  }

  test("all six lessons that are shipped open", async () => {
    const reader = await stage.open("autoplay=off");
    await reader.phase("Paused");
    const all = await reader.page.locator("[data-testid^=lesson-]").evaluateAll((all) => all.filter((one) => one.closest(".lesson-list") && one.tagName === "BUTTON").map((one) => [one.dataset.testid, one.textContent]));
    assert.equal(all.length, 6);
    for (const [id, title] of all) {
      await reader.press(id);
      await reader.until(title, async () => (await reader.part("lesson").count()) && (await reader.text("lesson")).startsWith(title));
    }
    assert.equal(await reader.part("lesson-fault").count(), 0);
    await reader.close();
  });
});
