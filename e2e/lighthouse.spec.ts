// What Lighthouse says of the public pages. Its figure for speed depends on the machine, so only `make lighthouse`
// asks for that one too, and writes all of them to docs/performance.md.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { writeSection } from '../bench/docs.mjs';
import { Program } from './program.ts';
import { expect, test } from './test.ts';

const LEAST = 95;
const SPEED = process.env.LIGHTHOUSE === 'all';
const CATEGORIES = ['accessibility', 'best-practices', 'seo', ...(SPEED ? ['performance'] : [])];
const PAGES: [string, string][] = [
  ['home page', '/'],
  ['list of articles', '/blog'],
  ['article', ''],
];

type Scores = Record<string, number>;

/** What Lighthouse reports; more of it is in the report than is named here. */
type Report = {
  categories: Record<string, { score: number | null; auditRefs: { id: string; weight: number }[] }>;
  audits: Record<string, { score: number | null; title: string; displayValue?: string }>;
};

const LIGHTHOUSE = join(import.meta.dirname, 'node_modules', 'lighthouse', 'cli', 'index.js');

function lighthouse(address: string, chromium: string, ...more: string[]): Report {
  const words = [LIGHTHOUSE, address, '--quiet', '--output=json', `--only-categories=${CATEGORIES.join(',')}`];
  const chrome = ['--chrome-flags=--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage', '--no-enable-error-reporting'];
  const environment = { ...process.env, CHROME_PATH: chromium };
  const run = spawnSync(process.execPath, [...words, ...chrome, ...more], { env: environment, encoding: 'utf8', maxBuffer: 2 ** 26 });
  if (run.status !== 0) throw new Error(run.stderr);
  return JSON.parse(run.stdout);
}

/** What pulled a category below the mark. */
function failures({ categories, audits }: Report, category: string): string {
  return categories[category].auditRefs
    .filter(({ id, weight }) => weight > 0 && (audits[id].score ?? 1) < 0.9)
    .map(({ id }) => `${id}: ${audits[id].title} ${audits[id].displayValue ?? ''}`)
    .join('; ');
}

// R1, R44, R56: the public pages are what search engines, browsers and people with aids expect
test('public pages satisfy Lighthouse', async () => {
  test.setTimeout(480_000);
  const [program] = await Program.demo();
  const { executablePath = '' } = test.info().project.use.launchOptions ?? {};
  const rows: [string, Scores][] = [];
  try {
    const [, article] = (await (await fetch(`${program.address}/blog`)).text()).match(/href="(\/blog\/[a-z0-9-]+)"/) ?? [];
    for (const [name, path] of PAGES) {
      for (const form of ['mobile', 'desktop'] as const) {
        const report = lighthouse(`${program.address}${path || article}`, executablePath, ...(form === 'desktop' ? ['--preset=desktop'] : []));
        const scores: Scores = {};
        for (const category of CATEGORIES) {
          scores[category] = Math.round((report.categories[category].score ?? 0) * 100);
          expect.soft(scores[category], `${name}, ${form}, ${category}: ${failures(report, category)}`).toBeGreaterThanOrEqual(LEAST);
        }
        rows.push([`${name}, ${form}`, scores]);
      }
    }
  } finally {
    await program.stop();
  }
  const line = (name: string, cells: (string | number)[]) => `| ${[name, ...cells].join(' | ')} |`;
  const section = [
    '## Lighthouse',
    '',
    'Written by `make lighthouse`: the scores (of 100) that Lighthouse gives the pages of the demo; for a phone it simulates a slow',
    'network and a slow processor.',
    '',
    line('', CATEGORIES),
    `|---|${CATEGORIES.map(() => '---:|').join('')}`,
    ...rows.map(([name, scores]) => line(name, CATEGORIES.map((category) => scores[category]))),
    '',
  ].join('\n');
  console.log(section);
  if (SPEED) writeSection(section);
});
