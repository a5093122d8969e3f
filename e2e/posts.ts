// What tests of the blog share: somebody who writes it, and pictures.
import type { Browser, BrowserContextOptions, Page } from '@playwright/test';
import { crc32, deflateSync } from 'node:zlib';
import { PASSWORD, type Program } from './program.ts';
import { expect } from './test.ts';
import { type Language, words } from './words.ts';

export const EDITOR = 'editor@example.org';

/** A page of a browser of its own, signed in as the content manager, on the panel. */
export async function signInEditor(browser: Browser, program: Program, language: Language = 'en', options: BrowserContextOptions = {}, password = PASSWORD): Promise<Page> {
  const context = await browser.newContext({ baseURL: program.address, locale: language, ...options });
  const page = await context.newPage();
  const t = words(language);
  await page.goto('/login');
  await page.getByLabel(t('login-email')).fill(EDITOR);
  await page.getByLabel(t('login-password')).fill(password);
  await page.getByRole('button', { name: t('login-button') }).click();
  await expect(page.getByRole('heading', { level: 1, name: t('posts-title') })).toBeVisible();
  return page;
}

/** Begins an article in the panel; its editor is open afterwards. */
export async function begin(page: Page, language: Language, title: string): Promise<void> {
  const t = words(language);
  await page.goto('/posts/new');
  await page.getByLabel(t('posts-title-field')).fill(title);
  await page.getByRole('button', { name: t('posts-begin') }).click();
  await expect(page.getByRole('heading', { level: 1, name: title })).toBeVisible();
}

/** A PNG of one colour that fades to black downwards. */
export function png(width: number, height: number, [red, green, blue] = [28, 100, 112]): Buffer {
  const rows = Buffer.alloc((width * 3 + 1) * height);
  for (let y = 0; y < height; y += 1) {
    const light = 1 - y / height;
    for (let x = 0; x < width; x += 1) rows.set([red * light, green * light, blue * light], y * (width * 3 + 1) + 1 + x * 3);
  }
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([8, 2], 8);
  const chunk = (type: string, data: Buffer) => {
    const body = Buffer.concat([Buffer.from(type), data]);
    const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
    length.writeUInt32BE(data.length);
    sum.writeUInt32BE(crc32(body));
    return Buffer.concat([length, body, sum]);
  };
  const start = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1');
  return Buffer.concat([start, chunk('IHDR', head), chunk('IDAT', deflateSync(rows)), chunk('IEND', Buffer.alloc(0))]);
}
