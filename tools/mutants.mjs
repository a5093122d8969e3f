// The result of cargo-mutants as the table of docs/testing.md: node tools/mutants.mjs target/mutants.out/outcomes.json
// Exits with 1 when more than one mutant in twenty survived.
import { readFileSync } from 'node:fs';

const SURVIVED_MAX = 0.05;
const KINDS = { CaughtMutant: 'caught', Timeout: 'caught', MissedMutant: 'survived', Unviable: 'unviable' };

const { outcomes } = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const areas = new Map();
const empty = () => ({ mutants: 0, caught: 0, survived: 0, unviable: 0 });
const all = empty();
const survivors = [];
for (const { scenario, summary } of outcomes) {
  const mutant = scenario.Mutant;
  if (!mutant) continue;
  const area = mutant.file.replace(/^crates\/(core\/src|smtp\/src)\//, (_, crate) => (crate.startsWith('smtp') ? 'smtp/' : '')).replace('.rs', '');
  if (!areas.has(area)) areas.set(area, empty());
  for (const sums of [areas.get(area), all]) {
    sums.mutants += 1;
    sums[KINDS[summary]] += 1;
  }
  if (KINDS[summary] === 'survived') survivors.push(mutant.name);
}
const row = (area, sums) => console.log(`| ${area} | ${sums.mutants} | ${sums.caught} | ${sums.survived} | ${sums.unviable} |`);
console.log('| file | mutants | caught | survived | unviable |\n|---|---:|---:|---:|---:|');
for (const [area, sums] of areas) row(`\`${area}\``, sums);
row('**in all**', all);
for (const name of survivors) console.log(`survived: ${name}`);
const share = all.survived / Math.max(1, all.caught + all.survived);
console.log(`${(100 * share).toFixed(1)} % survived`);
if (share > SURVIVED_MAX || all.mutants === 0) process.exit(1);
