// What pages and exports tell of a run is what the mail server saw.
import type { Page } from '@playwright/test';
import { accessible, complaints, fits, picture } from './look.ts';
import { type MailServer, textOf } from './mail_server.ts';
import type { Program } from './program.ts';
import { OWNER, seed, signIn } from './seeds.ts';
import { expect, test, until } from './test.ts';
import { words } from './words.ts';

const t = words('en');

const REFUSED = [
  ...Array.from({ length: 4 }, (_, n) => `refused${n}@south.example`),
  ...Array.from({ length: 2 }, (_, n) => `spam${n}@south.example`),
];
/** They are accepted at the second attempt. */
const ONCE = Array.from({ length: 6 }, (_, n) => `once${n}@north.example`);
const PEOPLE = [
  ...Array.from({ length: 20 }, (_, n) => `person${n}@north.example`),
  ...ONCE,
  ...REFUSED,
  ...Array.from({ length: 7 }, (_, n) => `guest${n}@south.example`),
];
/** Unsubscribed while letters leave. */
const LEFT = 'left@south.example';

/** A mailing to all of them is sent; one of them goes in the middle. Gives the mailing's address. */
async function sent(program: Program, page: Page, mail: MailServer, message: string): Promise<string> {
  const file = program.file('people.csv', `email,name\n${[...PEOPLE, LEFT].map((email) => `${email},Somebody`).join('\n')}\n`);
  program.run(['recipients', 'import', file, '--owner', OWNER, '--list', 'Everybody']);
  await page.goto('/suppressions');
  const csrf = await page.locator('input[name=csrf]').first().inputValue();
  // letters wait for the one who leaves, and it is heard of within a second
  mail.delay = 500;
  const create = ['mailing', 'create', '--owner', OWNER, '--list', 'Everybody', '--message', message, '--title', 'Autumn news', '--run'];
  const mailing = `/mailings/${program.json(create).id}`;
  await until(() => mail.letters.length, (letters) => letters > 2);
  const done = await page.request.post('/suppressions', { form: { csrf, email: LEFT }, headers: { origin: program.address } });
  expect(done.status()).toBeLessThan(400);
  mail.delay = 100;
  await page.goto(mailing);
  await expect(page.locator('[data-live-plot] canvas')).toBeVisible();
  await expect(page.getByText(t('status-completed')).first()).toBeVisible({ timeout: 60_000 });
  // the last letter is the one that tells the owner
  await until(() => mail.summaries.length, (letters) => letters > 0);
  return mailing;
}

/** The number in a tile that leads to people. */
async function tile(page: Page, text: string): Promise<number> {
  const found = page.locator('.totals .total', { has: page.getByText(text, { exact: true }) }).last().locator('b');
  return Number(await found.textContent());
}

