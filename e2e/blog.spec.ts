// The way of an article: draft → picture → preview → plan → publication at its time → feed → edit → taken down.
import { CacheServer } from './cache_server.ts';
import { database } from './database.ts';
import { accessible, complaints, fits } from './look.ts';
import { EDITOR, begin, png, signInEditor } from './posts.ts';
import { expect, test, until } from './test.ts';
import { type Language, words } from './words.ts';

const LANGUAGES: Language[] = ['en', 'ru'];

for (const language of LANGUAGES) {
  const t = words(language);
  // R44, R45, R46, R47, R48, R50, R51: what the editor does is what readers see, when they are to see it
  test(`an article from draft to readers and away again, in ${language}`, async ({ browser, start }) => {
    test.setTimeout(240_000);
    const program = await start();
    program.user(EDITOR, 'Carl', 'content_manager');
    const page = await signInEditor(browser, program, language);
    const wrong = complaints(page);
    const button = (key: string) => page.getByRole('button', { name: t(key), exact: true });
    const status = async (path: string) => (await fetch(program.address + path, { redirect: 'manual' })).status;
    const text = async (path: string) => (await fetch(program.address + path)).text();

    // a draft: the preview follows, what is typed is kept
    await begin(page, language, 'Spring letters');
    await page.locator('#body').fill('## Why\n\nSpring is **here**.\n\n');
    await expect(page.locator('#rendered strong')).toHaveText('here');
    await expect(page.locator('#typed')).not.toBeEmpty();
    await page.reload();
    await expect(page.locator('#body')).toHaveValue(/Spring is \*\*here\*\*/);
    await expect(button('posts-typed-discard')).toBeVisible();

    // the toolbar
    await page.locator('#body').press('Control+End');
    await button('posts-md-bold').click();
    await page.keyboard.type('loud');
    await expect(page.locator('#body')).toHaveValue(/\*\*loud\*\*$/);

    // pictures: chosen, pasted
    await page.locator('[data-post-files]').setInputFiles({ name: 'sea.png', mimeType: 'image/png', buffer: png(1200, 600) });
    await expect(page.locator('#pictures img')).toHaveCount(1);
    await page.locator('#body').press('Control+End');
    await page.evaluate((bytes) => {
      const data = new DataTransfer();
      data.items.add(new File([Uint8Array.from(bytes)], 'pasted.png', { type: 'image/png' }));
      document.querySelector('#body')?.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true }));
    }, [...png(60, 40)]);
    await expect(page.locator('#pictures img')).toHaveCount(2);
    await expect(page.locator('#body')).toHaveValue(/!\[\]\(\/media\/[0-9a-f]{24}-60\.webp\)/);
    await page.keyboard.type('A small square');
    await page.locator('[data-post-files]').setInputFiles({ name: 'page.png', mimeType: 'image/png', buffer: Buffer.from('<html>') });
    await expect(page.locator('#uploading')).toContainText(t('error-picture-kind'));
    await page.locator('.picture label').filter({ has: page.locator('img[alt*="sea.png"]') }).click();
    await page.getByLabel(t('posts-cover-alt')).fill('The sea');
    await accessible(page);
    await button('save').click();
    await expect(page.getByText(t('posts-saved'))).toBeVisible();

    // the preview is the page as it will be; readers see nothing yet
    await page.getByRole('link', { name: t('posts-preview') }).click();
    await expect(page.getByRole('img', { name: 'The sea' })).toBeVisible();
    await expect(page.getByRole('img', { name: 'A small square' })).toBeVisible();
    const drawn = await page.locator('main img').evaluateAll((all) => all.every((img) => (img as HTMLImageElement).naturalWidth > 0));
    expect(drawn).toBe(true);
    await accessible(page);
    expect(await status('/blog/spring-letters')).toBe(404);
    await page.getByRole('link', { name: t('posts-preview-back') }).click();

    // planned for the next whole minute
    const at = new Date(Math.ceil((Date.now() + 10_000) / 60_000) * 60_000);
    await page.getByLabel(t('posts-publish-at')).fill(at.toISOString().slice(0, 16));
    await button('posts-schedule').click();
    await expect(page.getByText(t('posts-state-scheduled'), { exact: true })).toBeVisible();
    await accessible(page);
    expect(await status('/blog/spring-letters')).toBe(404);
    expect(await text('/blog/atom.xml')).not.toContain('spring-letters');
    await until(() => status('/blog/spring-letters'), (code) => code === 200, 90);
    expect(Date.now()).toBeGreaterThanOrEqual(at.getTime());
    for (const place of ['/blog', '/blog/atom.xml', '/blog/rss.xml', '/sitemap.xml']) expect(await text(place)).toContain('/blog/spring-letters');

    // readers, also without scripts
    const reader = await (await browser.newContext({ baseURL: program.address, locale: language, javaScriptEnabled: false })).newPage();
    await reader.goto('/blog');
    await reader.getByRole('link', { name: 'Spring letters' }).click();
    await expect(reader.getByRole('heading', { level: 1, name: 'Spring letters' })).toBeVisible();
    await expect(reader.getByRole('heading', { level: 2, name: 'Why' })).toBeVisible();

    // an edit and a new address are seen at once
    await page.reload();
    await page.locator('#body').fill('## Why\n\nSummer is here.');
    await page.getByLabel(t('posts-slug'), { exact: true }).fill('summer-letters');
    await button('posts-save-live').click();
    await expect(page.getByText(t('posts-saved'))).toBeVisible();
    await reader.reload();
    await expect(reader).toHaveURL(/\/blog\/summer-letters$/);
    await expect(reader.getByText('Summer is here.')).toBeVisible();

    // the history brings the old text back
    await page.getByRole('link', { name: t('posts-versions') }).click();
    await accessible(page);
    await page.getByRole('link', { name: t('posts-act-scheduled') }).click();
    await expect(page.locator('.gone').first()).toBeVisible();
    await accessible(page);
    await button('posts-restore').click();
    await page.locator('dialog').getByRole('button', { name: t('posts-restore') }).click();
    await expect(page.getByText(t('posts-restored', { version: 4 }))).toBeVisible();
    await reader.reload();
    await expect(reader.getByText('Spring is here')).toBeVisible();

    // taken down, it is nowhere
    await button('posts-unpublish').click();
    await page.locator('dialog').getByRole('button', { name: t('posts-unpublish') }).click();
    await expect(page.getByText(t('posts-state-unpublished'), { exact: true })).toBeVisible();
    expect(await status('/blog/summer-letters')).toBe(404);
    expect(await status('/blog/spring-letters')).toBe(404);
    for (const place of ['/blog', '/blog/atom.xml', '/blog/rss.xml', '/sitemap.xml']) expect(await text(place)).not.toContain('/blog/s');
    await page.goto('/posts');
    await fits(page);
    await accessible(page);
    // the browser notes the refused picture
    expect(wrong.filter((complaint) => !complaint.includes('422'))).toEqual([]);
  });
}

