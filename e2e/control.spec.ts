// A mailing in the hands of its owner and of its readers: pause, resume, cancel, unsubscribe, test letters, wrong rows.
import { accessible } from './look.ts';
import { OWNER, seed, sendImmediately, signIn } from './seeds.ts';
import { expect, test, until } from './test.ts';
import { words } from './words.ts';

const t = words('en');

/** A letter without the line breaks of quoted-printable. */
const unfolded = (data: string): string => data.replace(/=\r\n/g, '').replace(/=3D/g, '=');

/** A sentence with a number in it, whatever the number is. */
const counted = (key: string) => new RegExp(t(key, { count: 7 }).replace(/7/, '.*'));

// R11, R22: pause stops letters within a second, resume lets them go on, cancel ends it for good
test('pause, resume and cancel', async ({ browser, start, mail }) => {
  mail.delay = 100;
  const program = await start({ SKYCHIMP_SMTP_URL: `${mail.url}&connections=4` });
  seed(program, 2_000);
  const page = await signIn(browser, program);
  await sendImmediately(page);

  await page.goto('/mailings/new');
  await page.getByLabel(t('mailing-name'), { exact: true }).fill('Autumn news');
  await page.getByLabel('Customers').check();
  await page.getByLabel(t('mailing-message'), { exact: true }).selectOption({ label: 'News for {{ name }}' });
  await page.getByRole('button', { name: counted('mailing-send-to') }).click();
  await expect(page.getByRole('heading', { level: 1, name: 'Autumn news' })).toBeVisible();
  await until(() => mail.letters.length, (letters) => letters > 20);

  await page.getByRole('button', { name: t('mailing-pause'), exact: true }).click();
  await expect(page.getByText(t('mailing-paused'))).toBeVisible();
  await page.waitForTimeout(1_000);
  const paused = mail.letters.length;
  await page.waitForTimeout(1_000);
  expect(mail.letters.length).toBe(paused);
  await accessible(page);

  await page.getByRole('button', { name: t('mailing-resume'), exact: true }).click();
  await expect(page.getByText(t('mailing-resumed'))).toBeVisible();
  await until(() => mail.letters.length, (letters) => letters > paused + 20);
  await expect.poll(async () => Number((await page.locator('[data-live=sent]').first().textContent())?.replace(/\D/g, ''))).toBeGreaterThan(paused);

  await page.getByRole('button', { name: t('mailing-cancel'), exact: true }).click();
  const dialog = page.getByRole('dialog');
  await expect(dialog).toBeVisible();
  await accessible(page);
  await dialog.getByRole('button', { name: t('mailing-cancel-ok') }).click();
  await expect(page.getByText(t('mailing-cancelled'))).toBeVisible();
  await page.waitForTimeout(1_000);
  const sent = mail.letters.length;
  await page.waitForTimeout(1_000);
  expect(mail.letters.length).toBe(sent);

  const id = page.url().split('/').at(-1) ?? '';
  const totals = await until(() => program.json(['mailing', 'show', id, '--owner', OWNER]), (now) => now.remaining === 0);
  expect(totals).toMatchObject({ status: 'cancelled', planned: 2_000, sent, cancelled: 2_000 - sent });
  await page.reload();
  await expect(page.getByRole('button', { name: t('mailing-resume'), exact: true })).toHaveCount(0);
});

