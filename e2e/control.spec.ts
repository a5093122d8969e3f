// A mailing in the hands of its owner: pause, resume, cancel.
import { accessible } from './look.ts';
import { OWNER, seed, signIn } from './seeds.ts';
import { expect, test, until } from './test.ts';
import { words } from './words.ts';

const t = words('en');

/** A sentence with a number in it, whatever the number is. */
const counted = (key: string) => new RegExp(t(key, { count: 7 }).replace(/7/, '.*'));

// R11, R22: pause stops letters within a second, resume lets them go on, cancel ends it for good
test('pause, resume and cancel', async ({ browser, start, mail }) => {
  mail.delay = 100;
  const program = await start({ SKYCHIMP_SMTP_URL: `${mail.url}&connections=4` });
  seed(program, 2_000);
  const page = await signIn(browser, program);

  await page.goto('/mailings/new');
  await page.getByLabel(t('mailing-name'), { exact: true }).fill('Autumn news');
  await page.getByLabel('Customers').check();
  await page.getByLabel(t('mailing-message'), { exact: true }).selectOption({ label: 'News for {{ name }}' });
  await page.getByRole('button', { name: counted('mailing-send-to') }).click();
  await expect(page.getByRole('heading', { level: 1, name: 'Autumn news' })).toBeVisible();
  await until(() => mail.letters.length, (letters) => letters > 20);

  await page.getByRole('button', { name: t('mailing-pause'), exact: true }).click();
  await expect(page.getByText(t('mailing-paused'))).toBeVisible();
  await page.waitForTimeout(1_000);
  const paused = mail.letters.length;
  await page.waitForTimeout(1_000);
  expect(mail.letters.length).toBe(paused);
  await accessible(page);

  await page.getByRole('button', { name: t('mailing-resume'), exact: true }).click();
  await expect(page.getByText(t('mailing-resumed'))).toBeVisible();
  await until(() => mail.letters.length, (letters) => letters > paused + 20);
  await expect.poll(async () => Number((await page.locator('[data-live=sent]').first().textContent())?.replace(/\D/g, ''))).toBeGreaterThan(paused);

  await page.getByRole('button', { name: t('mailing-cancel'), exact: true }).click();
  const dialog = page.getByRole('dialog');
  await expect(dialog).toBeVisible();
  await accessible(page);
  await dialog.getByRole('button', { name: t('mailing-cancel-ok') }).click();
  await expect(page.getByText(t('mailing-cancelled'))).toBeVisible();
  await page.waitForTimeout(1_000);
  const sent = mail.letters.length;
  await page.waitForTimeout(1_000);
  expect(mail.letters.length).toBe(sent);

  const id = page.url().split('/').at(-1) ?? '';
  const totals = await until(() => program.json(['mailing', 'show', id, '--owner', OWNER]), (now) => now.remaining === 0);
  expect(totals).toMatchObject({ status: 'cancelled', planned: 2_000, sent, cancelled: 2_000 - sent });
  await page.reload();
  await expect(page.getByRole('button', { name: t('mailing-resume'), exact: true })).toHaveCount(0);
});
