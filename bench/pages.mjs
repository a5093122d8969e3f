// How many page views per second? Loads the home page and an article with wrk, with and without the
// cache, and for comparison a bare route of the same process that returns the same bytes. Then
// writes the section "Pages" of docs/performance.md.
//
//   node bench/pages.mjs PATH-OF-EXAMPLE       (run by make bench: target/release/examples/pages)
//
// SECONDS (5) and ROUNDS (3) change the size. Only the defaults write.
import { spawn, spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { writeSection } from './docs.mjs';
import { median, whole } from './table.mjs';

const binary = resolve(process.argv[2] ?? 'target/release/examples/pages');
const SECONDS = Number(process.env.SECONDS ?? 5);
const ROUNDS = Number(process.env.ROUNDS ?? 3);
const CONNECTIONS = 64;
const LEAST = 0.6;

/** Requests per second, and the 99th percentile of latency in milliseconds. */
function wrk(address, seconds = SECONDS) {
  const words = ['-t', '1', '-c', `${CONNECTIONS}`, '-d', `${seconds}s`, '--latency', '-H', 'Accept-Encoding: gzip', address];
  const { stdout, status } = spawnSync('wrk', words, { encoding: 'utf8' });
  const [, rate] = stdout.match(/Requests\/sec:\s+([\d.]+)/) ?? [];
  const [, p99, unit] = stdout.match(/99%\s+([\d.]+)(us|ms|s)/) ?? [];
  const wrong = /Non-2xx|Socket errors/.exec(stdout);
  if (status !== 0 || !rate || !p99 || wrong) throw new Error(`wrk ${address}:\n${stdout}`);
  return { rate: Number(rate), p99: Number(p99) * { us: 0.001, ms: 1, s: 1000 }[unit] };
}

async function site(environment, words) {
  const child = spawn(binary, words, { env: { ...process.env, ...environment }, stdio: ['ignore', 'pipe', 'inherit'] });
  for await (const address of createInterface({ input: child.stdout })) return { address, stop: () => child.kill() };
  throw new Error('the site does not start');
}

async function on(name, environment) {
  const kept = await site(environment, []);
  const bytes = async (path) => (await (await fetch(kept.address + path)).arrayBuffer()).byteLength;
  const pages = { 'home page': ['/', '/bare/home'], article: ['/blog/post7', '/bare/post'] };
  const found = [];
  for (const [page, [path, bare]] of Object.entries(pages)) {
    wrk(kept.address + path, 1);
    const rounds = Array.from({ length: ROUNDS }, () => ({ ours: wrk(kept.address + path), bare: wrk(kept.address + bare) }));
    const middle = (pick) => median(rounds.map(pick));
    found.push({
      page,
      size: await bytes(bare),
      rate: middle((round) => round.ours.rate),
      p99: middle((round) => round.ours.p99),
      bare: middle((round) => round.bare.rate),
      bareP99: middle((round) => round.bare.p99),
      share: middle((round) => round.ours.rate / round.bare.rate),
    });
  }
  kept.stop();
  const anew = await site(environment, ['off']);
  for (const [index, [path]] of Object.values(pages).entries()) {
    found[index].anew = wrk(anew.address + path);
  }
  anew.stop();
  for (const row of found) console.error(`bench: ${name}, ${row.page}: ${whole(row.rate)}/s, bare ${whole(row.bare)}/s (${Math.round(row.share * 100)} %), made anew ${whole(row.anew.rate)}/s`);
  return found.map((row) => ({ name, ...row }));
}

const rows = [...(await on('SQLite', { TEST_DATABASE_URL: undefined })), ...(await on('PostgreSQL', {}))];
const line = (what, pick) => `| ${what} | ${rows.map(pick).join(' | ')} |`;
const section = [
  '## Pages',
  '',
  `Written by \`bench/pages.mjs\` (part of \`make bench\`): \`wrk\` with ${CONNECTIONS} connections for ${SECONDS} s, medians of ${ROUNDS} rounds, on the same machine as`,
  'the site. The bare route is in the same process, outside all layers of the site, and answers with the',
  'same compressed bytes. A view from the cache checks that the content has not changed, counts the view,',
  'and fills in numbers, figures and three posts. There are 30 posts and 100 000 recipients.',
  '',
  line('', (row) => `${row.page}, ${row.name}`),
  `|---|${rows.map(() => '---:|').join('')}`,
  line('bytes, compressed', (row) => whole(row.size)),
  line('from the cache, views/s', (row) => whole(row.rate)),
  line('bare route, requests/s', (row) => whole(row.bare)),
  line('… share of it', (row) => `${Math.round(row.share * 100)} %`),
  line('99 of 100 views within, ms', (row) => row.p99.toFixed(1)),
  line('… bare route, ms', (row) => row.bareP99.toFixed(1)),
  line('rendered for each view, views/s', (row) => whole(row.anew.rate)),
  line('… 99 of 100 within, ms', (row) => row.anew.p99.toFixed(1)),
  '',
].join('\n');
console.log(section);
if (!process.env.SECONDS && !process.env.ROUNDS) writeSection(section);
if (rows.some((row) => row.share < LEAST)) {
  console.error(`bench: less than ${LEAST * 100} % of the bare route`);
  process.exitCode = 1;
}
