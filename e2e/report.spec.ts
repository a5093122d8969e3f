// What pages and exports tell of a run is what the mail server saw.
import type { Page } from '@playwright/test';
import { accessible, complaints, fits, picture } from './look.ts';
import type { MailServer } from './mail_server.ts';
import type { Program } from './program.ts';
import { OWNER, seed, signIn } from './seeds.ts';
import { expect, test, until } from './test.ts';
import { words } from './words.ts';

const t = words('en');

const PEOPLE = [
  ...Array.from({ length: 20 }, (_, n) => `person${n}@north.example`),
  ...Array.from({ length: 6 }, (_, n) => `once${n}@north.example`),
  ...Array.from({ length: 4 }, (_, n) => `refused${n}@south.example`),
  ...Array.from({ length: 2 }, (_, n) => `spam${n}@south.example`),
  ...Array.from({ length: 7 }, (_, n) => `guest${n}@south.example`),
];
/** Unsubscribed while letters leave. */
const LEFT = 'left@south.example';

/** A mailing to all of them is sent; one of them goes in the middle. Gives the mailing's address. */
async function sent(program: Program, page: Page, mail: MailServer, message: string): Promise<string> {
  const file = program.file('people.csv', `email,name\n${[...PEOPLE, LEFT].map((email) => `${email},Somebody`).join('\n')}\n`);
  program.run(['recipients', 'import', file, '--owner', OWNER, '--list', 'Everybody']);
  const create = ['mailing', 'create', '--owner', OWNER, '--list', 'Everybody', '--message', message];
  mail.delay = 60;
  const id = program.json([...create, '--title', 'Autumn news', '--run']).id;
  await until(() => mail.letters.length, (letters) => letters > 2);
  await page.goto('/suppressions');
  const csrf = await page.locator('input[name=csrf]').first().inputValue();
  const done = await page.request.post('/suppressions', { form: { csrf, email: LEFT }, headers: { origin: program.address } });
  expect(done.status()).toBeLessThan(400);
  await until(() => program.json(['mailing', 'show', id, '--owner', OWNER]), (totals) => totals.status === 'completed');
  return `/mailings/${id}`;
}

/** What a mail server knows of everybody. */
function sink(mail: MailServer) {
  const accepted = mail.letters.length;
  const offered = [...mail.asked.values()].reduce((sum, n) => sum + n, 0);
  return { accepted, offered, people: mail.asked.size, failed: PEOPLE.filter((email) => /^(refused|spam)/.test(email)).length };
}

/** The number in a tile that leads to people. */
async function tile(page: Page, text: string): Promise<number> {
  const found = page.locator('.totals .total', { hasText: text }).last().locator('b');
  return Number(await found.textContent());
}

// R2, R13, R23, R24, R29: every page counts what the mail server counted
test('the numbers of all pages are those of the mail server', async ({ browser, start, mail }) => {
  test.setTimeout(180_000);
  const program = await start({ SKYCHIMP_SMTP_URL: `${mail.url}&connections=1`, SKYCHIMP_RETRY_BASE: '1s' });
  const message = seed(program, 1);
  const page = await signIn(browser, program, 'en', { viewport: { width: 1280, height: 900 } });
  const wrong = complaints(page);
  const mailing = await sent(program, page, mail, message);
  const seen = sink(mail);
  expect(seen.accepted).toBe(PEOPLE.length - seen.failed);
  expect(seen.people).toBe(PEOPLE.length);

  // the report
  await page.goto(mailing);
  await page.getByRole('link', { name: t('report-title'), exact: true }).first().click();
  await expect(page.locator('.report-lead')).toContainText(t('report-failed-most', { count: seen.failed, why: t('cause-why-mailbox-unknown') }));
  await until(
    async () => {
      await page.reload();
      return page.getByText(t('report-domains')).count();
    },
    (there) => there > 0,
  );
  expect(await tile(page, t('run-total-planned'))).toBe(PEOPLE.length + 1);
  expect(await tile(page, t('run-total-sent'))).toBe(seen.accepted);
  expect(await tile(page, t('run-total-failed'))).toBe(seen.failed);
  expect(await tile(page, t('delivery-skipped'))).toBe(1);
  expect(await tile(page, t('run-total-remaining'))).toBe(0);
  await expect(page.locator('tr', { hasText: 'north.example' })).toContainText('26');
  await expect(page.locator('.plot canvas')).toBeVisible();
  await accessible(page);
  await fits(page);
  const report = page.url();

  // everybody behind a number
  for (const [state, count] of Object.entries({ sent: seen.accepted, failed: seen.failed, skipped: 1, remaining: 0 })) {
    await page.goto(report);
    await page.locator(`.totals a[href$="state=${state}"]`).first().click();
    await expect(page.locator('tbody tr')).toHaveCount(count);
    await accessible(page);
  }

  // pictures
  for (const [name, language, options] of [
    ['desk-light-en', 'en', { viewport: { width: 1280, height: 900 }, colorScheme: 'light' }],
    ['desk-dark-ru', 'ru', { viewport: { width: 1280, height: 900 }, colorScheme: 'dark' }],
    ['phone-dark-ru', 'ru', { viewport: { width: 375, height: 780 }, isMobile: true, hasTouch: true, colorScheme: 'dark' }],
    ['phone-light-en', 'en', { viewport: { width: 375, height: 780 }, isMobile: true, hasTouch: true, colorScheme: 'light' }],
  ] as const) {
    const viewer = await signIn(browser, program, language, options);
    await viewer.goto(report);
    await fits(viewer);
    await accessible(viewer);
    await picture(viewer, `report-${name}`);
    await viewer.goto(`${report.replace('/runs/', '/people?run=')}&state=failed`);
    await fits(viewer);
    await accessible(viewer);
    await picture(viewer, `report-people-${name}`);
    await viewer.context().close();
  }
  expect(wrong).toEqual([]);
});
