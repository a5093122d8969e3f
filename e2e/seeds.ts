// What a test needs before it begins, made by the program's commands.
import type { Browser, BrowserContextOptions, Page } from '@playwright/test';
import { PASSWORD, type Program } from './program.ts';
import { expect } from './test.ts';
import { type Language, words } from './words.ts';

export const OWNER = 'anna@example.org';

const LETTER = `<style>
  .letter { max-width: 560px; margin: 0 auto; font-family: Georgia, serif; color: #22333b; line-height: 1.5; }
  .letter h1 { font-size: 26px; color: #17505a; }
  .letter .go { display: inline-block; padding: 10px 18px; border-radius: 8px; background: #17505a; color: #ffffff; text-decoration: none; }
</style>
<div class="letter">
  <h1>Good day, {{ name }}</h1>
  <p>The autumn harvest is in. This week our shop in {{ attributes.city | default("your town") }} has
  three new teas, two jams, and the honey you asked for.</p>
  <p><a class="go" href="https://example.org/news">See what is new</a></p>
</div>
`;

/** A user, a list `Customers` with so many recipients, and a message; gives the message's id. */
export function seed(program: Program, count: number): string {
  program.user(OWNER, 'Anna', 'user');
  const rows = Array.from({ length: count }, (_, n) => `person${n}@customers.example.org,Anna ${n},Samara`);
  const file = program.file('recipients.csv', `email,name,city\n${rows.join('\n')}\n`);
  program.run(['recipients', 'import', file, '--owner', OWNER, '--list', 'Customers']);
  const html = program.file('letter.html', LETTER);
  return program.json(['message', 'create', '--owner', OWNER, '--subject', 'News for {{ name }}', '--html', html]).id;
}

/** A page of a browser of its own, signed in as the owner of the seeds, or as somebody else. */
export async function signIn(
  browser: Browser,
  program: Program,
  language: Language = 'en',
  options: BrowserContextOptions = {},
  email = OWNER,
): Promise<Page> {
  const context = await browser.newContext({ baseURL: program.address, locale: language, ...options });
  const page = await context.newPage();
  const t = words(language);
  await page.goto('/login');
  await page.getByLabel(t('login-email')).fill(email);
  await page.getByLabel(t('login-password')).fill(PASSWORD);
  await page.getByRole('button', { name: t('login-button') }).click();
  await expect(page).not.toHaveURL(/\/login/);
  return page;
}

/** Lets letters leave as soon as Start is pressed: nothing is asked, and nobody wants to take it back. */
export async function sendImmediately(page: Page): Promise<void> {
  await page.goto('/account');
  await page.locator('#ask_over').fill('1000000');
  await page.locator('#take_back').fill('0');
  await page.locator('form[action="/account"] button').click();
  await expect(page.locator('.alert-success')).toBeVisible();
}
