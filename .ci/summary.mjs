// Sums the reports of every vitest run (<room>/test-results.json): what ran per room, what was skipped and why it can
// be seen, and one last line. Ends with 1 when a test failed, a file could not run, or no report is there.
import { existsSync, readdirSync, readFileSync } from "node:fs";

const rooms = readdirSync(".").filter((name) => existsSync(`${name}/test-results.json`));
const total = { passed: 0, failed: 0, skipped: 0 };
for (const room of rooms) {
  const report = JSON.parse(readFileSync(`${room}/test-results.json`, "utf8"));
  const count = { passed: 0, failed: 0, skipped: 0 };
  for (const file of report.testResults) {
    const tests = file.assertionResults;
    const name = file.name.slice(file.name.indexOf(`/${room}/`) + 1);
    // A file that cannot be loaded has no tests; it is one failure.
    if (tests.length === 0 && file.status === "failed") {
      count.failed += 1;
      console.log(`FAILED  ${name}: ${file.message.split("\n")[0]}`);
    }
    for (const test of tests) {
      const outcome = test.status === "passed" || test.status === "failed" ? test.status : "skipped";
      count[outcome] += 1;
      if (outcome !== "passed")
        console.log(`${outcome === "failed" ? "FAILED " : "SKIPPED"} ${name}: ${test.fullName}`);
    }
  }
  console.log(`${room}: ${report.testResults.length} files, ${line(count)}`);
  for (const key of Object.keys(total)) total[key] += count[key];
}
if (rooms.length === 0) console.log("no test ran");
console.log(line(total));
process.exitCode = total.failed > 0 || rooms.length === 0 ? 1 : 0;

function line({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`;
}
