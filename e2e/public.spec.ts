// The pages that strangers see.
import type { BrowserContextOptions } from '@playwright/test';
import { accessible, complaints, fits, picture } from './look.ts';
import { seed } from './seeds.ts';
import { expect, test } from './test.ts';
import { type Language, words } from './words.ts';

const DESK = { viewport: { width: 1280, height: 860 } };
const PHONE = { viewport: { width: 375, height: 780 }, hasTouch: true, isMobile: true };

const LOOKS: [string, Language, BrowserContextOptions][] = [
  ['desk-light-ru', 'ru', { ...DESK, colorScheme: 'light' }],
  ['desk-dark-en', 'en', { ...DESK, colorScheme: 'dark' }],
  ['phone-light-en', 'en', { ...PHONE, colorScheme: 'light' }],
  ['phone-dark-ru', 'ru', { ...PHONE, colorScheme: 'dark' }],
];

// R1, R52, R56: the home page is for everybody
test('home page tells what the service is', async ({ browser, start }) => {
  const program = await start();
  seed(program, 1_240);
  for (const [look, language, options] of LOOKS) {
    await test.step(look, async () => {
      const context = await browser.newContext({ baseURL: program.address, locale: language, ...options });
      const page = await context.newPage();
      const wrong = complaints(page);
      const t = words(language);
      await page.goto('/');
      await expect(page.locator('html')).toHaveAttribute('lang', language);
      await expect(page.getByRole('heading', { level: 1 })).toHaveText(t('landing-title'));
      await expect(page.locator('.figures dd').last()).toHaveText(language === 'ru' ? '1\u00a0240' : '1,240');
      const shown = page.locator(`.landing-hero img.only-${options.colorScheme}`);
      await expect(shown).toBeVisible();
      await expect.poll(() => shown.evaluate((image: HTMLImageElement) => image.complete && image.naturalWidth > 0)).toBe(true);
      await picture(page, `${look}-home`);
      await accessible(page);
      await fits(page);
      expect(wrong).toEqual([]);
      await context.close();
    });
  }
});

// R58: what somebody chose holds on pages that are the same for everybody
test('a chosen theme and language hold on the home page', async ({ page, start }) => {
  const program = await start();
  seed(program, 3);
  await page.goto(program.address);
  await page.locator('[data-theme-set=dark]').click();
  await page.locator('a[hreflang=ru]').click();
  await page.goto(program.address);
  await expect(page.locator('html')).toHaveAttribute('lang', 'ru');
  await expect(page.locator('html')).toHaveAttribute('data-bs-theme', 'dark');
});

// R56: nothing on the home page needs scripts
test('home page works without scripts', async ({ browser, start }) => {
  const program = await start();
  seed(program, 3);
  const context = await browser.newContext({ baseURL: program.address, locale: 'en', javaScriptEnabled: false });
  const page = await context.newPage();
  await page.goto('/');
  await expect(page.locator('.figures dd').last()).toHaveText('3');
  await page.locator('a[hreflang=ru]').click();
  await expect(page.getByRole('heading', { level: 1 })).toHaveText(words('ru')('landing-title'));
  await context.close();
});
