// What do viewers of a running mailing cost? One process sends and serves the site. Measures its
// CPU time while nobody watches the mailing's page and while a hundred viewers do, each with an
// event stream. Writes the section "The live page" of docs/performance.md.
//
//   node bench/viewers.mjs PATH-OF-SKYCHIMP          (part of make bench)
//
// VIEWERS (100), SECONDS (20) and ROUNDS (3) change the size. Only the defaults write.
import { resolve } from 'node:path';
import { Bed, closeAll, sink } from './bed.mjs';
import { writeSection } from './docs.mjs';
import { machine, median, say, table, whole } from './table.mjs';

const binary = resolve(process.argv[2] ?? 'target/release/skychimp');
const size = (name, standard) => Number(process.env[name] ?? standard);
const VIEWERS = size('VIEWERS', 100);
const SECONDS = size('SECONDS', 20);
const ROUNDS = size('ROUNDS', 3);
const standard = !['VIEWERS', 'SECONDS', 'ROUNDS'].some((name) => process.env[name]);
/** Letters per second: a running mailing that does not use the machine's full speed. */
const RATE = 500;

const pause = (seconds) => new Promise((done) => setTimeout(done, seconds * 1_000));

/** CPU usage of the process as a share of one core, and events per viewer and second. */
async function watched(site, path, viewers) {
  const stop = new AbortController();
  let events = 0;
  const streams = Array.from({ length: viewers }, () => site.watch(path, stop.signal, (count) => (events += count)));
  await pause(2);
  const [cpu, before] = [site.cpu(), events];
  await pause(SECONDS);
  const share = (site.cpu() - cpu) / SECONDS;
  const each = viewers > 0 ? (events - before) / viewers / SECONDS : 0;
  stop.abort();
  await Promise.all(streams);
  return { share, each };
}

async function on(name, bed) {
  const owner = bed.user('watched@example.org');
  await bed.import(owner, (2 * ROUNDS + 1) * (SECONDS + 5) * RATE);
  const target = await sink();
  const mailing = bed.mailing(owner, bed.letter(20_000));
  const site = await bed.site(owner, 'correct horse battery', `smtp://127.0.0.1:${target.port}?tls=none&connections=50&rate=${RATE}`);
  let live;
  while (!live) live = /"(\/mailings\/[^"]*\/live)"/.exec(await site.page(`/mailings/${mailing}`))?.[1];
  await pause(3);
  const [alone, seen] = [[], []];
  for (let round = 0; round < ROUNDS; round += 1) {
    alone.push(await watched(site, live, 0));
    seen.push(await watched(site, live, VIEWERS));
    say(`${name}: ${(alone[round].share * 100).toFixed(2)} % alone, ${(seen[round].share * 100).toFixed(2)} % with ${VIEWERS} viewers, ${seen[round].each.toFixed(2)} events/s each`);
  }
  target.close();
  bed.close();
  const middle = (rounds, pick) => median(rounds.map(pick));
  return { name, alone: middle(alone, (r) => r.share), seen: middle(seen, (r) => r.share), each: middle(seen, (r) => r.each) };
}

try {
  const results = [await on('SQLite', Bed.sqlite(binary)), await on('PostgreSQL', Bed.postgres(binary))];
  const percent = (share) => `${(share * 100).toFixed(1)} %`;
  const row = (what, pick) => [what, ...results.map(pick)];
  const section = [
    '## The live page',
    '',
    `Written by \`bench/viewers.mjs\` (part of \`make bench\`): one process sends ${RATE} letters/s and serves the page of that mailing.`,
    `CPU in percent of one core over ${SECONDS} s, medians of ${ROUNDS} rounds.`,
    '',
    table(results.map((result) => result.name), [
      row('no viewers', (result) => percent(result.alone)),
      row(`${whole(VIEWERS)} viewers`, (result) => percent(result.seen)),
      row('what they cost (target: 1 %)', (result) => percent(result.seen - result.alone)),
      row('events per viewer and second', (result) => result.each.toFixed(2)),
    ]),
    '',
    machine(),
    '',
  ].join('\n');
  console.log(section);
  if (standard) writeSection(section);
} finally {
  closeAll();
}
