// Passkeys, with the virtual authenticator of Chromium in place of a finger on a phone.
import type { CDPSession, Page } from '@playwright/test';
import { execFileSync } from 'node:child_process';
import { databases } from './database.ts';
import { accessible, complaints, fits, picture } from './look.ts';
import { PASSWORD, type Program } from './program.ts';
import { expect, test } from './test.ts';
import { type Language, words } from './words.ts';

const EVE = 'eve@example.org';

/** A phone that keeps passkeys and verifies whoever holds it. */
async function phone(page: Page): Promise<{ cdp: CDPSession; id: string }> {
  const cdp = await page.context().newCDPSession(page);
  await cdp.send('WebAuthn.enable');
  const options = { protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true, isUserVerified: true } as const;
  const { authenticatorId } = await cdp.send('WebAuthn.addVirtualAuthenticator', { options });
  return { cdp, id: authenticatorId };
}

async function withPassword(page: Page, language: Language): Promise<void> {
  const t = words(language);
  await page.goto('/login');
  await page.getByLabel(t('login-email')).fill(EVE);
  await page.getByLabel(t('login-password')).fill(PASSWORD);
  await page.getByRole('button', { name: t('login-button'), exact: true }).click();
}

async function signOut(page: Page, language: Language): Promise<void> {
  await page.locator('form[action="/logout"] button').evaluate((logout: HTMLButtonElement) => logout.click());
  await expect(page.getByRole('heading', { name: words(language)('login-title') })).toBeVisible();
}

async function look(page: Page, name: string): Promise<void> {
  await picture(page, `passkeys-${name}`);
  await accessible(page);
  await fits(page);
}

const LOOKS = [
  ['en', {}],
  ['ru', { viewport: { width: 375, height: 780 }, colorScheme: 'dark' as const }],
] as const;

for (const [which, [language, options]] of LOOKS.entries()) {
  const t = words(language);
  // a database for each, when there are two
  const [database, settings] = databases().at(-which) ?? databases()[0];

  // R31: a passkey is added, opens the account without address and password, stands for the code, and is removed
  test(`a passkey from the first to the last day, in ${language}, on ${database}`, async ({ browser, start }) => {
    // passkeys belong to a domain
    const program: Program = await start({ ...settings(), host: 'localhost' });
    program.user(EVE, 'Eve');
    const context = await browser.newContext({ baseURL: program.address, locale: language, ...options });
    const page = await context.newPage();
    const wrong = complaints(page);
    const button = (key: string) => page.getByRole('button', { name: t(key), exact: true });
    const { cdp, id } = await phone(page);

    // add
    await withPassword(page, language);
    await page.goto('/account/security');
    await page.getByLabel(t('passkeys-new-name')).fill('Phone');
    const password = page.locator('#passkey_password');
    await password.fill('wrong horse battery');
    await button('passkeys-add').click();
    await expect(page.getByText(t('error-wrong-password'))).toBeVisible();
    await look(page, `wrong-${language}`);
    await password.fill(PASSWORD);
    await button('passkeys-add').click();
    await expect(page.getByText(t('passkeys-added'))).toBeVisible();
    await look(page, `list-${language}`);

    // sign in with nothing else
    await signOut(page, language);
    await look(page, `login-${language}`);
    await button('passkeys-login').click();
    await expect(page.getByRole('heading', { level: 1 })).toContainText('Eve');

    // as the second step
    await page.goto('/account/security');
    await page.locator('#current').fill(PASSWORD);
    await button('security-begin').click();
    const secret = await page.locator('#secret').innerText();
    const shown = execFileSync('oathtool', ['--totp', '--base32', secret], { encoding: 'utf8' }).trim();
    await page.getByLabel(t('security-code')).fill(shown);
    await button('security-confirm').click();
    await expect(page.getByText(t('security-on-done'))).toBeVisible();
    await signOut(page, language);
    await withPassword(page, language);
    await expect(page.getByRole('heading', { name: t('code-title') })).toBeVisible();
    await look(page, `code-${language}`);
    await button('passkeys-instead').click();
    await expect(page.getByRole('heading', { level: 1 })).toContainText('Eve');

    // a phone whose holder is not verified, then one without the key
    await signOut(page, language);
    await cdp.send('WebAuthn.setUserVerified', { authenticatorId: id, isUserVerified: false });
    await button('passkeys-login').click();
    await expect(page.getByText(t('error-passkey-failed'))).toBeVisible();
    await look(page, `failed-${language}`);
    await cdp.send('WebAuthn.setUserVerified', { authenticatorId: id, isUserVerified: true });
    await button('passkeys-login').click();
    await expect(page.getByRole('heading', { level: 1 })).toContainText('Eve');

    // rename and remove
    await page.goto('/account/security');
    await page.getByLabel(t('passkeys-name'), { exact: true }).fill('Old phone');
    await button('passkeys-rename').click();
    await expect(page.getByText(t('passkeys-renamed'))).toBeVisible();
    await page.locator('summary', { hasText: t('passkeys-remove') }).click();
    await page.locator('input[name=passkey_current]').fill(PASSWORD);
    await look(page, `remove-${language}`);
    await button('passkeys-remove-ok').click();
    await expect(page.getByText(t('passkeys-removed'))).toBeVisible();
    await signOut(page, language);
    await button('passkeys-login').click();
    await expect(page.getByText(t('error-passkey-unknown'))).toBeVisible();
    expect(wrong.filter((line) => !line.includes('422 (Unprocessable'))).toEqual([]);
    await context.close();
  });
}

// R31: without scripts, and on a site without a domain, nothing of passkeys is offered
test('passkeys are offered where they work', async ({ browser, start }) => {
  const t = words('en');
  const program = await start({ host: 'localhost' });
  program.user(EVE, 'Eve');
  const plain = await (await browser.newContext({ baseURL: program.address, javaScriptEnabled: false })).newPage();
  await withPassword(plain, 'en');
  await plain.goto('/account/security');
  await expect(plain.locator('noscript p')).toHaveText(t('passkeys-scripts'));
  await expect(plain.getByRole('button', { name: t('passkeys-add') })).toBeHidden();
  await plain.context().close();

  const bare = await start();
  bare.user(EVE, 'Eve');
  const page = await (await browser.newContext({ baseURL: bare.address })).newPage();
  await page.goto('/login');
  await expect(page.getByRole('button', { name: t('login-button'), exact: true })).toBeVisible();
  await expect(page.getByRole('button', { name: t('passkeys-login') })).toHaveCount(0);
  await page.context().close();
});
