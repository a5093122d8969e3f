// A mailing of a million letters, once on each database: its cost, its memory over time, when the
// first letter is sent, and whether every address gets one letter. Writes a section of
// docs/performance.md.
//
//   node bench/million.mjs PATH-OF-SKYCHIMP   (make bench-million, with a private PostgreSQL)
//
// LETTERS (1000000) changes the size. Only the default writes the table. ON=SQLite or ON=PostgreSQL
// runs one of them.
import { resolve } from 'node:path';
import { Bed, closeAll, sink } from './bed.mjs';
import { writeTable } from './docs.mjs';
import { machine, say, table, whole } from './table.mjs';

const binary = resolve(process.argv[2] ?? 'target/release/skychimp');
const LETTERS = Number(process.env.LETTERS ?? 1_000_000);
const only = process.env.ON;
const BYTES = 20_000;

async function on(name, makeBed) {
  const bed = await makeBed();
  const owner = bed.user('million@example.org');
  say(`${name}: import of ${whole(LETTERS)} recipients`);
  await bed.import(owner, LETTERS);
  say(`${name}: ${whole(LETTERS)} letters`);
  const target = await sink({ count: true });
  const run = await bed.send(owner, bed.letter(BYTES), LETTERS, target.port);
  const letters = target.letters();
  target.close();
  const { sent: logged, addresses, first } = bed.logged(run.mailing);
  bed.close();
  const problems = [letters, addresses, logged].filter((number) => number !== LETTERS);
  if (problems.length > 0) say(`  WRONG: ${letters} letters, ${addresses} addresses, ${logged} attempts in the log`);
  const { memories } = run;
  const middle = (from, to) => memories.slice(Math.floor(memories.length * from), Math.ceil(memories.length * to));
  return {
    name,
    ...run,
    first: first - run.startedAt,
    letters,
    addresses,
    logged,
    early: Math.max(...middle(0.1, 0.3)),
    late: Math.max(...middle(0.8, 1)),
    wrong: problems.length > 0,
  };
}

function report(results) {
  const row = (what, pick) => [what, ...results.map(pick)];
  return [
    `One mailing of ${whole(LETTERS)} letters of ${BYTES / 1000} kB HTML, 50 connections. ${machine()}`,
    '',
    table(results.map((result) => result.name), [
      row('letters/s', (result) => whole(result.rate)),
      row('CPU of the program per letter, µs', (result) => whole(result.cpu)),
      row('… CPU of the database server per letter, µs', (result) => (result.databaseCpu > 0 ? whole(result.databaseCpu) : 'in the program')),
      row('first letter, ms after the start of the sending process', (result) => whole(result.first)),
      row('peak memory of the program, MB', (result) => whole(result.memory / 1e6)),
      row('… after a fifth of the time, MB', (result) => whole(result.early / 1e6)),
      row('… at the end, MB', (result) => whole(result.late / 1e6)),
      row('sent, according to the run', (result) => whole(result.totals.sent)),
      row('accepted attempts in the log', (result) => whole(result.logged)),
      row('… to distinct addresses', (result) => whole(result.addresses)),
      row('letters that the sink received', (result) => whole(result.letters)),
    ]),
  ].join('\n');
}

try {
  const beds = [['SQLite', () => Bed.sqlite(binary)], ['PostgreSQL', () => Bed.postgres(binary)]];
  const results = [];
  for (const [name, makeBed] of beds) if (!only || only === name) results.push(await on(name, makeBed));
  const text = report(results);
  console.log(text);
  if (LETTERS === 1_000_000 && !only) writeTable('million', text);
  process.exitCode = results.some((result) => result.wrong) ? 1 : 0;
} finally {
  closeAll();
}
