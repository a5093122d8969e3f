// How fast is sending, and what does it cost? Measures the release binary through its commands, on
// SQLite and on PostgreSQL with default durability, and for comparison Postfix's smtp-source, in
// the same run into the same smtp-sink. Writes a section of docs/performance.md. At the end it
// proves exactness with a large mailing whose letters are counted per address.
//
//   node bench/bench.mjs PATH-OF-SKYCHIMP     (run by make bench, with a private PostgreSQL)
//
// LETTERS (20000), ROWS (200000), EXACT (100000) and ROUNDS (5) change the sizes. Only the defaults
// write the table.
import { resolve } from 'node:path';
import { measured } from './measured.mjs';
import { Bed, closeAll, counted, distant, octets, silentServer, sink } from './bed.mjs';
import { writeTable } from './docs.mjs';
import { machine, median, say, table, whole } from './table.mjs';

const binary = resolve(process.argv[2] ?? 'target/release/skychimp');
const size = (name, standard) => Number(process.env[name] ?? standard);
const LETTERS = size('LETTERS', 20_000);
const ROWS = size('ROWS', 200_000);
const EXACT = size('EXACT', 100_000);
const ROUNDS = size('ROUNDS', 5);
const standard = !['LETTERS', 'ROWS', 'EXACT', 'ROUNDS'].some((name) => process.env[name]);
const LETTER_BYTES = 20_000;
const ROUND_TRIP = 50;
const FAR_LETTERS = Math.min(LETTERS, 10_000);
const SIZES = [1_000, 10_000, 100_000].filter((letters) => letters <= EXACT);

/** Letters per second, and CPU microseconds per letter, of smtp-source with letters of `bytes` bytes. */
async function source(port, bytes) {
  const run = await measured('smtp-source', [
    '-s', '50', '-l', `${bytes}`, '-m', `${LETTERS}`, '-d', '-f', 'news@example.org', '-t', 'one@example.org', `127.0.0.1:${port}`,
  ]);
  return { rate: LETTERS / run.seconds, cpu: (run.cpu / LETTERS) * 1e6 };
}

async function on(name, makeBed) {
  say(`${name}: import and expansion of ${ROWS} rows`);
  const bed = await makeBed();
  const [imports, expansions] = [[], []];
  const silent = await silentServer();
  for (let round = 0; round < Math.min(ROUNDS, 3); round += 1) {
    const owner = bed.user(`import${round}@example.org`);
    const run = await bed.import(owner, ROWS);
    imports.push(ROWS / run.seconds);
    expansions.push(ROWS / (await bed.expansion(owner, ROWS, silent.port)));
  }
  silent.close();

  const owner = bed.user('letters@example.org');
  await bed.import(owner, 1);
  const html = bed.letter(LETTER_BYTES);
  const one = await sink({ keep: true });
  await bed.send(owner, html, 1, one.port);
  one.close();
  const bytes = octets(one.folder);
  await bed.import(owner, LETTERS, 1);
  say(`${name}: ${LETTERS} letters of ${bytes} octets, ${ROUNDS} times, in turn with smtp-source`);
  const rounds = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const target = await sink();
    const theirs = await source(target.port, bytes);
    const ours = await bed.send(owner, html, LETTERS, target.port);
    target.close();
    rounds.push({ theirs, ours });
    say(
      `  ${whole(ours.rate)}/s, ${whole(ours.cpu)} + ${whole(ours.databaseCpu)} µs a letter; smtp-source ${whole(theirs.rate)}/s, ${whole(theirs.cpu)} µs`,
    );
  }
  const target = await sink();
  const statements = await bed.statements(owner, html, LETTERS, target.port);
  target.close();

  say(`${name}: ${FAR_LETTERS} letters with a round trip of ${ROUND_TRIP} ms`);
  const far = [];
  const distantOwner = bed.user('far@example.org');
  await bed.import(distantOwner, FAR_LETTERS);
  for (let round = 0; round < Math.min(ROUNDS, 3); round += 1) {
    const target = await sink();
    const proxy = await distant(target.port, ROUND_TRIP);
    far.push((await bed.send(distantOwner, html, FAR_LETTERS, proxy.port)).rate);
    proxy.close();
    target.close();
  }

  say(`${name}: mailings of different sizes, each in a place that had one letter the day before`);
  const growth = [];
  for (const letters of SIZES) {
    const used = makeBed();
    const target = await sink();
    await used.import(used.user('trial@example.org'), 1);
    await used.send('trial@example.org', used.letter(LETTER_BYTES), 1, target.port);
    used.settle();
    const owner = used.user('growth@example.org');
    await used.import(owner, letters);
    const run = await used.send(owner, used.letter(LETTER_BYTES), letters, target.port);
    target.close();
    used.close();
    growth.push({ letters, cpu: run.cpu + run.databaseCpu, memory: run.memory });
  }

  say(`${name}: ${EXACT} letters, counted per address`);
  const exact = await exactness(bed);
  bed.close();
  const middle = (pick) => median(rounds.map(pick));
  return {
    name,
    bytes,
    imports: median(imports),
    expansions: median(expansions),
    rate: middle((round) => round.ours.rate),
    cpu: middle((round) => round.ours.cpu),
    databaseCpu: middle((round) => round.ours.databaseCpu),
    sourceRate: middle((round) => round.theirs.rate),
    sourceCpu: middle((round) => round.theirs.cpu),
    cpuRatio: middle((round) => (round.ours.cpu + round.ours.databaseCpu) / round.theirs.cpu),
    rateRatio: middle((round) => round.ours.rate / round.theirs.rate),
    statements,
    far: median(far),
    growth,
    memory: Math.max(...rounds.map((round) => round.ours.memory), exact.memory),
    exact,
  };
}