// R3: one link in every letter ends all further ones, without login, and can be taken back
test('unsubscribe and subscribe again', async ({ browser, start, mail }) => {
  const program = await start({ SKYCHIMP_SMTP_URL: mail.url });
  const message = seed(program, 3);
  const send = async (title: string) => {
    const before = mail.letters.length;
    const id = program.json(['mailing', 'create', '--owner', OWNER, '--message', message, '--list', 'Customers', '--title', title, '--run']).id;
    await until(() => program.json(['mailing', 'show', id, '--owner', OWNER]), (totals) => totals.status === 'completed');
    return mail.letters.slice(before).map((letter) => letter.to).sort();
  };
  const everybody = [0, 1, 2].map((n) => `person${n}@customers.example.org`);
  expect(await send('First')).toEqual(everybody);

  const letter = mail.letters.find(({ to }) => to === everybody[1])?.data.replace(/\r\n[ \t]+/g, ' ') ?? '';
  const address = /^List-Unsubscribe: <([^>]+)>/m.exec(letter)?.[1] ?? '';
  expect(letter).toContain('List-Unsubscribe-Post: List-Unsubscribe=One-Click');
  const reader = await (await browser.newContext({ locale: 'en' })).newPage();
  await reader.goto(address);
  await expect(reader.getByRole('heading', { name: t('unsubscribe-title') })).toBeVisible();
  await accessible(reader);
  expect(await send('Looking at the page changes nothing')).toEqual(everybody);
  await reader.getByRole('button', { name: t('unsubscribe-button') }).click();
  await expect(reader.getByRole('heading', { name: t('unsubscribe-done-title') })).toBeVisible();
  await accessible(reader);
  expect(await send('Second')).toEqual([everybody[0], everybody[2]]);

  const page = await signIn(browser, program);
  await page.goto('/suppressions');
  await expect(page.getByText(everybody[1])).toBeVisible();
  await accessible(page);

  // the page of a letter, which may have been forwarded, does not subscribe again; a letter to the address does
  await reader.getByRole('button', { name: t('unsubscribe-back-button') }).click();
  await expect(reader.getByRole('heading', { name: t('unsubscribe-letter-title') })).toBeVisible();
  await accessible(reader);
  const asked = await until(
    () => mail.letters.find(({ to, data }) => to === everybody[1] && unfolded(data).includes('/resubscribe/')),
    (found) => found !== undefined,
  );
  await reader.goto(/http\S+\/resubscribe\/[\w-]+/.exec(unfolded(asked?.data ?? ''))?.[0] ?? '');
  await accessible(reader);
  await reader.getByRole('button', { name: t('unsubscribe-offer-button') }).click();
  await expect(reader.getByRole('heading', { name: t('unsubscribe-back-title') })).toBeVisible();
  expect(await send('Third')).toEqual(everybody);

  // what a mail program does by itself when the reader presses its button
  const post = () => fetch(address, { method: 'POST', headers: { 'Content-Type': 'application/x-www-form-urlencoded' }, body: 'List-Unsubscribe=One-Click', redirect: 'manual' });
  expect((await post()).status).toBe(200);
  expect((await post()).status).toBe(200);
  expect(await send('Fourth')).toEqual([everybody[0], everybody[2]]);
});

// R3, R12, R22: a test letter goes to the user's own address and to nobody who did not agree, as a real recipient would get it, and is in no statistics
test('test letters', async ({ browser, start, mail }) => {
  const program = await start({ SKYCHIMP_SMTP_URL: mail.url });
  const message = seed(program, 3);
  const page = await signIn(browser, program);
  await page.goto(`/messages/${message}`);
  await page.locator('#to').fill('colleague@example.org');
  await page.getByRole('button', { name: t('messages-test-button') }).click();
  await expect(page.getByText(t('error-test-stranger', { email: 'colleague@example.org' }))).toBeVisible();
  await page.locator('#to').fill(OWNER);
  await page.getByRole('button', { name: t('messages-test-button') }).click();
  await expect(page.getByText(t('messages-tested', { count: 1 }))).toBeVisible();
  await accessible(page);
  await until(() => mail.letters.length, (letters) => letters === 1);
  expect(mail.letters.map((letter) => letter.to)).toEqual([OWNER]);
  await page.locator('#to').fill('not an address');
  await page.getByRole('button', { name: t('messages-test-button') }).click();
  await expect(page.getByText(t('messages-not-tested'))).toBeVisible();
  expect(program.json(['mailing', 'list', '--owner', OWNER])).toEqual([]);
  expect(mail.letters).toHaveLength(1);
});

// R8: a bad row never aborts the rest, and the report says which one and why
test('an import with errors', async ({ browser, start }) => {
  const program = await start();
  seed(program, 3);
  const page = await signIn(browser, program);
  await page.goto('/recipients/import');
  await accessible(page);
  await page.getByLabel(t('imports-file')).setInputFiles({
    name: 'mixed.csv',
    mimeType: 'text/csv',
    buffer: Buffer.from('email,name\nnew@example.org,New\nnot an address,Wrong\nnew@EXAMPLE.org,Twice\nperson1@customers.example.org,Renamed\n'),
  });
  await page.getByRole('button', { name: t('imports-upload') }).click();
  await page.getByRole('button', { name: t('imports-start'), exact: true }).click();
  await expect(page.getByRole('heading', { name: t('imports-done') })).toBeVisible();
  for (const [name, count] of [['added', 1], ['updated', 1], ['duplicate', 1], ['invalid', 1]] as const) {
    await expect(page.locator(`[data-live=${name}]`)).toHaveText(`${count}`);
  }
  await accessible(page);
  const download = page.waitForEvent('download');
  await page.getByRole('link', { name: t('imports-errors-download') }).click();
  const stream = await (await download).createReadStream();
  const text = (await stream.toArray()).join('');
  expect(text).toContain('not an address');
  expect(text).toContain('3');
});
