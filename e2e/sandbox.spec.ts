// A letter in the sandbox: read as in a mail program, and harmless whatever it holds.
import { mkdirSync } from 'node:fs';
import { sendImmediately, seed, signIn } from './seeds.ts';
import { expect, test } from './test.ts';
import { words } from './words.ts';

const t = words('en');

// R32: links open in a new tab, the frame is as high as the letter, and nothing in it runs a script
test('a letter in the sandbox has links that work and scripts that do not', async ({ browser, start }) => {
  const program = await start();
  seed(program, 1);
  const page = await signIn(browser, program, 'en');
  const ran: string[] = [];
  page.context().on('dialog', (dialog) => {
    ran.push(dialog.message());
    void dialog.dismiss();
  });
  await sendImmediately(page);
  const script = "try{opener.document.title='taken'}catch(e){};alert(1)";
  await page.goto('/messages/new');
  await page.getByLabel(t('messages-subject'), { exact: true }).fill('Links');
  await page.locator('#html').fill(
    `<html><body style="margin:0"><p><a id="good" href="${program.address}/healthz">good</a></p>
     <p><a id="opener" rel="opener" target="_blank" href="javascript:${script}">opener</a></p>
     <p><a id="self" target="_self" href="javascript:${script}">self</a></p>
     <p><a id="plain" href="javascript:${script}" onclick="alert(2)">plain</a></p>
     <img src="x:y" onerror="alert(3)"><div style="height:1500px">long</div></body></html>`,
  );
  await page.getByRole('button', { name: t('save-and-return'), exact: true }).click();
  await expect(page.getByRole('link', { name: 'Links', exact: true })).toBeVisible();
  await page.goto('/mailings/new');
  await page.getByLabel(t('mailing-name'), { exact: true }).fill('Links');
  await page.getByLabel('Customers').check();
  await page.getByLabel(t('mailing-message'), { exact: true }).selectOption({ label: 'Links' });
  await page.getByRole('button', { name: t('mailing-send-to', { count: 1 }), exact: true }).click();
  await expect(page.locator('[data-live=sent]').first()).toHaveText('1');
  await page.goto('/sandbox');
  await page.getByRole('link', { name: 'Links', exact: true }).first().click();
  const title = await page.title();
  const frame = page.frameLocator('iframe[data-fit]');
  await expect(frame.getByText('long')).toBeVisible();
  await expect.poll(async () => (await page.locator('iframe[data-fit]').boundingBox())?.height ?? 0).toBeGreaterThan(1500);
  if (process.env.SHOTS) {
    mkdirSync(process.env.SHOTS, { recursive: true });
    await page.screenshot({ path: `${process.env.SHOTS}/sandbox.png` });
    const phone = page.viewportSize();
    await page.setViewportSize({ width: 360, height: 780 });
    await page.screenshot({ path: `${process.env.SHOTS}/sandbox-phone.png` });
    if (phone) await page.setViewportSize(phone);
  }
  for (const id of ['opener', 'self', 'plain']) {
    await frame.locator(`#${id}`).click();
    await page.waitForTimeout(300);
  }
  const opened = page.context().waitForEvent('page', (other) => other.url().endsWith('/healthz'));
  await frame.locator('#good').click();
  const other = await opened;
  expect(await other.evaluate(() => window.opener)).toBeNull();
  expect(ran).toEqual([]);
  expect(await page.title()).toBe(title);
});
