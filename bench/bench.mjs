// How fast, and at what price? Measures the release binary by its commands, on SQLite and on PostgreSQL with its
// default durability, beside Postfix's smtp-source into the same smtp-sink in the same run, and writes
// docs/performance.md. Afterwards the proof of exactness: a large mailing whose letters are counted per address.
//
//   node bench/bench.mjs PATH-OF-SKYCHIMP          (make bench does it, with a private PostgreSQL)
//
// LETTERS (20000), ROWS (200000), EXACT (100000) and ROUNDS (3) change the sizes; only the defaults write the table.
import { spawnSync } from 'node:child_process';
import { cpus, totalmem } from 'node:os';
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { measured } from './measured.mjs';
import { Bed, closeAll, counted, silentServer, sink } from './bed.mjs';

const binary = resolve(process.argv[2] ?? 'target/release/skychimp');
const size = (name, standard) => Number(process.env[name] ?? standard);
const LETTERS = size('LETTERS', 20_000);
const ROWS = size('ROWS', 200_000);
const EXACT = size('EXACT', 100_000);
const ROUNDS = size('ROUNDS', 3);
const standard = !['LETTERS', 'ROWS', 'EXACT', 'ROUNDS'].some((name) => process.env[name]);
const LETTER_BYTES = 20_000;

const say = (text) => console.error(`bench: ${text}`);
const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];
const whole = (number) => Math.round(number).toLocaleString('en').replaceAll(',', ' ');

/** Letters per second and CPU per letter of smtp-source. */
async function source(port) {
  const run = await measured('smtp-source', [
    '-s', '50', '-l', `${LETTER_BYTES}`, '-m', `${LETTERS}`, '-d', '-f', 'news@example.org', '-t', 'one@example.org', `127.0.0.1:${port}`,
  ]);
  return { rate: LETTERS / run.seconds, cpu: (run.cpu / LETTERS) * 1e6 };
}

async function on(name, makeBed) {
  say(`${name}: import of ${ROWS} rows`);
  const bed = await makeBed();
  const imports = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const owner = bed.user(`import${round}@example.org`);
    const run = await bed.import(owner, ROWS);
    imports.push(ROWS / run.seconds);
  }

  say(`${name}: expansion of ${ROWS} rows`);
  const silent = await silentServer();
  const expansions = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    expansions.push(ROWS / (await bed.expansion(`import${round}@example.org`, ROWS, silent.port)));
  }
  silent.close();

  say(`${name}: ${LETTERS} letters of ${LETTER_BYTES} bytes, ${ROUNDS} times, in turn with smtp-source`);
  const rounds = [];
  const owner = bed.user('letters@example.org');
  await bed.import(owner, LETTERS);
  for (let round = 0; round < ROUNDS; round += 1) {
    const target = await sink();
    const theirs = await source(target.port);
    const ours = await bed.send(owner, bed.letter(LETTER_BYTES), LETTERS, target.port);
    target.close();
    rounds.push({ theirs, ours });
    say(`  ${whole(ours.rate)}/s, ${whole(ours.cpu)} µs a letter; smtp-source ${whole(theirs.rate)}/s, ${whole(theirs.cpu)} µs`);
  }

  say(`${name}: ${EXACT} letters, counted per address`);
  const exact = await exactness(bed);
  bed.close();
  const middle = (pick) => median(rounds.map(pick));
  return {
    name,
    imports: median(imports),
    expansions: median(expansions),
    rate: middle((round) => round.ours.rate),
    cpu: middle((round) => round.ours.cpu),
    databaseCpu: middle((round) => round.ours.databaseCpu),
    memory: Math.max(...rounds.map((round) => round.ours.memory), exact.memory),
    sourceRate: middle((round) => round.theirs.rate),
    sourceCpu: middle((round) => round.theirs.cpu),
    exact,
  };
}

/** Every address of a large mailing gets one letter, and all totals agree. */
async function exactness(bed) {
  const owner = bed.user('exact@example.org');
  await bed.import(owner, EXACT);
  const target = await sink({ keep: true });
  const run = await bed.send(owner, bed.letter(1_000), EXACT, target.port);
  target.close();
  const { letters, addresses } = await counted(target.folder);
  const logged = bed.logged(run.mailing, owner);
  const problems = [];
  const expect = (what, found, wanted) => found === wanted || problems.push(`${what}: ${found} instead of ${wanted}`);
  expect('letters in the sink', letters, EXACT);
  expect('addresses in the sink', addresses, EXACT);
  expect('sent, as the command says', run.totals.sent, EXACT);
  expect('sent attempts in the log', logged, EXACT);
  if (run.memory > 120e6) problems.push(`memory: ${whole(run.memory / 1e6)} MB instead of at most 120`);
  for (const problem of problems) say(`  WRONG: ${problem}`);
  return { letters, addresses, memory: run.memory, rate: run.rate, problems };
}

function report(results) {
  const row = (what, pick) => `| ${what} | ${results.map(pick).join(' | ')} |`;
  const version = (command, ...words) => spawnSync(command, words, { encoding: 'utf8' }).stdout.trim().split('\n')[0];
  return [
    '# Performance',
    '',
    'Written by `make bench`, which measures the release binary by its commands: `recipients import`, `message create`,',
    '`mailing create --run`, `send mailing --wait`. Medians of ' + ROUNDS + ' rounds; starting the process is part of each figure.',
    'PostgreSQL runs with its default durability. `smtp-source -s 50 -d` sends into the same `smtp-sink` in the same run, in',
    'turn with the program: it is the sender that knows nothing, so the difference is the price of knowing who got what.',
    `The letter is ${LETTER_BYTES / 1000} kB of HTML with ten personal links; 50 connections. CPU per letter counts rendering and keeping the record.`,
    '',
    row('', (result) => result.name),
    `|---|${results.map(() => '---:|').join('')}`,
    row(`import of ${whole(ROWS)} rows, rows/s`, (result) => whole(result.imports)),
    row(`expansion of ${whole(ROWS)} recipients, rows/s`, (result) => whole(result.expansions)),
    row(`sending ${whole(LETTERS)} letters, letters/s`, (result) => whole(result.rate)),
    row('… smtp-source in the same run, letters/s', (result) => whole(result.sourceRate)),
    row('CPU of the program per letter, µs', (result) => whole(result.cpu)),
    row('… CPU of the database server per letter, µs', (result) => (result.databaseCpu ? whole(result.databaseCpu) : 'in the program')),
    row('… CPU of smtp-source per letter, µs', (result) => whole(result.sourceCpu)),
    row('most memory of the program, MB', (result) => whole(result.memory / 1e6)),
    row(`mailing of ${whole(EXACT)}: letters in the sink`, (result) => whole(result.exact.letters)),
    row('… different addresses', (result) => whole(result.exact.addresses)),
    '',
    `Machine: ${cpus()[0].model.trim()}, ${cpus().length} cores, ${whole(totalmem() / 2 ** 30)} GiB; ${version('uname', '-sr')}; sender, sink and database share it.`,
    '',
  ].join('\n');
}

try {
  const results = [await on('SQLite', () => Bed.sqlite(binary)), await on('PostgreSQL', () => Bed.postgres(binary))];
  const text = report(results);
  console.log(text);
  if (standard) writeFileSync(join(import.meta.dirname, '../docs/performance.md'), text);
  process.exitCode = results.some((result) => result.exact.problems.length > 0) ? 1 : 0;
} finally {
  closeAll();
}
