// One's data: downloaded as an archive, and deleted with the account in the middle of a run.
import { spawnSync } from 'node:child_process';
import { databases } from './database.ts';
import { accessible, complaints, fits, picture } from './look.ts';
import { PASSWORD } from './program.ts';
import { OWNER, seed, signIn } from './seeds.ts';
import { expect, test, until } from './test.ts';
import { words } from './words.ts';

const t = words('en');

for (const [name, settings] of databases()) {
  // R8, R22, R30, R33: the archive holds everything; the deleted account's letters stop, its data goes, its links still answer
  test(`an account is exported and deleted in the middle of a run, on ${name}`, async ({ browser, start, mail }) => {
    mail.delay = 20;
    const program = await start({ ...settings(), SKYCHIMP_SMTP_URL: `${mail.url}&connections=4` });
    const message = seed(program, 2_000);
    program.user('admin@example.org', 'Admin', 'admin');
    const create = ['mailing', 'create', '--owner', OWNER, '--list', 'Customers', '--message', message, '--title', 'Autumn news', '--run'];
    program.json(create);
    const page = await signIn(browser, program);
    const wrong = complaints(page);
    await page.goto('/account/data');
    await expect(page.getByText('2,000').first()).toBeVisible();
    await accessible(page);
    await fits(page);

    await page.getByRole('button', { name: t('data-export-start') }).click();
    // the page loads again when the archive is ready
    await expect(page.getByRole('link', { name: t('data-export') })).toBeVisible({ timeout: 30_000 });
    await accessible(page);
    const begun = page.waitForEvent('download');
    await page.getByRole('link', { name: t('data-export') }).click();
    const archive = await (await begun).path();
    const listed = spawnSync('python3', ['-m', 'zipfile', '-t', archive], { encoding: 'utf8' });
    expect(listed.stdout + listed.stderr).toContain('Done testing');

    await until(() => mail.letters.length, (count) => count > 20);
    await page.goto('/account/data');
    await expect(page.getByText(t('data-running', { count: 1 }))).toBeVisible();
    await picture(page, 'data-running');
    await page.getByLabel(t('email-password')).fill(PASSWORD);
    await page.getByRole('button', { name: t('data-delete'), exact: true }).click();
    await page.getByRole('dialog').getByRole('button', { name: t('data-delete') }).click();
    await expect(page.getByText(t('data-deleted'))).toBeVisible();
    // nothing leaves later than a second from now
    await page.waitForTimeout(1_000);
    const stopped = mail.letters.filter((letter) => letter.to !== OWNER).length;
    expect(stopped).toBeLessThan(2_000);
    await page.waitForTimeout(1_000);
    expect(mail.letters.filter((letter) => letter.to !== OWNER).length).toBe(stopped);

    // the data goes, the last letter comes, the link in a letter of before answers
    expect(program.json(['user', 'list']).map((user: { email: string }) => user.email)).toEqual(['admin@example.org']);
    await until(() => program.output.includes('erased what deleted accounts owned'), Boolean);
    await until(() => mail.letters.some((letter) => letter.to === OWNER && letter.data.includes(t('letter-account-deleted-subject'))), Boolean);
    const letter = mail.letters.find((one) => one.to !== OWNER);
    const [, link] = letter?.data.match(/^List-Unsubscribe:\s*<([^>]+)>/im) ?? [];
    await page.goto(link.replace(/\s/g, ''));
    await page.getByRole('button', { name: t('unsubscribe-button') }).click();
    await expect(page.getByRole('heading', { name: t('unsubscribe-done-title') })).toBeVisible();
    await expect(page.getByRole('button', { name: t('unsubscribe-back-button') })).toHaveCount(0);
    expect(wrong).toEqual([]);
    await page.context().close();
  });
}
