// An open page follows what happens, by itself, and many of them leave the browser its connections.
import type { BrowserContext, Page } from '@playwright/test';
import { accessible, complaints } from './look.ts';
import type { Program } from './program.ts';
import { OWNER, seed, signIn } from './seeds.ts';
import { expect, test, until } from './test.ts';
import { words } from './words.ts';

const t = words('en');

/** The numbers of the parts of a run. */
const parts = (page: Page): Promise<number[]> =>
  page.locator('.totals > .total b').evaluateAll((tiles) => tiles.map((tile) => Number(tile.textContent)));

const sum = (numbers: number[]) => numbers.reduce((all, n) => all + n, 0);

/** Starts a mailing to everybody; gives its address. */
function started(program: Program, message: string, list = 'Customers'): string {
  const create = ['mailing', 'create', '--owner', OWNER, '--list', list, '--message', message, '--title', 'Autumn news', '--run'];
  return `/mailings/${program.json(create).id}`;
}

/** The streams that are open in a browser, by page. */
function streams(context: BrowserContext): Set<object> {
  const open = new Set<object>();
  context.on('request', (request) => request.resourceType() === 'eventsource' && open.add(request));
  context.on('requestfinished', (request) => open.delete(request));
  context.on('requestfailed', (request) => open.delete(request));
  return open;
}

/** Hides or shows a page, as another tab in front of it does. */
const show = (page: Page, visible: boolean): Promise<void> =>
  page.evaluate((visible) => {
    Object.defineProperty(document, 'hidden', { configurable: true, get: () => !visible });
    document.dispatchEvent(new Event('visibilitychange'));
  }, visible);

// R22, R33: the page of a quick mailing shows that it is over, in place: no reload, no number left behind
test('an open page follows a quick mailing', async ({ browser, start }) => {
  const program = await start();
  const message = seed(program, 4);
  const page = await signIn(browser, program);
  const wrong = complaints(page);
  const create = ['mailing', 'create', '--owner', OWNER, '--list', 'Customers', '--message', message, '--title', 'Autumn news'];
  await page.goto(`/mailings/${program.json(create).id}`);
  await page.getByRole('button', { name: t('mailing-send-to', { count: 4 }) }).click();
  await expect(page.locator('#flashes [role=status]')).toBeVisible();
  await page.evaluate(() => Object.assign(window, { same: true }));
  await expect(page.locator('.page-head .state')).toHaveText(t('status-completed'));
  expect(await parts(page)).toEqual([4, 0, 0, 0, 0, 0]);
  expect(await page.evaluate(() => 'same' in window)).toBe(true);
  await expect(page.locator('#flashes [role=status]')).toBeVisible();
  await accessible(page);
  expect(wrong).toEqual([]);
});

// R33: ten pages at once hold at most three of the browser's six connections, and all of them are live; a hidden page
// holds none and asks for nothing
test('many open pages leave connections free', async ({ browser, start, mail }) => {
  mail.delay = 500;
  const program = await start({ SKYCHIMP_SMTP_URL: `${mail.url}&connections=2` });
  const message = seed(program, 2_000);
  const first = await signIn(browser, program);
  const open = streams(first.context());
  const mailing = started(program, message);
  await until(() => mail.letters.length, (letters) => letters > 0);
  const pages = await Promise.all(Array.from({ length: 10 }, () => first.context().newPage()));
  await Promise.all(pages.map((page) => page.goto(mailing)));
  for (const page of pages) await expect(page.locator('[data-live-src*="/live?"]')).toHaveCount(1);
  const before = mail.letters.length;
  const sent = async (page: Page) => Number((await page.locator('[data-live=sent]').first().textContent())?.replace(/\D/g, ''));
  for (const page of pages) await expect.poll(() => sent(page)).toBeGreaterThan(before + 2);
  expect(open.size).toBeGreaterThan(0);
  expect(open.size).toBeLessThanOrEqual(3);

  for (const page of pages) await show(page, false);
  await expect.poll(() => open.size).toBe(0);
  const hidden = await sent(pages[0]);
  await until(() => mail.letters.length, (letters) => letters > before + 20);
  expect(await sent(pages[0])).toBe(hidden);
  expect(open.size).toBe(0);
  await show(pages[0], true);
  await expect.poll(() => sent(pages[0])).toBeGreaterThan(hidden);
  await expect.poll(() => open.size).toBe(1);
});

// R27, R29: a letter that waits for a retry is still to send, says when it is tried again, and can be tried now
test('a waiting letter is tried now', async ({ browser, start, mail }) => {
  const program = await start({ SKYCHIMP_SMTP_URL: mail.url, SKYCHIMP_RETRY_BASE: '30m' });
  const message = seed(program, 1);
  const file = program.file('more.csv', 'email,name\nonce1@north.example,Ann\nperson1@north.example,Bob\n');
  program.run(['recipients', 'import', file, '--owner', OWNER, '--list', 'North']);
  const page = await signIn(browser, program);
  const wrong = complaints(page);
  const mailing = started(program, message, 'North');
  await page.goto(mailing);
  await expect(page.locator('time[datetime$="Z"]').first()).toBeVisible();
  await expect.poll(async () => sum(await parts(page))).toBe(2);
  await page.getByRole('link', { name: t('report-title'), exact: true }).first().click();
  await expect(page.locator('.page-head .state')).toHaveText(t('run-state-sending'));
  await expect.poll(() => parts(page)).toEqual([1, 0, 0, 0, 0, 1]);
  await expect(page.locator('time[datetime$="Z"]').first()).toBeVisible();
  // one letter needs no axis, and nothing happened in 1970
  await expect(page.locator('.plot .u-legend', { hasText: '1970' })).toHaveCount(0);
  await accessible(page);
  await page.evaluate(() => Object.assign(window, { same: true }));
  await page.getByRole('button', { name: t('retry-now') }).first().click();
  await expect(page.locator('#flashes')).toContainText(t('retry-now-done', { count: 1 }));
  await expect(page.locator('.page-head .state')).toHaveText(t('run-state-done'));
  expect(await parts(page)).toEqual([2, 0, 0, 0, 0, 0]);
  await until(() => mail.letters.length, (letters) => letters === 2);
  expect(wrong).toEqual([]);
});
