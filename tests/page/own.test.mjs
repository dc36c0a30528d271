// A person's own file: chosen or dropped, its columns corrected, trained on; and every file that cannot be.

import assert from "node:assert/strict";
import { access, mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { parquetWriteBuffer } from "hyparquet-writer";
import { SOON, WHOLE, faults, seeded, shots, staged } from "./helpers.mjs";

const SHORT = "version=1&preset=browser&seed=7&evaluate_every=10&probe_set=256&sample=off&device=cpu&autoplay=off&batch=64";
/** DUIA_TAOBAO: where the rows of the first 655 users of Taobao's file are, if anywhere. */
const TAOBAO = process.env.DUIA_TAOBAO ?? "";
const hasTaobao = await access(TAOBAO).then(() => true, () => false);

const stage = staged();

async function onPage(use, hash = SHORT, options) {
  const reader = await stage.open(hash, options);
  try {
    await use(reader);
  } finally {
    await reader.close();
  }
}

const WORDS = ["view", "view", "view", "cart", "wishlist", "purchase"];

/** A shop's log under names that no guess knows: semicolons, a header, dates, text ids, and some rows that are none. */
function shop(rows, { head = "when;did;kind;who;what", refused = 2 } = {}) {
  const random = seeded(3);
  const below = (n) => Math.floor(n * random());
  const lines = [head];
  for (let row = 0; row < rows; row += 1) {
    const when = new Date(1_600_000_000_000 + row * 60_000).toISOString();
    lines.push(`${when};${WORDS[below(WORDS.length)]};k${below(7)};user ${below(60)};i${below(90)}`);
  }
  for (let row = 0; row < refused; row += 1) lines.push(`noon;view;k1;user ${row};i1`);
  return `${lines.join("\n")}\n`;
}

/** A feed with labels of its own. */
function feed(rows) {
  const random = seeded(5);
  const below = (n) => Math.floor(n * random());
  const line = (row) => `${below(50)},${below(80)},${1_650_000_000 + row},${below(2)},${below(60)}`;
  return `user_id,video_id,timestamp,is_click,seconds_watched\n${Array.from({ length: rows }, (_, row) => line(row)).join("\n")}\n`;
}

const file = (name, text) => ({ name, mimeType: "text/csv", buffer: Buffer.from(text) });
const choose = (reader, name, text) => reader.part("own-file").setInputFiles(file(name, text));
const pick = (reader, id, words) => reader.part(id).selectOption(words);
const form = (reader) => reader.part("own-form").waitFor();
const problem = (reader) => reader.until("a sentence on the file", async () => {
  const said = [reader.part("own-problem"), reader.part("own-fault")];
  for (const one of said) if (await one.count()) return one.innerText();
  return "";
});

/** Drops a file where an element is, as a person would. */
async function drop(reader, id, name, text) {
  const data = await reader.page.evaluateHandle(([name, text]) => {
    const data = new DataTransfer();
    data.items.add(new File([text], name));
    return data;
  }, [name, text]);
  await reader.part(id).dispatchEvent("drop", { dataTransfer: data });
}

const trained = async (reader) => {
  await reader.press("own-train");
  await reader.plays();
  return reader.page.locator(".data").innerText();
};

describe("a file of one's own", { timeout: WHOLE }, () => {
  test("it is chosen, its columns are corrected by selects, and the race trains on its rows", () =>
    onPage(async (reader) => {
      await choose(reader, "shop.csv", shop(3_000));
      await form(reader);
      const chosen = async () => {
        const all = ["user", "item", "category", "behaviour", "time"].map((what) => reader.part(`own-${what}`));
        return Promise.all(all.map((select) => select.evaluate((own) => own.selectedOptions[0].textContent.split(" (")[0])));
      };
      // By their places, which are wrong, and said to be a guess.
      assert.deepEqual([(await chosen())[4], await reader.part("own-delimiter").inputValue()], ["when", "semicolon"]);
      assert.match(await reader.text("own-doubts"), /is taken for the user by its place/);
      await pick(reader, "own-user", "who");
      await pick(reader, "own-item", "what");
      await pick(reader, "own-category", "kind");
      assert.deepEqual(await chosen(), ["who", "what", "kind", "did", "when"]);
      const rows = await reader.until("rows with the names", async () => {
        const rows = await reader.text("own-rows");
        return /user \d/.test(rows) && rows;
      });
      assert.match(rows, /2\tuser \d+\ti\d+\tk\d\t(look|cart|favourite|bought)\t2020-09-13 12:26:40/);
      assert.match(await reader.text("own-kept"), /Of the whole file, 3,000 rows would be kept and 2 refused/);
      assert.match(await reader.text("own-form"), /2 rows: a time that is neither a number of seconds nor a date, first in line 3002: "noon"/);
      const told = await trained(reader);
      assert.match(told, /Your file: shop\.csv/);
      assert.match(told, /2 rows: a time that is neither/);
      const figures = Object.fromEntries(
        await reader.page.locator(".facts div").evaluateAll((all) => all.map((one) => [one.children[0].textContent, one.children[1].textContent])),
      );
      assert.deepEqual([figures.rows, figures.users, figures.items, figures.categories], ["3,000", "60", "90", "7"]);
      assert.equal(await reader.text("data-badge"), "Data\nYour file");
      await reader.link(/&file=shop\.csv&bytes=\d+/);
      // Again from the start: the same rows, without choosing.
      await reader.press("reset");
      await reader.plays();
      assert.match(await reader.page.locator(".data").innerText(), /Your file: shop\.csv/);
      // And away from them, and back.
      assert.equal(await reader.part("data").locator("option[value=own]").innerText(), "shop.csv");
      await reader.press("data-badge");
      await pick(reader, "data", "synthetic");
      await reader.until("the synthetic stream", async () => /Synthetic/.test(await reader.text("data-badge")));
      await reader.plays();
      await reader.page.goBack();
      await reader.until("the file", async () => /Your file/.test(await reader.text("data-badge")));
      assert.deepEqual(reader.wrong, []);
    }));

  test("dropped, packed with gzip, words unknown and a word that is refused", () =>
    onPage(async (reader) => {
      await drop(reader, "own-file", "shop.csv", shop(2_000, { head: "time;event;category;user;item", refused: 0 }).replaceAll("wishlist", "stare"));
      await form(reader);
      assert.match(await reader.text("own-doubts"), /It is not known what stare mean/);
      const words = reader.page.locator(".words label");
      const stare = words.filter({ hasText: "stare" }).locator("select");
      assert.equal(await stare.inputValue(), "refuse");
      const kept = async () => Number(/([\d,]+) rows would be kept/.exec(await reader.text("own-kept"))[1].replace(",", ""));
      const before = await kept();
      await stare.selectOption("favourite");
      assert.ok(before < 1_900, `${before}`);
      await reader.until("all rows", async () => (await kept()) === 2_000);
      const packed = { name: "shop.csv.gz", mimeType: "application/gzip", buffer: gzipSync(shop(2_000, { head: "time;event;category;user;item" })) };
      await reader.part("own-file").setInputFiles(packed);
      await reader.until("the packed file", async () => /shop\.csv\.gz.*packed/.test(await reader.text("own-form")));
      const told = await trained(reader);
      assert.match(told, /Your file: shop\.csv\.gz/);
      // A lesson dropped elsewhere is a lesson still.
      await drop(reader, "seed", "own.md", "no lesson");
      await reader.until("its fault", async () => (await reader.part("lesson-fault").count()) > 0);
      assert.deepEqual(reader.wrong, []);
    }));

  test("labels in the place of behaviours train by protocol E1, from a value that a person says", () =>
    onPage(async (reader) => {
      await choose(reader, "feed.csv", feed(4_000));
      await form(reader);
      assert.deepEqual([await reader.part("own-says").inputValue(), await reader.part("own-negatives").inputValue()], ["labels", "none"]);
      assert.equal(await reader.part("own-label").inputValue(), "is_click");
      await pick(reader, "own-label2", "seconds_watched");
      await reader.part("own-least2").fill("30");
      await reader.part("own-least2").press("Enter");
      await reader.until("both tasks", async () => /not taken, task B/.test(await reader.text("own-rows")));
      await reader.part("own-least2").fill("much");
      await reader.part("own-least2").press("Enter");
      assert.match(await problem(reader), /`much` .* is no number/);
      await reader.part("own-least2").fill("30");
      await reader.part("own-least2").press("Enter");
      await trained(reader);
      await reader.link(/negatives=none/);
      // A preset, which draws negatives, does not undo it.
      await pick(reader, "preset", "long");
      await reader.until("another run", async () => /preset=long/.test(reader.page.url()));
      await reader.link(/negatives=none/);
      assert.deepEqual(reader.wrong, []);
    }));

  test("columns that tell something of users and items are guessed, chosen, and read by the rankers", () =>
    onPage(async (reader) => {
      const rows = shop(3_000, { head: "time;event;category;user;item", refused: 0 }).trimEnd().split("\n");
      const [head, ...lines] = rows;
      const of = (line) => Number(line.split(";")[3].slice("user ".length));
      const priced = (line) => Number(line.split(";")[4].slice(1)) % 4;
      await choose(reader, "shop.csv", [`${head};town;age;price`, ...lines.map((line) => `${line};town ${of(line) % 3};${20 + of(line)}.5;${priced(line)}`)].join("\n"));
      await form(reader);
      assert.match(await reader.text("own-doubts"), /Taken for the user's profile by their names: age/);
      const known = () =>
        reader.page.locator(".known label").evaluateAll((all) => all.map((one) => [one.innerText.split(" (")[0], one.querySelector("select").value]));
      assert.deepEqual(await known(), [["town", "nothing"], ["age", "user"], ["price", "item"]]);
      await pick(reader, "own-known-0", "user");
      await pick(reader, "own-known-2", "item");
      assert.deepEqual((await known()).map(([, tells]) => tells), ["user", "user", "item"]);
      const told = await trained(reader);
      assert.match(told, /town is a field of 3 values of each user/);
      assert.match(told, /age is two fields of each user, which tell its \d\d values apart/);
      assert.match(told, /price is a field of 4 values of each item/);
      assert.deepEqual(reader.wrong, []);
    }));

  test("a link asks for the file that it was made for", () =>
    onPage(async (reader) => {
      const said = await reader.text("missing-file");
      assert.match(said, /made for the file my <b>shop<\/b>\.csv of 1,234 bytes/);
      await reader.part("missing-file-input").setInputFiles(file("shop.csv", shop(2_000, { head: "time;event;category;user;item" })));
      await form(reader);
      await trained(reader);
      assert.equal(await reader.part("missing-file").count(), 0);
      await reader.link(/&file=shop\.csv&/);
      await reader.page.goto(`${stage.site.url}#${SHORT}&file=shop.csv&bytes=many`);
      await reader.page.reload();
      await reader.until("a notice", async () => (await reader.part("notice").count()) > 0);
      assert.match(await reader.text("notice"), /bytes= its size, a whole number/);
    }, `${SHORT}&file=${encodeURIComponent("my <b>shop</b>.csv")}&bytes=1234`));

  test("by keyboard alone", () =>
    onPage(async (reader) => {
      const { page } = reader;
      await choose(reader, "shop.csv", shop(2_000, { head: "time;event;category;user;item" }));
      await form(reader);
      await reader.part("own-file").focus();
      const seen = [];
      for (let press = 0; press < 40 && seen.at(-1) !== "own-train"; press += 1) {
        await page.keyboard.press("Tab");
        seen.push(await page.evaluate(() => document.activeElement.dataset.testid ?? document.activeElement.className));
      }
      for (const id of ["own-delimiter", "own-header", "own-user", "own-item", "own-time", "own-category", "own-says", "own-word-0", "own-train"]) {
        assert.ok(seen.includes(id), `${id} is not among ${seen}`);
      }
      await page.keyboard.press("Enter");
      await reader.plays();
    }));

  for (const theme of ["light", "dark"]) {
    for (const [size, viewport] of Object.entries({ laptop: { width: 1280, height: 800 }, phone: { width: 320, height: 640 } })) {
      test(`axe finds nothing and nothing is cut, ${theme}, ${size}`, () =>
        onPage(async (reader) => {
          const look = async (state) => {
            assert.deepEqual(await faults(reader.page), [], state);
            const wide = await reader.page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
            assert.ok(wide <= 0, `${state}: the page is ${wide} px wider than the window`);
            if (shots) await reader.part("panel-data").screenshot({ path: join(shots, `own-${state.replaceAll(" ", "-")}-${theme}-${size}.png`) });
          };
          await reader.phase("Paused");
          await look("nothing chosen");
          await choose(reader, "shop-with-a-rather-long-name-of-the-year-2020.csv", shop(2_000));
          await form(reader);
          await look("a guess");
          await choose(reader, "feed.csv", feed(2_000));
          await reader.until("labels", async () => (await reader.part("own-label").count()) > 0);
          await look("labels");
          await choose(reader, "one.csv", "a\nb\nc\n");
          await problem(reader);
          await look("a problem");
        }, `${SHORT}&theme=${theme}`, { viewport }));
    }
  }

  test("real rows, where they are: the first users of Taobao's file", { skip: !hasTaobao }, () =>
    onPage(async (reader) => {
      await reader.part("own-file").setInputFiles(TAOBAO);
      await form(reader);
      assert.match(await reader.text("own-kept"), /Of the first 262 KB, [\d,]+ rows would be kept and 0 refused/);
      const told = await trained(reader);
      assert.match(told, /rows\s+66,1\d\d/);
      assert.match(told, /users\s+655/);
    }));
});

/** A feed's columns, as a table in Parquet or as CSV. */
function taken(rows) {
  const random = seeded(9);
  const below = (n) => Math.floor(n * random());
  const column = (name, type, value) => ({ name, type, data: Array.from({ length: rows }, (_, row) => value(row)) });
  return [
    column("user_id", "STRING", () => `u ${below(60)}, "x"`),
    column("item_id", "INT64", () => BigInt(below(90))),
    column("category_id", "INT32", () => below(7)),
    column("behavior", "STRING", () => ["pv", "pv", "cart", "buy"][below(4)]),
    column("timestamp", "INT64", (row) => BigInt(1_600_000_000 + 60 * row)),
  ];
}
const quoted = (value) => (/[",]/.test(`${value}`) ? `"${value.replaceAll('"', '""')}"` : `${value}`);
function csv(columns) {
  const rows = columns[0].data.map((_, row) => columns.map(({ data }) => quoted(data[row])).join(","));
  return `${[columns.map(({ name }) => name).join(","), ...rows].join("\n")}\n`;
}
const table = (columns, options = {}) => Buffer.from(parquetWriteBuffer({ columnData: columns, ...options }));
const chooseTable = (reader, name, bytes) => reader.part("own-file").setInputFiles({ name, mimeType: "application/octet-stream", buffer: bytes });
/** A method of packing that only says that it packs. */
const by = (codec) => ({ codec, compressors: { [codec]: (bytes) => bytes } });

describe("a table in Parquet", { timeout: WHOLE }, () => {
  test("is read as text, and trains to the figures of the same rows in CSV", () =>
    onPage(async (reader) => {
      const columns = taken(3_000);
      const ended = async () => {
        await form(reader);
        await reader.press("own-train");
        await reader.phase("Finished");
        return reader.text("auc-table");
      };
      await chooseTable(reader, "shop.parquet", table(columns, { rowGroupSize: 1_000 }));
      await form(reader);
      assert.match(await reader.text("own-doubts"), /A Parquet table, read as lines of text/);
      assert.match(await reader.text("own-kept"), /Of the whole file, 3,000 rows would be kept and 0 refused/);
      assert.match(await reader.text("own-rows"), /2\tu \d+, .*x.*\t\d+\t\d\t\w+\t2020-09-13 12:26:40/);
      const ofTable = await ended();
      assert.match(await reader.page.locator(".data").innerText(), /Your file: shop\.parquet/);
      await reader.link(/&file=shop\.parquet&bytes=\d+/);
      await choose(reader, "shop.csv", csv(columns));
      await reader.until("the other file", async () => /shop\.csv/.test(await reader.text("own-form")));
      assert.equal(ofTable, await ended());
      assert.deepEqual(reader.wrong, []);
    }));

  test("whatever it is packed by, times in milliseconds and nulls are read, and unknown methods named", () =>
    onPage(async (reader) => {
      const columns = taken(500);
      Object.assign(columns[4], { type: "TIMESTAMP", data: columns[4].data.map((seconds) => new Date(Number(seconds) * 1_000)) });
      columns[0].data[7] = undefined;
      for (const [name, options] of [["plain.parquet", { codec: "UNCOMPRESSED" }], ["gzip.parquet", { codec: "GZIP", compressors: { GZIP: (bytes) => new Uint8Array(gzipSync(bytes)) } }]]) {
        await chooseTable(reader, name, table(columns, options));
        await reader.until(name, async () => (await reader.part("own-form").count()) > 0 && (await reader.text("own-form")).includes(name));
        assert.match(await reader.text("own-kept"), /499 rows would be kept and 1 refused/, name);
      }
      await chooseTable(reader, "new.parquet", table(columns, by("ZSTD")));
      assert.match(await problem(reader), /new\.parquet cannot be understood: its columns are packed by ZSTD.*Snappy or gzip\. Choose another file/);
    }));

  test("damaged, cut off or without its reader it is a sentence, and the next file is read", () =>
    onPage(async (reader) => {
      const bytes = table(taken(2_000));
      await chooseTable(reader, "cut.parquet", bytes.subarray(0, bytes.length - 9));
      assert.match(await problem(reader), /cut\.parquet cannot be read: .*Choose another file, or write this one as CSV\./);
      const damaged = Buffer.from(bytes);
      damaged.fill(0x5a, 300, 900);
      await chooseTable(reader, "damaged.parquet", damaged);
      assert.match(await problem(reader), /damaged/i);
      await reader.page.route("**/table_loader.js", (route) => route.fulfill({ status: 404, body: "" }));
      await chooseTable(reader, "shop.parquet", bytes);
      await reader.until("that there is no reader", async () => /could not be started: table_loader\.js did not load/.test(await problem(reader)));
      await reader.page.unroute("**/table_loader.js");
      await chooseTable(reader, "shop.parquet", bytes);
      await form(reader);
      await trained(reader);
    }));

  test("progress is told, and of two choices the later counts", () =>
    onPage(async (reader) => {
      await reader.phase("Paused");
      const large = table(taken(400_000), { rowGroupSize: 50_000 });
      await chooseTable(reader, "large.parquet", large);
      await reader.until("progress", async () => /Reading large\.parquet: row [\d,]+ of 400,000/.test(await reader.text("own-status")) || (await reader.part("own-form").count()) > 0);
      await chooseTable(reader, "large.parquet", large);
      await choose(reader, "shop.csv", shop(2_000));
      await form(reader);
      await reader.page.waitForTimeout(500);
      assert.match(await reader.text("own-form"), /shop\.csv/);
      assert.equal(await reader.text("own-status"), "");
      assert.deepEqual(reader.wrong, []);
    }));
});

describe("files that are no rows", { timeout: WHOLE }, () => {
  const OTHER = [
    ["empty.csv", "", /empty\.csv is empty/],
    ["rows.xlsx", "PK\u0003\u0004" + "\0".repeat(26) + "[Content_Types].xml", /a spreadsheet, not rows\. Save it as CSV/],
    ["rows.zip", "PK\u0003\u0004rows", /a zip archive, not rows\. Unpack it first/],
    ["rows.bin", "1,2\0,3", /a binary file/],
    ["page.csv", "<!doctype html><html>", /a web page/],
    ["one.csv", "ada\nbob\neve\n", /A line has one column, and a user, an item and a time are needed\. Say otherwise what parts the values/],
    ["head.csv", "user,item,time\n", /has no row left: it has no line with values/],
  ];
  test("each is called what it is, with a way on, and the run goes on as it was", () =>
    onPage(async (reader) => {
      await reader.phase("Paused");
      for (const [name, text, said] of OTHER) {
        await choose(reader, name, text);
        await reader.until(name, async () => (await reader.part("own-form").count()) > 0 && (await reader.text("own-form")).includes(name));
        assert.match(await problem(reader), said, name);
        assert.equal(await reader.part("own-train").count(), 0, name);
      }
      await reader.press("own-forget");
      await reader.part("own-form").waitFor({ state: "detached" });
      await reader.walk(1);
      assert.deepEqual(reader.wrong, []);
    }));

  test("times that nobody can read, and a damaged gzip", () =>
    onPage(async (reader) => {
      await choose(reader, "late.csv", "user,item,time\n1,2,noon\n2,3,dusk\n");
      await form(reader);
      assert.match(await reader.text("own-kept"), /0 rows would be kept and 2 refused\. Say otherwise what the columns mean/);
      assert.ok(await reader.part("own-train").isDisabled());
      const packed = gzipSync(shop(9_000));
      await reader.part("own-file").setInputFiles({ name: "cut.gz", mimeType: "application/gzip", buffer: packed.subarray(0, 40).fill(7, 12) });
      assert.match(await problem(reader), /cut\.gz cannot be read \(the browser cannot unpack it/);
    }));

  test("a quote that is never closed is named when all is read, with a control that leads back", () =>
    onPage(async (reader) => {
      const rows = shop(60_000, { head: "time;event;category;user;item", refused: 0 }).split("\n");
      rows[20_000] = rows[20_000].replace("user ", '"user ');
      await choose(reader, "open.csv", rows.join("\n"));
      await form(reader);
      await reader.press("own-train");
      assert.match(await reader.failure(), /Close the quote[\s\S]*open\.csv, line 20001: a quote opens a value here that does not end within a megabyte/);
      assert.deepEqual(await reader.page.locator('[data-testid="failure"] button').allInnerTexts(), [
        "See the file and its columns", "Start again", "Use synthetic data", "Back to defaults",
      ]);
      await reader.press("choose-rows");
      await reader.until("the focus", () => reader.page.evaluate(() => document.activeElement.dataset.testid === "own-file"));
      await reader.press("use-synthetic");
      await reader.plays();
      assert.equal(await reader.part("failure").count(), 0);
    }));

  test("a file that vanished or changed after it was chosen", () =>
    onPage(async (reader) => {
      const folder = await mkdtemp(join(tmpdir(), "duia-own-"));
      try {
        const path = join(folder, "shop.csv");
        await writeFile(path, shop(20_000, { head: "time;event;category;user;item" }));
        await reader.part("own-file").setInputFiles(path);
        await form(reader);
        await truncate(path, 1_000);
        await reader.press("own-train");
        assert.match(await reader.failure(), /shop\.csv cannot be read: it was changed, moved or removed since you chose it/);
        await rm(path);
        await reader.press("restart");
        assert.match(await reader.failure(), /changed, moved or removed/);
      } finally {
        await rm(folder, { recursive: true });
      }
    }));
});

describe("large files", { timeout: WHOLE }, () => {
  /** A file of so many megabytes, made in the page: users of some rows each, nearly as many items as rows. */
  const large = (reader, megabytes) =>
    reader.part("own-file").evaluate((input, megabytes) => {
      const parts = [];
      let row = 0;
      for (let part = 0; part < megabytes; part += 1) {
        let text = part ? "" : "user_id,item_id,timestamp\n";
        while (text.length < 1_000_000) {
          text += `${(row * 7_919) % 3_000_017},${row},${1_500_000_000 + row}\n`;
          row += 1;
        }
        parts.push(new Blob([text]));
      }
      const data = new DataTransfer();
      data.items.add(new File(parts, "large.csv"));
      input.files = data.files;
      input.dispatchEvent(new Event("change", { bubbles: true }));
      return row;
    }, megabytes);

  test("progress is told, and another choice ends the reading at once", () =>
    onPage(async (reader) => {
      await large(reader, 300);
      await form(reader);
      await reader.press("own-train");
      await reader.until("progress", async () => (await reader.part("reading").count()) > 0 && /large\.csv: [\d.]+ [KMG]B of 300/.test(await reader.text("reading")));
      const first = await reader.text("reading");
      await reader.until("more of it", async () => (await reader.text("reading")) !== first, SOON);
      await reader.press("data-badge");
      await pick(reader, "data", "synthetic");
      await reader.until("a run on the synthetic stream", async () => /^(Training|Finished)/.test(await reader.text("phase")));
      assert.equal(await reader.part("reading").count(), 0);
      assert.deepEqual(reader.wrong, []);
    }, SHORT.replace("&autoplay=off", "")));

  test("more users than fit are chosen by a hash, which is said", () =>
    onPage(async (reader) => {
      // The memory of a small phone.
      await large(reader, 60);
      await form(reader);
      await reader.press("own-train");
      await reader.plays();
      const notes = await reader.text("notes");
      assert.match(notes, /\d+ of about \d+ users, chosen by a hash, were kept so that the run fits; \d+ rows of the others were left out/);
      assert.deepEqual(reader.wrong, []);
    }, SHORT, {
      prepare: (page) =>
        page.route("**/worker_loader.js", async (route) => {
          const answer = await route.fetch();
          const code = 'Object.defineProperty(navigator, "deviceMemory", { value: 0.5 });';
          await route.fulfill({ response: answer, body: `${code}\n${await answer.text()}` });
        }),
    }));
});