// R44, R51, R57, R58: what the editor does on one node holds on every node with the next view, from the cache too
test('two nodes with a shared cache show the same article, and none that was taken down', async ({ browser, start }) => {
  test.skip(!process.env.TEST_DATABASE_URL, 'needs the PostgreSQL of tests/services.sh');
  const cache = await CacheServer.start();
  try {
    const settings = { SKYCHIMP_DATABASE_URL: database(), SKYCHIMP_CACHE_URL: cache.url, SKYCHIMP_SECRET_KEY: 'k'.repeat(64) };
    const nodes = [await start(settings), await start(settings)];
    const everywhere = async (path: string, check: (answer: Response, text: string) => void) => {
      // twice: the second answer comes from the cache
      for (const node of [...nodes, ...nodes]) {
        const answer = await fetch(node.address + path, { redirect: 'manual' });
        check(answer, await answer.text());
      }
    };
    nodes[0].user(EDITOR, 'Carl', 'content_manager');
    const page = await signInEditor(browser, nodes[0]);
    const t = words('en');
    const button = (key: string) => page.getByRole('button', { name: t(key), exact: true });
    await everywhere('/', (answer, text) => {
      expect(answer.status).toBe(200);
      expect(text).not.toContain('Letters of two nodes');
    });

    await begin(page, 'en', 'Letters of two nodes');
    await page.locator('#body').fill('The first words.');
    await button('posts-publish').click();
    await expect(page.getByText(t('posts-state-published'), { exact: true })).toBeVisible();
    for (const path of ['/', '/blog', '/blog/atom.xml', '/sitemap.xml']) {
      await everywhere(path, (_, text) => expect(text, path).toContain('letters-of-two-nodes'));
    }

    // what a reader has is not sent again
    const feed = await fetch(`${nodes[1].address}/blog/atom.xml`);
    const etag = feed.headers.get('etag') ?? '';
    expect(etag).not.toBe('');
    for (const node of nodes) {
      const again = await fetch(`${node.address}/blog/atom.xml`, { headers: { 'if-none-match': etag } });
      expect(again.status).toBe(304);
    }

    await page.locator('#body').fill('Other words.');
    await button('posts-save-live').click();
    await expect(page.getByText(t('posts-saved'))).toBeVisible();
    await everywhere('/blog/letters-of-two-nodes', (_, text) => {
      expect(text).toContain('Other words.');
      expect(text).not.toContain('The first words.');
    });
    const changed = await fetch(`${nodes[1].address}/blog/atom.xml`, { headers: { 'if-none-match': etag } });
    expect(changed.status).toBe(200);

    await button('posts-unpublish').click();
    await page.locator('dialog').getByRole('button', { name: t('posts-unpublish') }).click();
    await expect(page.getByText(t('posts-state-unpublished'), { exact: true })).toBeVisible();
    await everywhere('/blog/letters-of-two-nodes', (answer) => expect(answer.status).toBe(404));
    for (const path of ['/', '/blog', '/blog/atom.xml', '/sitemap.xml']) {
      await everywhere(path, (_, text) => expect(text, path).not.toContain('letters-of-two-nodes'));
    }
  } finally {
    cache.stop();
  }
});
