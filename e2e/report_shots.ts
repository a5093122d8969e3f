// The pictures of reports in the documentation, in both languages and themes: `make screenshots` takes them.
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from '@playwright/test';
import { OWNER, signIn } from './seeds.ts';
import { expect, test, until } from './test.ts';
import { type Language, words } from './words.ts';

const FOLDER = join(import.meta.dirname, 'shots', 'docs');
const THEMES = ['light', 'dark'] as const;
const DOMAINS = ['post.example', 'post.example', 'inbox.example', 'box.example', 'company.example'];

const STORY = {
  en: { user: 'Anna', list: 'Customers', weekly: 'News of the week', sale: 'Autumn sale', subject: 'News from the tea shop' },
  ru: { user: 'Анна', list: 'Покупатели', weekly: 'Новости недели', sale: 'Осенняя распродажа', subject: 'Новости чайной лавки' },
} as const;

/** Gives the mailing that had one run more runs, in the weeks before. */
const HISTORY = `
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], timeout=30)
DAY = 86_400_000
def moved(id, by):
    return (int.from_bytes(id[:6], 'big') - by).to_bytes(6, 'big') + id[6:]
def copy(table, row, **changes):
    row = {**row, **changes}
    names = ', '.join(row)
    db.execute(f'INSERT INTO {table} ({names}) VALUES ({", ".join("?" * len(row))})', list(row.values()))
db.row_factory = sqlite3.Row
run = dict(db.execute("SELECT * FROM runs WHERE finished_at IS NOT NULL ORDER BY due_at LIMIT 1").fetchone())
report = dict(db.execute('SELECT * FROM reports WHERE run_id = ?', [run['id']]).fetchone())
for week in range(1, 9):
    by = week * DAY * 7 // 2
    failed = run['failed'] * (week % 3 + 1) // 2
    planned = run['planned'] - 37 * week
    counts = dict(planned=planned, failed=failed, sent=planned - failed - run['skipped'])
    times = {name: run[name] - by for name in ('due_at', 'created_at', 'started_at', 'progress_at', 'finished_at')}
    copy('runs', run, id=moved(run['id'], by), **counts, **times)
    copy('reports', report, run_id=moved(run['id'], by))
db.commit()
`;

/** Lets recipients have come one after the other. */
const COME = `
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], timeout=30)
WEEK = 7 * 86_400_000
rows = db.execute('SELECT id FROM recipients ORDER BY id').fetchall()
for n, (id,) in enumerate(rows):
    by = int((1 - (n / len(rows)) ** 0.7) * 8 * WEEK)
    new = (int.from_bytes(id[:6], 'big') - by).to_bytes(6, 'big') + id[6:]
    for table, column in (('recipients', 'id'), ('memberships', 'recipient_id')):
        db.execute(f'UPDATE {table} SET {column} = ? WHERE {column} = ?', [new, id])
db.commit()
`;

for (const language of ['en', 'ru'] as Language[]) {
  test(`pictures of reports in ${language}`, async ({ browser, start, mail }) => {
    test.setTimeout(600_000);
    mkdirSync(FOLDER, { recursive: true });
    const story = STORY[language];
    const program = await start({ SKYCHIMP_SMTP_URL: `${mail.url}&connections=4`, SKYCHIMP_RETRY_BASE: '2s' });
    const change = (script: string) => {
      const done = spawnSync('python3', ['-c', script, join(program.folder, 'data', 'skychimp.db')], { encoding: 'utf8' });
      expect(done.stderr).toBe('');
    };
    program.user(OWNER, story.user);
    const rows = Array.from({ length: 2_400 }, (_, n) => {
      const name = n % 60 === 7 ? 'refused' : n % 150 === 8 ? 'spam' : n % 25 === 9 ? 'once' : 'person';
      return `${name}${n}@${DOMAINS[n % DOMAINS.length]},Anna`;
    });
    const people = program.file('people.csv', `email,name\n${rows.join('\n')}\n`);
    program.run(['recipients', 'import', people, '--owner', OWNER, '--list', story.list]);
    change(COME);
    const text = program.file('letter.txt', story.subject);
    const message = program.json(['message', 'create', '--owner', OWNER, '--subject', story.subject, '--text', text]).id;
    const create = ['mailing', 'create', '--owner', OWNER, '--list', story.list, '--message', message];
    const day = 24 * 3600 * 1000;
    const next = new Date(Date.now() + day).toISOString();
    const weekly = program.json([...create, '--title', story.weekly, '--every', 'week', '--start', new Date(Date.now() - 1000).toISOString(), '--run']).id;
    program.run([...create, '--title', story.sale, '--start', next, '--run']);

    const pages: [string, Page][] = [];
    for (const theme of THEMES) {
      const page = await signIn(browser, program, language, { viewport: { width: 1280, height: 900 }, colorScheme: theme });
      await page.goto(`/mailings/${weekly}`);
      pages.push([theme, page]);
    }
    const take = async (name: string, theme: string, page: Page) => {
      await page.screenshot({ path: join(FOLDER, `${name}-${theme}-${language}.png`) });
    };
    const before = mail.letters.length;
    mail.delay = 40;
    await until(() => mail.letters.length, (letters) => letters > before + 900, 120);
    for (const [theme, page] of pages) {
      await expect(page.locator('[data-live-plot] canvas')).toBeVisible();
      await take('live', theme, page);
    }
    mail.delay = 0;
    const [, first] = pages[0];
    const over = words(language)('report-final', { at: '|' }).split('|')[1];
    await until(
      async () => {
        await first.goto(`/mailings/${weekly}/report`);
        await first.locator('tbody a').first().click();
        return first.getByText(over).count();
      },
      (made) => made > 0,
      120,
    );
    change(HISTORY);
    for (const [theme, page] of pages) {
      await page.goto(`/mailings/${weekly}/report`);
      await page.waitForLoadState('networkidle');
      await take('runs', theme, page);
      await page.locator('tbody a').first().click();
      await page.waitForLoadState('networkidle');
      await take('report', theme, page);
      await page.goto('/');
      await page.waitForLoadState('networkidle');
      await take('dashboard', theme, page);
    }
  });
}
