// What every page has to keep to, looked at in the browser.
import { AxeBuilder } from '@axe-core/playwright';
import { type Page, expect } from '@playwright/test';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

export const PICTURES = join(import.meta.dirname, 'screenshots');

/** Nothing that keeps somebody out: axe finds no serious or critical fault. */
export async function accessible(page: Page): Promise<void> {
  const { violations } = await new AxeBuilder({ page }).setLegacyMode().options({ resultTypes: ['violations'] }).analyze();
  const serious = violations
    .filter((violation) => violation.impact === 'serious' || violation.impact === 'critical')
    .map((violation) => `${violation.id}: ${violation.help}: ${violation.nodes.map((node) => node.target.join(' ')).join(', ')}`);
  expect(serious, `axe on ${page.url()}`).toEqual([]);
}

/** The page is not wider than the window. */
export async function fits(page: Page): Promise<void> {
  const wider = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  expect(wider, `${page.url()} is wider than the window`).toBeLessThanOrEqual(1);
}

/** Collects what the browser complains about: scripts that fail, parts that do not load, what the policy forbids. */
export function complaints(page: Page): string[] {
  const found: string[] = [];
  page.on('pageerror', (error) => found.push(`${page.url()}: ${error.message}`));
  page.on('console', (message) => {
    // letters are shown in sandboxed frames, where the tests' own tools cannot run either
    if (message.type() === 'error' && !message.text().startsWith('Blocked script execution in')) found.push(`${page.url()}: ${message.text()}`);
  });
  return found;
}

export async function picture(page: Page, name: string): Promise<void> {
  mkdirSync(PICTURES, { recursive: true });
  const window = page.viewportSize();
  const letters = await page.locator('iframe:visible').all();
  if (window && letters.length > 0) {
    // a letter is loaded and drawn when it is in the window
    const height = await page.evaluate(() => document.documentElement.scrollHeight);
    await page.setViewportSize({ ...window, height });
    for (const letter of letters) await expect(letter.contentFrame().locator('body *').first()).toBeVisible();
  }
  await page.screenshot({ path: join(PICTURES, `${name}.png`), fullPage: true });
  if (window) await page.setViewportSize(window);
}
