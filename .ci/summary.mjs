// Sums the reports of every test run of a workspace: what ran per report, what was skipped, so that it can be seen, and
// one last line. A script that writes a report names it with --outputFile.json; one that is missing is a run that broke off.
//
//   node .ci/summary.mjs ["make test=0" …]   what was run and its exit code
//
// Ends with 1 when a test failed, a file could not run, a report is missing, or a command failed although no test did.
import { existsSync, readFileSync } from "node:fs";

const total = { passed: 0, failed: 0, skipped: 0 };
for (const report of expectedReports()) {
  const count = existsSync(report.path) ? countReport(report) : { passed: 0, failed: 1, skipped: 0 };
  if (!existsSync(report.path)) console.log(`FAILED  ${report.path} is missing: its tests broke off, or never began`);
  for (const key of Object.keys(total)) total[key] += count[key];
}
const broken = process.argv.slice(2).filter((outcome) => !outcome.endsWith("=0"));
for (const outcome of broken) console.log(`FAILED  ${outcome.replace("=", " ended with exit code ")}`);
// Lint, types and what a run does before and after its tests have no report.
if (total.failed === 0) total.failed = broken.length;
console.log(line(total));
process.exitCode = total.failed > 0 ? 1 : 0;

/** Every report that the scripts of a workspace write. */
function expectedReports() {
  const { workspaces } = JSON.parse(readFileSync("package.json", "utf8"));
  return workspaces.flatMap((room) => {
    const scripts = Object.values(JSON.parse(readFileSync(`${room}/package.json`, "utf8")).scripts ?? {});
    const files = scripts.flatMap((script) =>
      [...script.matchAll(/--outputFile\.json=(\S+)/g)].map(([, file]) => file),
    );
    return files.map((file) => ({ room, path: `${room}/${file}` }));
  });
}

function countReport({ room, path }) {
  const count = { passed: 0, failed: 0, skipped: 0 };
  const { testResults } = JSON.parse(readFileSync(path, "utf8"));
  for (const file of testResults) {
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
  console.log(`${path}: ${testResults.length} files, ${line(count)}`);
  return count;
}

function line({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`;
}
