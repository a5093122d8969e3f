// From the empty database to the report: recipients → message → mailing → Start, in both languages.
import { accessible, complaints } from './look.ts';
import { OWNER, sendImmediately } from './seeds.ts';
import { PASSWORD } from './program.ts';
import { expect, test } from './test.ts';
import { type Language, words } from './words.ts';

const LANGUAGES: Language[] = ['en', 'ru'];
const COUNT = 40;

for (const language of LANGUAGES) {
  const t = words(language);
  // R1, R9, R12, R15, R19, R22, R23, R24: each empty page leads to the next step; every letter is sent and accounted for
  test(`from the first page to the report, in ${language}`, async ({ browser, start }) => {
    const program = await start();
    const context = await browser.newContext({ baseURL: program.address, locale: language });
    const page = await context.newPage();
    const wrong = complaints(page);
    const button = (key: string, values = {}) => page.getByRole('button', { name: t(key, values), exact: true });
    const link = (key: string) => page.getByRole('link', { name: t(key), exact: true });

    // an empty database offers to make the first administrator
    await page.goto('/');
    await expect(page).toHaveURL(/\/setup$/);
    await accessible(page);
    await page.getByLabel(t('setup-name')).fill('Anna');
    await page.getByLabel(t('setup-email')).fill(OWNER);
    await page.getByLabel(t('setup-password')).fill(PASSWORD);
    await button('setup-button').click();
    await expect(page.getByRole('heading', { name: t('home-guide') })).toBeVisible();
    await accessible(page);

    // recipients, from a file, into a new list
    await link('home-step-go').click();
    await expect(page.getByRole('heading', { name: t('recipients-empty') })).toBeVisible();
    await accessible(page);
    await link('recipients-import-file').click();
    const rows = Array.from({ length: COUNT }, (_, n) => `person${n}@customers.example.org;Мария ${n};Самара`);
    await page.getByLabel(t('imports-file')).setInputFiles({
      name: 'customers.csv',
      mimeType: 'text/csv',
      buffer: Buffer.from(`email;имя;city\n${rows.join('\n')}\n`),
    });
    await button('imports-upload').click();
    await expect(page.getByRole('heading', { name: t('imports-columns') })).toBeVisible();
    await accessible(page);
    await page.getByLabel(t('imports-new-list')).fill('Customers');
    await button('imports-start').click();
    await expect(page.getByRole('heading', { name: t('imports-done') })).toBeVisible();
    await expect(page.locator('[data-live=added]')).toHaveText(`${COUNT}`);
    await accessible(page);

    // a message with personal fields
    await page.goto('/messages');
    await link('messages-empty-button').click();
    await page.getByLabel(t('messages-subject'), { exact: true }).fill('News for {{ name }}');
    await page.locator('#html').fill('<h1>Good day, {{ name }}</h1><p>News from {{ attributes.city }}: <a href="https://example.org/news">read</a>.</p>');
    await expect(page.getByText(t('messages-no-problems'))).toBeVisible();
    await accessible(page);
    await button('save-and-return').click();
    await expect(page.getByRole('link', { name: 'News for {{ name }}' })).toBeVisible();

    // a mailing
    await page.goto('/mailings');
    await link('mailings-new').click();
    await page.getByLabel(t('mailing-name'), { exact: true }).fill('Autumn news');
    await page.getByLabel('Customers').check();
    await page.getByLabel(t('mailing-message'), { exact: true }).selectOption({ label: 'News for {{ name }}' });
    await expect(button('mailing-send-to', { count: COUNT })).toBeVisible();
    await accessible(page);
    await button('mailing-save-draft').click();
    await expect(page.getByText(t('status-created'), { exact: true })).toBeVisible();
    await accessible(page);

    // Start
    const mailing = page.url();
    await sendImmediately(page);
    await page.goto(mailing);
    await button('mailing-send-to', { count: COUNT }).click();
    await expect(page.locator('[data-live=sent]').first()).toHaveText(`${COUNT}`);
    await expect(page.getByText(t('run-state-done'), { exact: true }).first()).toBeVisible();
    await accessible(page);

    // who got what
    await page.getByRole('link', { name: t('mailing-log'), exact: true }).first().click();
    await expect(page.locator('tbody tr')).toHaveCount(COUNT);
    await expect(page.locator('tbody tr').first()).toContainText('250');
    await accessible(page);
    await page.locator('#q').fill('person7@');
    await button('show').click();
    await expect(page.locator('tbody tr')).toHaveCount(1);

    // the letters themselves
    await page.goto('/sandbox?q=person7@');
    await page.getByRole('link', { name: 'News for Мария 7' }).click();
    await expect(page.frameLocator('iframe').getByRole('heading', { name: 'Good day, Мария 7' })).toBeVisible();
    await expect(page.frameLocator('iframe').getByText('Самара')).toBeVisible();
    await accessible(page);

    // the overview no longer guides, it reports
    await page.goto('/');
    await expect(page.getByRole('link', { name: 'Autumn news' })).toBeVisible();
    await expect(page.getByRole('heading', { name: t('home-guide') })).toHaveCount(0);
    expect(wrong).toEqual([]);
    await context.close();
  });
}