/** Checks that every address of a large mailing gets one letter, and that all totals agree. */
async function exactness(bed) {
  const owner = bed.user('exact@example.org');
  await bed.import(owner, EXACT);
  const target = await sink({ keep: true });
  const run = await bed.send(owner, bed.letter(5_000), EXACT, target.port);
  target.close();
  const { letters, addresses } = await counted(target.folder);
  const logged = bed.logged(run.mailing).sent;
  const problems = [];
  const expect = (what, found, wanted) => found === wanted || problems.push(`${what}: ${found} instead of ${wanted}`);
  expect('letters in the sink', letters, EXACT);
  expect('addresses in the sink', addresses, EXACT);
  expect('sent, as the command says', run.totals.sent, EXACT);
  expect('sent attempts in the log', logged, EXACT);
  if (run.memory > 100e6) problems.push(`memory: ${whole(run.memory / 1e6)} MB instead of at most 100`);
  for (const problem of problems) say(`  WRONG: ${problem}`);
  return { letters, addresses, memory: run.memory, rate: run.rate, problems };
}

function report(results) {
  const row = (what, pick) => [what, ...results.map(pick)];
  return [
    `Medians of ${ROUNDS} rounds. Each figure includes starting the process and expanding the mailing. ${machine()}`,
    '',
    table(results.map((result) => result.name), [
      row(`sending ${whole(LETTERS)} letters, letters/s`, (result) => whole(result.rate)),
      row('… smtp-source in the same run, letters/s', (result) => whole(result.sourceRate)),
      row('… of its rate (target: 80 %)', (result) => `${whole(result.rateRatio * 100)} %`),
      row('CPU of the program per letter, µs', (result) => whole(result.cpu)),
      row('… CPU of the database server per letter, µs', (result) => (result.databaseCpu > 0 ? whole(result.databaseCpu) : 'in the program')),
      row('… CPU of smtp-source per letter, µs', (result) => whole(result.sourceCpu)),
      row('… times smtp-source (target: 2.5 and 3)', (result) => result.cpuRatio.toFixed(1)),
      row(`letters/s with a round trip of ${ROUND_TRIP} ms (target: 850)`, (result) => whole(result.far)),
      row('SQL statements per letter, BEGIN and COMMIT included (target: 0.05)', (result) => result.statements.toFixed(3)),
      ...SIZES.map((letters, n) => row(`CPU per letter in a mailing of ${whole(letters)}, a day after one of one letter, µs`, (result) => whole(result.growth[n].cpu))),
      row('peak memory of the program, MB (target: 100)', (result) => whole(result.memory / 1e6)),
      row(`import of ${whole(ROWS)} rows, rows/s`, (result) => whole(result.imports)),
      row(`expansion of ${whole(ROWS)} recipients, rows/s`, (result) => whole(result.expansions)),
      row(`mailing of ${whole(EXACT)}: letters received`, (result) => whole(result.exact.letters)),
      row('… distinct addresses', (result) => whole(result.exact.addresses)),
    ]),
    '',
    `A letter has ${whole(results[0].bytes)} octets on the wire; those of smtp-source have the same length.`,
  ].join('\n');
}

try {
  const results = [await on('SQLite', () => Bed.sqlite(binary)), await on('PostgreSQL', () => Bed.postgres(binary))];
  const text = report(results);
  console.log(text);
  if (standard) writeTable('bench', text);
  process.exitCode = results.some((result) => result.exact.problems.length > 0) ? 1 : 0;
} finally {
  closeAll();
}
