// The form of a mailing: what is chosen decides, and the same form sends once.
import { accessible } from './look.ts';
import { PASSWORD } from './program.ts';
import { OWNER, seed, signIn } from './seeds.ts';
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
    // a date that has passed
    await page.locator('#start').fill('2020-01-31T10:00');
    await page.locator('#start').blur();
    await expect(submit).toHaveText(t('mailing-when-wrong'));
    await page.locator('#mailing').evaluate((form: HTMLFormElement) => (form.noValidate = true));
    await submit.click();
    await expect(page.locator('#start-error')).toHaveText(t('error-start-in-past'));
    await expect(page.locator('#start')).toHaveValue('2020-01-31T10:00');
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

for (const language of LANGUAGES) {
  const t = words(language);
  // R22: many letters are asked about once, and for a while Start can be taken back: nothing has left then
  test(`Start is asked about and can be taken back, in ${language}`, async ({ browser, start, mail }) => {
    const program = await start({ SKYCHIMP_SMTP_URL: mail.url });
    seed(program, 101);
    const page = await signIn(browser, program, language);
    await page.goto('/mailings/new');
    await page.getByLabel(t('mailing-name'), { exact: true }).fill('Autumn news');
    await page.getByLabel('Customers').check();
    await page.getByLabel(t('mailing-message'), { exact: true }).selectOption({ label: 'News for {{ name }}' });
    await page.locator('button[value=start]').click();
    const question = page.locator('#start-question');
    await expect(question).toContainText(t('start-question', { count: 101 }));
    await accessible(page);
    if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/question-${language}.png`, fullPage: true });
    await question.getByRole('button', { name: t('mailing-send-to', { count: 101 }) }).click();
    const banner = page.locator('#take-back');
    await expect(banner).toContainText(t('take-back-text'));
    const seconds = Number(await banner.locator('[data-countdown-left]').textContent());
    expect(seconds).toBeLessThanOrEqual(10);
    await expect(banner.locator('[data-countdown-left]')).not.toHaveText(`${seconds}`);
    if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/take-back-${language}.png`, fullPage: true });
    await banner.getByRole('button', { name: t('take-back') }).click();
    await expect(page.getByText(t('mailing-taken-back'))).toBeVisible();
    await expect(page.getByText(t('status-created'), { exact: true }).first()).toBeVisible();
    await expect(banner).toHaveCount(0);
    expect(mail.letters.length).toBe(0);
  });
}

// R22: what was typed survives the end of the session, Back and a reload
test('typed text is not lost', async ({ browser, start }) => {
  const t = words('en');
  const program = await start();
  seed(program, 1);
  const page = await signIn(browser, program);
  const subject = page.getByLabel(t('messages-subject'), { exact: true });
  page.on('dialog', (dialog) => dialog.accept());
  await page.goto('/messages/new');
  await subject.fill('A long day');
  await page.locator('#html').fill('<p>Written for an hour</p>');
  await page.reload();
  await expect(subject).toHaveValue('A long day');
  await expect(page.locator('#html')).toHaveValue('<p>Written for an hour</p>');
  await page.goto('/messages');
  await page.goBack();
  await expect(subject).toHaveValue('A long day');
  // the session ends in another tab
  const other = await page.context().newPage();
  await other.goto('/account/sessions');
  await other.evaluate(() => (document.querySelector('form[action="/logout"]') as HTMLFormElement).submit());
  await expect(other).toHaveURL(/login/);
  await page.getByRole('button', { name: t('save-and-return') }).click();
  await expect(page.getByText(t('late-form-kept'))).toBeVisible();
  await accessible(page);
  if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/late.png`, fullPage: true });
  await page.getByLabel(t('login-email')).fill(OWNER);
  await page.getByLabel(t('login-password')).fill(PASSWORD);
  await page.getByRole('button', { name: t('login-button') }).click();
  await expect(page.locator('#late-form')).toBeVisible();
  await expect(subject).toHaveValue('A long day');
  await expect(page.locator('#html')).toHaveValue('<p>Written for an hour</p>');
  if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/late-filled.png`, fullPage: true });
});
