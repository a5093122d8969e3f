// What a test needs before it begins, made by the program's commands.
import type { Browser, BrowserContextOptions, Page } from '@playwright/test';
import { PASSWORD, type Program } from './program.ts';
import { expect } from './test.ts';
import { type Language, words } from './words.ts';

export const OWNER = 'anna@example.org';

/** A user, a list `Customers` with so many recipients, and a message; gives the message's id. */
export function seed(program: Program, count: number): string {
  program.user(OWNER, 'Anna', 'user');
  const rows = Array.from({ length: count }, (_, n) => `person${n}@customers.example.org,Anna ${n},Samara`);
  const file = program.file('recipients.csv', `email,name,city\n${rows.join('\n')}\n`);
  program.run(['recipients', 'import', file, '--owner', OWNER, '--list', 'Customers']);
  const html = program.file('letter.html', '<h1>Good day, {{ name }}</h1><p>News from {{ attributes.city }}: <a href="https://example.org/news">read</a>.</p>');
  return program.json(['message', 'create', '--owner', OWNER, '--subject', 'News for {{ name }}', '--html', html]).id;
}

/** A page of a browser of its own, signed in as the owner of the seeds. */
export async function signIn(browser: Browser, program: Program, language: Language = 'en', options: BrowserContextOptions = {}): Promise<Page> {
  const context = await browser.newContext({ baseURL: program.address, locale: language, ...options });
  const page = await context.newPage();
  const t = words(language);
  await page.goto('/login');
  await page.getByLabel(t('login-email')).fill(OWNER);
  await page.getByLabel(t('login-password')).fill(PASSWORD);
  await page.getByRole('button', { name: t('login-button') }).click();
  await expect(page.getByRole('heading', { level: 1 })).toContainText('Anna');
  return page;
}
