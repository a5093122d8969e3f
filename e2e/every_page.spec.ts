// Every page there is: followed from link to link, in both languages, light and dark, on a desk and on a phone.
import type { BrowserContextOptions, Page } from '@playwright/test';
import { accessible, complaints, fits, picture } from './look.ts';
import { signInEditor } from './posts.ts';
import { Program } from './program.ts';
import { OWNER, seed, signIn } from './seeds.ts';
import { expect, test, until } from './test.ts';
import type { Language } from './words.ts';

const ADMIN = 'ada@example.org';

/**
 * A service in use: recipients, a list, a message, a mailing that was sent and one that begins later, and a user who was
 * blocked for a while. Gives the addresses of pages that no link leads to.
 */
async function inUse(program: Program): Promise<string[]> {
  const message = seed(program, 120);
  const create = ['mailing', 'create', '--owner', OWNER, '--list', 'Customers', '--message', message];
  const weekly = ['--start', '2027-01-04T09:00', '--zone', 'Europe/Berlin', '--every', 'week'];
  const later = program.json([...create, '--title', 'Every Monday', ...weekly, '--run']).id;
  program.run([...create, '--title', 'Winter sale']);
  const sent = program.json([...create, '--title', 'Autumn news', '--run']).id;
  await until(() => program.json(['mailing', 'show', sent, '--owner', OWNER]), (totals) => totals.status === 'completed');
  program.user(ADMIN, 'Ada', 'admin');
  program.run(['user', 'block', OWNER, '--reason', 'Complaints about spam']);
  program.run(['user', 'unblock', OWNER, '--reason', 'Talked to her']);
  return [`/mailings/delete?id=${sent}&id=${later}`, `/mailings/${sent}/report`];
}

/** The same for all pages of a kind: ids become `:id`, what is asked for becomes its name. */
function kind(url: URL): string {
  const path = url.pathname
    .replace(/[0-9a-f]{8}-[0-9a-f-]{27}/g, ':id')
    .replace(/\/\d+(?=\/|$)/g, '/:id')
    .replace(/^\/blog\/(tag\/)?[^/.]+$/, '/blog/$1:slug');
  return path + [...new Set([...url.searchParams.keys()])].sort().map((key) => `?${key}`).join('');
}

/** Follows links from where somebody begins; gives one address per kind of page. */
async function addresses(page: Page, program: Program, begin: string[]): Promise<string[]> {
  const waiting = [...begin];
  const found = new Map(begin.map((address) => new URL(address, program.address)).map((url) => [kind(url), url.href]));
  while (waiting.length > 0) {
    const next = waiting.shift() as string;
    const answer = await page.goto(next);
    expect(answer?.status(), next).toBeLessThan(400);
    const links = await page.locator('a[href]').evaluateAll((all) =>
      all.filter((link) => !link.hasAttribute('download') && !link.hasAttribute('hreflang')).map((link) => (link as HTMLAnchorElement).href),
    );
    for (const link of links) {
      const url = new URL(link);
      url.hash = '';
      if (url.origin !== program.address || found.has(kind(url))) continue;
      const head = await page.request.get(url.href, { maxRedirects: 0 });
      expect(head.status(), url.href).toBeLessThan(400);
      const isPage = head.status() === 200 && (head.headers()['content-type'] ?? '').startsWith('text/html');
      // a letter is what somebody wrote, not a page of ours
      const isLetter = url.pathname.endsWith('/letter');
      const isFile = isLetter || (head.headers()['content-disposition'] ?? '').startsWith('attachment');
      found.set(kind(url), isPage && !isFile ? url.href : '');
      if (isPage && !isFile) waiting.push(url.href);
    }
  }
  return [...new Set(found.values())].filter(Boolean);
}

/** A page as everybody in it has to find it: complete, accessible, not wider than the window. */
async function look(page: Page, name: string, language: Language, address: string): Promise<void> {
  await test.step(`${name}: ${kind(new URL(address))}`, async () => {
    await page.goto(address);
    await expect(page.locator('html')).toHaveAttribute('lang', language);
    await picture(page, `${name}-${kind(new URL(address)).replace(/[^a-z]+/g, '-').replace(/^-|-$/g, '') || 'overview'}`);
    await accessible(page);
    await fits(page);
  });
}

const DESK = { viewport: { width: 1280, height: 860 } };
const PHONE = { viewport: { width: 375, height: 780 }, hasTouch: true, isMobile: true };

const LOOKS: [string, Language, BrowserContextOptions][] = [
  ['desk-light-en', 'en', { ...DESK, colorScheme: 'light' }],
  ['phone-dark-ru', 'ru', { ...PHONE, colorScheme: 'dark' }],
];

/** Signs in and goes through the pages that are found from `begin` and `wanted`. */
async function lookAtAll(
  program: Program,
  name: string,
  language: Language,
  page: Page,
  begin: string[],
  wanted: (path: string) => boolean,
): Promise<void> {
  const wrong = complaints(page);
  const all = (await addresses(page, program, begin)).filter((address) => wanted(new URL(address).pathname));
  expect(all.length).toBeGreaterThan(5);
  for (const address of all) await look(page, name, language, address);
  expect(wrong).toEqual([]);
  await page.context().close();
}

for (const [name, language, options] of LOOKS) {
  // R1: every page works in a real browser, for everybody
  test(`every page is accessible, complete, and fits, ${name}`, async ({ browser, start }) => {
    test.setTimeout(480_000);
    const program = await start();
    const unlinked = await inUse(program);
    const page = await signIn(browser, program, language, options);
    await lookAtAll(program, name, language, page, ['/', ...unlinked], () => true);
  });

  // R1, R32: the pages of administrators
  test(`every page of an administrator is accessible, complete, and fits, ${name}`, async ({ browser, start }) => {
    test.setTimeout(480_000);
    const program = await start();
    await inUse(program);
    program.run(['server', 'create', '--name', 'Newsletters', '--host', 'mail.example.org', '--disabled', '--per-day', '5000', '--warm-up', '50 100 200']);
    const page = await signIn(browser, program, language, options, ADMIN);
    await lookAtAll(program, name, language, page, ['/manage/users'], (path) => path.startsWith('/manage'));
  });

  // R1, R44, R45: the blog and its panel, with the articles of the demo
  test(`every page of the blog is accessible, complete, and fits, ${name}`, async ({ browser }) => {
    test.setTimeout(480_000);
    const [program, password] = await Program.demo();
    try {
      const page = await signInEditor(browser, program, language, options, password);
      await lookAtAll(program, name, language, page, ['/posts', '/blog'], (path) => /^\/(posts|blog)/.test(path));
    } finally {
      await program.stop();
    }
  });
}
