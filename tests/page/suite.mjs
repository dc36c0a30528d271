// Runs all files of tests, or those that are named, one after the other. A file that fails runs once more, because a browser is a third
// party that now and then crashes by itself. Its first failure stays in the output, the end of `make test` names the file, and one that
// fails twice has failed. To see a test without this: node --test page.test.mjs

import { spawnSync } from "node:child_process";
import { appendFileSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { target } from "./helpers.mjs";

const here = import.meta.dirname;
const tmp = join(target, "tmp");
const named = process.argv.slice(2);
const files = named.length > 0 ? named : readdirSync(here).filter((file) => file.endsWith(".test.mjs")).sort();

const passes = (file) => spawnSync(process.execPath, ["--test", file], { cwd: here, stdio: "inherit" }).status === 0;

const failed = [];
for (const file of files) {
  console.log(`\n${file}`);
  if (passes(file)) continue;
  console.log(`\n${file} FAILED, as said above, and runs once more`);
  if (passes(file)) {
    const line = `PASSED AT THE SECOND ATTEMPT: tests/page/${file}: its first failure is in the output above`;
    console.log(line);
    mkdirSync(tmp, { recursive: true });
    appendFileSync(join(tmp, "not-tested.txt"), `${line}\n`);
  } else {
    failed.push(file);
  }
}
if (failed.length > 0) {
  console.log(`\nFAILED TWICE: ${failed.join(", ")}`);
  process.exitCode = 1;
}
