// A manager at work: a user is blocked and a mailing switched off in the middle of a run, and the owner tries to revive it.
import type { Browser, Page } from '@playwright/test';
import { accessible, fits } from './look.ts';
import type { Program } from './program.ts';
import { OWNER, seed, signIn } from './seeds.ts';
import { expect, test, until } from './test.ts';
import { words } from './words.ts';

const t = words('en');
const MANAGER = 'boss@example.org';

/** A run of 2 000 letters under way, its owner's page and a manager's. */
async function underWay(browser: Browser, program: Program, letters: unknown[]): Promise<{ id: string; owner: Page; manager: Page }> {
  const message = seed(program, 2_000);
  program.user(MANAGER, 'Boss', 'manager');
  const create = ['mailing', 'create', '--owner', OWNER, '--list', 'Customers', '--message', message, '--title', 'Autumn news', '--run'];
  const id = program.json(create).id;
  const owner = await signIn(browser, program);
  const manager = await signIn(browser, program, 'en', {}, MANAGER);
  await until(() => letters.length, (count) => count > 20);
  return { id, owner, manager };
}

/** Nothing leaves later than a second from now. */
async function silent(page: Page, letters: unknown[]): Promise<number> {
  await page.waitForTimeout(1_000);
  const count = letters.length;
  await page.waitForTimeout(1_000);
  expect(letters.length).toBe(count);
  expect(count).toBeLessThan(2_000);
  return count;
}

// R38, R39: a block ends the user's sessions and stops his letters within a second; they go on when it is lifted
test('a user is blocked in the middle of a run', async ({ browser, start, mail }) => {
  mail.delay = 20;
  const program = await start({ SKYCHIMP_SMTP_URL: `${mail.url}&connections=4` });
  const { id, owner, manager } = await underWay(browser, program, mail.letters);
  await manager.getByRole('link', { name: t('manage-users') }).click();
  await manager.getByLabel(t('manage-users-search')).fill('anna');
  await manager.getByRole('button', { name: t('show'), exact: true }).click();
  await manager.getByRole('link', { name: OWNER }).click();
  await accessible(manager);
  await fits(manager);
  await manager.getByLabel(t('manage-block-reason')).fill('Complaints about spam');
  await manager.getByRole('button', { name: t('manage-block'), exact: true }).click();
  await expect(manager.getByText(t('manage-blocked'))).toBeVisible();
  const stopped = await silent(manager, mail.letters);

  await owner.goto(`/mailings/${id}`);
  await expect(owner).toHaveURL(/\/login/);

  await manager.getByRole('button', { name: t('manage-unblock'), exact: true }).click();
  await expect(manager.getByText(t('manage-unblocked'))).toBeVisible();
  await until(() => mail.letters.length, (count) => count > stopped + 20);
});

// R37, R40: a mailing that a manager switched off stops within a second; its owner reads why and cannot revive it
test('a mailing is switched off, and its owner cannot revive it', async ({ browser, start, mail }) => {
  mail.delay = 20;
  const program = await start({ SKYCHIMP_SMTP_URL: `${mail.url}&connections=4` });
  const { id, owner, manager } = await underWay(browser, program, mail.letters);
  await manager.goto('/manage/mailings?q=autumn');
  await manager.getByRole('link', { name: 'Autumn news' }).click();
  await accessible(manager);
  for (const act of ['mailing-pause', 'mailing-cancel', 'edit', 'copy', 'delete']) {
    await expect(manager.getByText(t(act), { exact: true })).toHaveCount(0);
  }
  await manager.getByLabel(t('manage-disable-reason')).fill('Forbidden goods');
  await manager.getByRole('button', { name: t('manage-disable'), exact: true }).click();
  await expect(manager.getByText(t('manage-disabled'))).toBeVisible();
  const stopped = await silent(manager, mail.letters);

  await owner.goto(`/mailings/${id}`);
  await expect(owner.getByText('Forbidden goods').first()).toBeVisible();
  await accessible(owner);
  for (const act of ['mailing-pause', 'mailing-resume', 'edit', 'copy', 'delete']) {
    await expect(owner.getByText(t(act), { exact: true })).toHaveCount(0);
  }
  await expect(owner.getByRole('button', { name: t('mailing-cancel'), exact: true })).toBeVisible();
  expect(mail.letters.length).toBe(stopped);

  await manager.goto('/manage/audit');
  await expect(manager.getByText('Forbidden goods')).toBeVisible();
  await accessible(manager);
  await manager.goto(`/manage/mailings/${id}`);
  await manager.getByRole('button', { name: t('manage-enable'), exact: true }).click();
  await expect(manager.getByText(t('manage-enabled'))).toBeVisible();
  await owner.goto(`/mailings/${id}`);
  await expect(owner.getByRole('button', { name: t('mailing-pause'), exact: true })).toBeVisible();
  await until(() => mail.letters.length, (count) => count > stopped + 20);
});
