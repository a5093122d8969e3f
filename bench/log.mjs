// How fast does the log of all mailings open? Creates ten million attempts on PostgreSQL and one
// million on SQLite, measures pages of /log on an otherwise idle machine, and writes the section
// "The log" of docs/performance.md.
//
//   node bench/log.mjs PATH-OF-SKYCHIMP PATH-OF-FILL_LOG          (part of make bench)
//
// ATTEMPTS (10000000, a tenth of it on SQLite) and ROUNDS (40) change the size. Only the defaults
// write.
import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import { Bed, closeAll } from './bed.mjs';
import { writeSection } from './docs.mjs';
import { machine, say, table, whole } from './table.mjs';

const binary = resolve(process.argv[2] ?? 'target/release/skychimp');
const filler = resolve(process.argv[3] ?? 'target/release/examples/fill_log');
const ATTEMPTS = Number(process.env.ATTEMPTS ?? 10_000_000);
const ROUNDS = Number(process.env.ROUNDS ?? 40);
/** Time that a page may take, in milliseconds. */
const WANTED = 100;

/** The pages to measure. `middle` is a time in the middle of the log, `mailing` a mailing there. */
function pages({ middle, mailing }) {
  const wall = (at) => new Date(at).toISOString().slice(0, 16);
  const hour = 3_600_000;
  return {
    'first page': '',
    'page in the middle': `after=${middle}.0.0`,
    'one mailing': `mailing=${mailing}`,
    'outcome: sent': 'outcome=sent',
    'outcome: failed': 'outcome=failed',
    'outcome: in doubt (none)': 'outcome=in_doubt',
    'state: failed': 'state=failed',
    'state: cancelled (none)': 'state=cancelled',
    'class: permanent': 'class=permanent',
    'class: tls (none)': 'class=tls',
    'code: 250': 'code=250',
    'code: 550': 'code=550',
    'code: 421 (none)': 'code=421',
    'server: part of a name': 'server=mx',
    'server: unknown': 'server=nowhere',
    'domain': 'domain=mail.ru',
    'domain: unknown': 'domain=nowhere.example',
    'address: of a recipient': 'q=person8%40example.org',
    'address: of nobody': 'q=nobody%40nowhere.example',
    'address: a rare part': 'q=person777',
    'from a time on': `from=${wall(middle)}`,
    'before a time': `to=${wall(middle)}`,
    'an hour in the middle': `from=${wall(middle)}&to=${wall(middle + hour)}`,
    'failed, domain, part of an address': 'outcome=failed&domain=mail.ru&q=person77',
    'sent, server and domain of nobody, half of the log': `outcome=sent&server=nowhere&domain=nowhere.example&to=${wall(middle)}`,
    'one mailing, a code that it lacks': `mailing=${mailing}&code=421`,
    'refused later on, in the state sent': 'state=sent&code=550',
  };
}

async function timed(site, query) {
  const times = [];
  let found;
  for (let round = -3; round < ROUNDS; round += 1) {
    const begun = performance.now();
    found = await site.page(`/log?${query}`);
    if (round >= 0) times.push(performance.now() - begun);
  }
  times.sort((a, b) => a - b);
  const lines = found.split('class="reply"').length - 1;
  return { median: times[Math.floor(ROUNDS / 2)], p95: times[Math.floor(ROUNDS * 0.95)], lines };
}

/** Fills the log of a bed. */
function filled(name, bed, attempts) {
  say(`${name}: filling ${whole(attempts)} attempts`);
  const done = spawnSync(filler, [bed.url, `${attempts}`], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  if (done.status !== 0) throw new Error(`the log was not filled: ${done.status}`);
  bed.settle();
  return { name, bed, ...JSON.parse(done.stdout) };
}

async function measured({ name, bed, email, password, middle }) {
  say(`${name}: measuring`);
  const site = await bed.site(email, password);
  const choices = [...(await site.page('/log')).matchAll(/<option value="([0-9a-f-]{36})"/g)].map(([, id]) => id);
  const mailing = choices[Math.floor(choices.length / 2)];
  const found = {};
  for (const [title, query] of Object.entries(pages({ middle, mailing }))) {
    found[title] = await timed(site, query);
    const { median, p95, lines } = found[title];
    say(`${name}: ${title}: ${median.toFixed(1)} ms, p95 ${p95.toFixed(1)} ms, ${lines} lines`);
  }
  bed.close();
  return found;
}

try {
  const large = filled('PostgreSQL', Bed.postgres(binary), ATTEMPTS);
  const small = filled('SQLite', Bed.sqlite(binary), ATTEMPTS / 10);
  const postgres = await measured(large);
  const sqlite = await measured(small);
  const ms = (value) => value.toFixed(value < 10 ? 1 : 0);
  const cells = ({ median, p95 }) => [ms(median), ms(p95)];
  const rows = Object.keys(postgres).map((title) => [title, ...cells(postgres[title]), ...cells(sqlite[title])]);
  const section = [
    '## The log',
    '',
    `Written by \`bench/log.mjs\` (part of \`make bench\`): pages of \`/log\` over HTTP, as their owner sees them, with ${whole(ATTEMPTS)} attempts`,
    `on PostgreSQL and ${whole(ATTEMPTS / 10)} on SQLite. Six of ten attempts are the owner's, in 60 mailings; the others belong to 40 owners.`,
    `Milliseconds, the median and the 95th percentile of ${ROUNDS} views; target: ${WANTED}.`,
    '',
    table(['PostgreSQL', 'p95', 'SQLite', 'p95'], rows),
    '',
    machine(),
    '',
  ].join('\n');
  console.log(section);
  if (!process.env.ATTEMPTS && !process.env.ROUNDS) writeSection(section);
  const slow = [...Object.values(postgres), ...Object.values(sqlite)].filter(({ p95 }) => p95 > WANTED);
  if (slow.length > 0) {
    console.error(`bench: ${slow.length} pages take longer than ${WANTED} ms`);
    process.exitCode = 1;
  }
} finally {
  closeAll();
}