/** The lines of an export by the names of its columns. */
async function csv(page: Page, address: string): Promise<Record<string, string>[]> {
  const answer = await page.request.get(address);
  expect(answer.status(), address).toBe(200);
  const cells = (line: string) => [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map(([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain);
  const [head, ...lines] = (await answer.text()).trim().split('\r\n').map(cells);
  return lines.map((line) => Object.fromEntries(head.map((name, n) => [name, line[n]])));
}

/** So many lines have each value. */
function counted(lines: Record<string, string>[], column: string): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const line of lines) counts[line[column]] = (counts[line[column]] ?? 0) + 1;
  return counts;
}

// R2, R13, R23, R24, R29: every page and every export counts what the mail server counted
test('the numbers of all pages are those of the mail server', async ({ browser, start, mail }) => {
  test.setTimeout(240_000);
  const program = await start({ SKYCHIMP_SMTP_URL: `${mail.url}&connections=1`, SKYCHIMP_RETRY_BASE: '1s' });
  const message = seed(program, 1);
  const page = await signIn(browser, program, 'en', { viewport: { width: 1280, height: 900 } });
  const wrong = complaints(page);
  const mailing = await sent(program, page, mail, message);
  const accepted = mail.letters.map((letter) => letter.to).sort();
  const failed = REFUSED.length;
  const offered = [...mail.asked.values()].reduce((sum, n) => sum + n, 0);
  expect(accepted).toEqual(PEOPLE.filter((email) => !REFUSED.includes(email)).sort());
  expect(mail.asked.size).toBe(PEOPLE.length);
  expect(offered).toBe(PEOPLE.length + ONCE.length);

  // the report of the run
  await page.getByRole('link', { name: t('report-title'), exact: true }).first().click();
  await until(
    async () => {
      await page.reload();
      return page.getByText(t('report-domains')).count();
    },
    (there) => there > 0,
  );
  await expect(page.locator('.report-lead')).toContainText(t('report-failed-most', { count: failed, why: t('cause-why-mailbox-unknown') }));
  const tiles = {
    [t('run-total-planned')]: PEOPLE.length + 1,
    [t('run-total-sent')]: accepted.length,
    [t('run-total-failed')]: failed,
    [t('delivery-skipped')]: 1,
    [t('run-total-remaining')]: 0,
  };
  for (const [text, count] of Object.entries(tiles)) expect(await tile(page, text), text).toBe(count);
  const north = accepted.filter((email) => email.endsWith('@north.example')).length;
  const cells = page.locator('tr', { hasText: 'north.example' }).locator('td');
  await expect(cells.nth(1)).toHaveText(`${north}`);
  await expect(cells.nth(2)).toContainText(`${north}`);
  await expect(page.locator('.plot canvas')).toBeVisible();
  await accessible(page);
  await fits(page);
  const report = page.url();
  const run = new URL(report).pathname.split('/').pop();

  // on paper: the report and nothing around it, in light
  const theme = page.locator('html');
  await page.emulateMedia({ colorScheme: 'dark' });
  await expect(theme).toHaveAttribute('data-bs-theme', 'dark');
  await page.evaluate(() => dispatchEvent(new Event('beforeprint')));
  await expect(theme).toHaveAttribute('data-bs-theme', 'light');
  await page.emulateMedia({ media: 'print', colorScheme: 'dark' });
  await expect(page.locator('.report-lead')).toBeVisible();
  await expect(page.getByRole('navigation')).toBeHidden();
  await expect(page.getByRole('button', { name: t('print') })).toBeHidden();
  await picture(page, 'report-print');
  await page.emulateMedia({ media: 'screen', colorScheme: 'light' });
  await page.evaluate(() => dispatchEvent(new Event('afterprint')));

  // the owner's letter says the same and leads here
  expect(mail.summaries.map(({ to }) => to)).toEqual([OWNER]);
  const summary = textOf(mail.summaries[0]);
  expect(summary).toContain((await page.locator('.report-lead').textContent())?.trim());
  expect(summary).toContain(report);

  // everybody behind a number, as a page and as a file
  for (const [state, emails] of Object.entries({ sent: accepted, failed: REFUSED, skipped: [LEFT], remaining: [] as string[] })) {
    await page.goto(report);
    await page.locator(`.totals a[href$="state=${state}"]`).first().click();
    await expect(page.locator('tbody tr')).toHaveCount(emails.length);
    await accessible(page);
    const lines = await csv(page, `${mailing}/people.csv?run=${run}&state=${state}`);
    expect(lines.map((line) => line.email).sort()).toEqual([...emails].sort());
  }

  // who does not exist gets nothing more; who took the letter for spam may
  await page.goto('/suppressions');
  const dead = page.locator('tbody tr', { hasText: t('suppressions-reason-bounced') });
  await expect(dead).toHaveCount(REFUSED.filter((email) => email.startsWith('refused')).length);

  // every attempt, in the log of the mailing and in that of all mailings
  for (const log of [`${mailing}/log.csv`, '/log.csv']) {
    const lines = await csv(page, log);
    expect(lines.length, log).toBe(offered);
    expect(counted(lines, 'recipient'), log).toEqual(Object.fromEntries(mail.asked));
    expect(counted(lines, 'outcome'), log).toEqual({ sent: accepted.length, failed, deferred: ONCE.length });
  }
  await page.goto('/log');
  await page.getByLabel(t('log-outcome')).selectOption('failed');
  await page.getByRole('button', { name: t('show') }).click();
  await expect(page.locator('tbody tr')).toHaveCount(failed);
  await accessible(page);
  await fits(page);

  // somebody's own page, with both attempts
  await page.goto('/log?q=once0');
  await page.locator('tbody a', { hasText: ONCE[0] }).first().click();
  await expect(page.locator('tbody tr')).toHaveCount(mail.asked.get(ONCE[0]) as number);

  // the mailing's report, the overview, and the command line
  await page.goto(`${mailing}/report`);
  await expect(page.locator('tbody tr').first()).toContainText(`${accepted.length}`);
  await page.goto('/');
  await expect(page.getByText(t('dash-days-sum', { sent: accepted.length, failed }))).toBeVisible();
  await page.goto('/reports');
  await expect(page.locator('.report-lead')).toContainText(`${accepted.length} of ${PEOPLE.length + 1}`);
  const [line] = await csv(page, '/reports.csv');
  expect([line.planned, line.sent, line.failed, line.skipped, line.remaining].map(Number)).toEqual(Object.values(tiles));
  const totals = program.json(['mailing', 'show', mailing.split('/')[2], '--owner', OWNER]);
  expect([totals.planned, totals.sent, totals.failed, totals.skipped, totals.remaining]).toEqual(Object.values(tiles));

  // those who failed get another letter
  await page.goto(report);
  await page.getByRole('button', { name: t('report-retry', { count: failed }) }).click();
  await expect(page.getByText(t('people-made', { count: failed }))).toBeVisible();

  for (const [name, language, options] of [
    ['desk-light-en', 'en', { viewport: { width: 1280, height: 900 }, colorScheme: 'light' }],
    ['desk-dark-ru', 'ru', { viewport: { width: 1280, height: 900 }, colorScheme: 'dark' }],
    ['phone-dark-ru', 'ru', { viewport: { width: 375, height: 780 }, isMobile: true, hasTouch: true, colorScheme: 'dark' }],
    ['phone-light-en', 'en', { viewport: { width: 375, height: 780 }, isMobile: true, hasTouch: true, colorScheme: 'light' }],
  ] as const) {
    const viewer = await signIn(browser, program, language, options);
    for (const [what, address] of [['report', report], ['report-people', `${mailing}/people?run=${run}&state=failed`], ['report-log', '/log'], ['report-period', '/reports']]) {
      await viewer.goto(address);
      await fits(viewer);
      await accessible(viewer);
      await picture(viewer, `${what}-${name}`);
    }
    await viewer.context().close();
  }
  expect(wrong).toEqual([]);
});
