// The form of a mailing: what is chosen decides, and the same form sends once.
import { accessible } from './look.ts';
import { seed, signIn } from './seeds.ts';
import { expect, test } from './test.ts';
import { type Language, words } from './words.ts';

const LANGUAGES: Language[] = ['en', 'ru'];

for (const language of LANGUAGES) {
  const t = words(language);
  // R10, R22: a date that is chosen must be given, in the browser too, and the button says so
  test(`a chosen date must be given, in ${language}`, async ({ browser, start }) => {
    const program = await start();
    seed(program, 2);
    const page = await signIn(browser, program, language);
    const submit = page.locator('button[value=start]');
    await page.goto('/mailings/new');
    await page.getByLabel(t('mailing-name'), { exact: true }).fill('Autumn news');
    await page.getByLabel('Customers').check();
    await page.getByLabel(t('mailing-message'), { exact: true }).selectOption({ label: 'News for {{ name }}' });
    await expect(submit).toHaveText(t('mailing-send-to', { count: 2 }));
    await page.getByLabel(t('mailing-begin-at')).check();
    await expect(submit).toHaveText(t('mailing-start-missing'));
    await expect(page.locator('#start')).toHaveAttribute('required');
    await submit.click();
    await expect(page).toHaveURL(/\/mailings\/new$/);
    expect(await page.locator('#start').evaluate((field: HTMLInputElement) => field.validity.valueMissing)).toBe(true);
    // a browser that does not look: the server does
    await page.locator('#mailing').evaluate((form: HTMLFormElement) => (form.noValidate = true));
    await submit.click();
    await expect(page.locator('#start[aria-invalid=true]')).toBeVisible();
    await expect(page.getByLabel(t('mailing-begin-at'))).toBeChecked();
    await expect(submit).toHaveText(t('mailing-start-missing'));
    await accessible(page);
    if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/begin-${language}.png`, fullPage: true });
    await page.getByLabel(t('mailing-begin-now')).check();
    await expect(page.locator('#start')).not.toHaveAttribute('required');
    await expect(submit).toHaveText(t('mailing-send-to', { count: 2 }));
  });
}

// R22: Back and the same button again sends nothing twice; another text makes another mailing, and is not lost
test('back and again is once', async ({ browser, start }) => {
  const t = words('en');
  const program = await start();
  seed(program, 2);
  const page = await signIn(browser, program);
  const submit = page.locator('button[value=start]');
  const fill = async (title: string) => {
    await page.getByLabel(t('mailing-name'), { exact: true }).fill(title);
    await page.getByLabel('Customers').check();
    await page.getByLabel(t('mailing-message'), { exact: true }).selectOption({ label: 'News for {{ name }}' });
  };
  await page.goto('/mailings/new');
  const id = await page.locator('#mailing input[name=form_id]').inputValue();
  await fill('Autumn news');
  await submit.click();
  await expect(page).toHaveURL(/\/mailings\/[0-9a-f-]{36}$/);
  const made = page.url();
  await page.goBack();
  await expect(page).toHaveURL(/\/mailings\/new$/);
  await expect(page.locator('#mailing input[name=form_id]')).toHaveValue(id);
  await page.reload();
  await expect(page.locator('#mailing input[name=form_id]')).toHaveValue(id);
  await fill('Autumn news');
  await submit.click();
  await expect(page).toHaveURL(made);
  await expect(page.getByText(t('form-arrived-before'))).toBeVisible();
  await page.goBack();
  await fill('Winter news');
  await submit.click();
  await expect(page.getByText(t('error-sent-before'))).toBeVisible();
  await expect(page.getByLabel(t('mailing-name'), { exact: true })).toHaveValue('Winter news');
  if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/before.png`, fullPage: true });
  await expect(page.locator('#mailing input[name=form_id]')).not.toHaveValue(id);
  await page.locator('button[value=draft]:visible').last().click();
  await expect(page).toHaveURL(/\/mailings\/[0-9a-f-]{36}$/);
  expect(page.url()).not.toBe(made);
  await page.goto('/mailings');
  await expect(page.getByRole('link', { name: 'Autumn news' })).toHaveCount(1);
  await expect(page.getByRole('link', { name: 'Winter news' })).toHaveCount(1);
});
