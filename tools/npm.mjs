// Checks what npm installs: `node tools/npm.mjs FOLDER...` checks each directory's lock file.
//
// - Every package has a licence from the list below (cargo-deny has the list for Rust).
// - No package depends on another by a tag (`latest`): `npm ci` asks the registry what the tag
//   means today, and rejects the lock file after the next release. `overrides` in package.json must
//   name a version instead.
import { readFileSync } from 'node:fs';

const LICENCES = ['0BSD', 'Apache-2.0', 'BSD-2-Clause', 'BSD-3-Clause', 'BlueOak-1.0.0', 'ISC', 'MIT', 'MPL-2.0', '(MIT OR CC0-1.0)'];
// packages without a licence in the lock file: name, version, and what their LICENSE file says
const READ_BY_HAND = { 'node_modules/parse-cache-control@1.0.1': 'BSD-3-Clause' };

const problems = [];
for (const folder of process.argv.slice(2)) {
    const read = (name) => JSON.parse(readFileSync(`${folder}/${name}`, 'utf8'));
    const { overrides = {} } = read('package.json');
    for (const [path, entry] of Object.entries(read('package-lock.json').packages)) {
        const licence = READ_BY_HAND[`${path}@${entry.version}`] ?? entry.license;
        if (path && !LICENCES.includes(licence)) problems.push(`${folder}: ${path}: the licence ${licence} is not in the list of tools/npm.mjs`);
        for (const [name, range] of Object.entries({ ...entry.dependencies, ...entry.optionalDependencies })) {
            // version ranges begin with a digit, an operator, or a scheme with a colon
            const tag = /^[a-z]/i.test(range) && !range.includes(':') && range !== 'x';
            if (tag && !overrides[name]) problems.push(`${folder}: ${path} wants ${name}@${range}: name its version in the overrides of package.json`);
        }
    }
}
for (const problem of problems) console.error(problem);
process.exit(problems.length ? 1 : 0);
