// Several mailings of the list at once, in both languages.
import { accessible } from './look.ts';
import { OWNER, seed, signIn } from './seeds.ts';
import { expect, test, until } from './test.ts';
import { type Language, words } from './words.ts';

const LANGUAGES: Language[] = ['en', 'ru'];

for (const language of LANGUAGES) {
  const t = words(language);
  // R7, R11, R22: pause, resume, cancel; what goes with several mailings is said before they are deleted
  test(`several mailings at once, in ${language}`, async ({ browser, start, mail }) => {
    mail.delay = 100;
    const program = await start({ SKYCHIMP_SMTP_URL: `${mail.url}&connections=2` });
    const message = seed(program, 1_000);
    const create = (title: string, ...more: string[]) =>
      program.json(['mailing', 'create', '--owner', OWNER, '--list', 'Customers', '--message', message, '--title', title, ...more]).id;
    const running = ['Autumn news', 'Winter sale'].map((title) => create(title, '--run'));
    create('A draft');
    const page = await signIn(browser, program, language);
    await page.goto('/mailings');
    const act = async (key: string, titles: string[]) => {
      await page.goto('/mailings');
      for (const title of titles) await page.getByLabel(t('select-one', { name: title })).check();
      await page.getByRole('button', { name: t(key), exact: true }).click();
    };
    const both = ['Autumn news', 'Winter sale'];
    const all = [...both, 'A draft'];
    const says = (key: string, count: number, refused: number) => expect(page.getByText(t(key, { count, refused }).trim())).toBeVisible();

    await page.getByLabel(t('select-all')).check();
    await expect(page.locator('[data-select-count]')).toHaveText('3');
    await accessible(page);
    await page.getByRole('button', { name: t('mailing-pause'), exact: true }).click();
    await says('mailings-paused', 2, 1);
    await expect(page.locator('tbody').getByText(t('status-paused'), { exact: true })).toHaveCount(2);

    await act('mailing-resume', both);
    await says('mailings-resumed', 2, 0);

    await act('mailings-cancel', all);
    const dialog = page.getByRole('dialog');
    await expect(dialog).toContainText(t('mailings-cancel-question'));
    await dialog.getByRole('button', { name: t('mailings-cancel-ok') }).click();
    await says('mailings-cancelled', 2, 1);
    for (const id of running) {
      await until(() => program.json(['mailing', 'show', id, '--owner', OWNER]), (totals) => totals.status === 'cancelled' && totals.remaining === 0);
    }

    await act('mailings-delete', both);
    await expect(page.getByRole('heading', { name: t('mailings-delete-title') })).toBeVisible();
    for (const sentence of [t('mailings-delete-text', { count: 2 }), t('mailing-delete-runs', { count: 2 }), ...both]) {
      await expect(page.getByText(sentence)).toBeVisible();
    }
    await accessible(page);
    await page.getByRole('button', { name: t('mailing-delete-ok') }).click();
    await says('mailings-deleted', 2, 0);
    await expect(page.getByRole('link', { name: 'A draft' })).toBeVisible();
    await expect(page.getByRole('link', { name: 'Autumn news' })).toHaveCount(0);
  });
}
