// The main way in Firefox, driven by WebDriver BiDi: from the empty database to the letters, in both languages.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import puppeteer, { type ElementHandle, type Page } from 'puppeteer-core';
import { OWNER } from './seeds.ts';
import { PASSWORD } from './program.ts';
import { expect, test, until } from './test.ts';
import { type Language, words } from './words.ts';

const LANGUAGES: Language[] = ['en', 'ru'];
const COUNT = 7;

/** What a person does in a page: finds things by the words on them. */
class Person {
  readonly page: Page;
  constructor(page: Page) {
    this.page = page;
  }

  /** The control that a label names. */
  async control(label: string): Promise<ElementHandle<HTMLInputElement>> {
    const found = await this.page.waitForFunction((text) => {
      const labels = [...document.querySelectorAll('label')].filter((one) => one.textContent?.trim().replace(/\s+/g, ' ') === text);
      const named = [...labels.map((one) => one.control), document.querySelector(`[aria-label="${CSS.escape(text)}"]`)];
      return named.find((one) => one?.checkVisibility()) ?? null;
    }, {}, label);
    return found as unknown as ElementHandle<HTMLInputElement>;
  }

  async fill(label: string, text: string) {
    await (await this.control(label)).type(text);
  }

  /** Presses the button, follows the link or ticks the box with these words. */
  async press(kind: 'button' | 'a' | 'label span', text: string) {
    const found = await this.page.waitForFunction((tag, words) => {
      const all = [...document.querySelectorAll<HTMLElement>(tag)];
      return all.find((one) => one.checkVisibility() && one.textContent?.trim().replace(/\s+/g, ' ') === words && !one.hasAttribute('disabled')) ?? null;
    }, {}, kind, text);
    await (found as unknown as ElementHandle<HTMLElement>).click();
  }

  /** Waits until the page says this. */
  async sees(text: string) {
    await this.page.waitForFunction((words) => document.body?.innerText.includes(words), {}, text);
  }

  /** Waits until an element has this text. */
  async reads(selector: string, text: string) {
    await this.page.waitForFunction((where, words) => document.querySelector(where)?.textContent?.trim() === words, {}, selector, text);
  }
}

for (const language of LANGUAGES) {
  const t = words(language);
  // R1, R9, R12, R15, R19, R22, R24: the site needs no particular browser
  test(`from the first page to the letters in Firefox, in ${language}`, async ({ start }) => {
    const program = await start();
    const folder = await mkdtemp(join(tmpdir(), 'skychimp-firefox-'));
    const browser = await puppeteer.launch({
      browser: 'firefox',
      executablePath: process.env.FIREFOX ?? '/usr/bin/firefox-esr',
      extraPrefsFirefox: { 'intl.accept_languages': language },
    });
    try {
      const page = await browser.newPage();
      await page.setViewport({ width: 1280, height: 800 });
      const wrong: string[] = [];
      page.on('pageerror', (error) => wrong.push(String(error)));
      page.on('console', (line) => line.type() === 'error' && wrong.push(line.text()));
      page.on('response', (answer) => answer.status() >= 400 && wrong.push(`${answer.status()} ${answer.url()}`));
      const person = new Person(page);
      const open = (path: string) => page.goto(program.address + path);

      await open('/');
      await person.fill(t('setup-name'), 'Anna');
      await person.fill(t('setup-email'), OWNER);
      await person.fill(t('setup-password'), PASSWORD);
      await person.press('button', t('setup-button'));
      await person.sees(t('home-guide'));

      // recipients, from a file, into a new list
      await open('/recipients/import');
      const rows = Array.from({ length: COUNT }, (_, n) => `person${n}@customers.example.org;Мария ${n}`);
      const file = join(folder, 'customers.csv');
      await writeFile(file, `email;имя\n${rows.join('\n')}\n`);
      await (await person.control(t('imports-file'))).uploadFile(file);
      await person.press('button', t('imports-upload'));
      await person.fill(t('imports-new-list'), 'Customers');
      await person.press('button', t('imports-start'));
      await person.reads('[data-live=added]', `${COUNT}`);

      // a message
      await open('/messages/new');
      await person.fill(t('messages-subject'), 'News for {{ name }}');
      await page.type('#html', '<h1>Good day, {{ name }}</h1>');
      await person.sees(t('messages-no-problems'));
      await person.press('button', t('save-and-return'));
      await person.sees('News for {{ name }}');

      // a mailing, started; its page follows by itself
      await open('/mailings/new');
      await person.fill(t('mailing-name'), 'Autumn news');
      await person.press('label span', 'Customers');
      const message = await person.control(t('mailing-message'));
      await message.select(await message.evaluate((select) => [...(select as unknown as HTMLSelectElement).options].at(-1)!.value));
      await person.press('button', t('mailing-send-to', { count: COUNT }));
      await person.reads('[data-live=sent]', `${COUNT}`);
      await person.sees(t('run-state-done'));

      // the letters
      await open('/sandbox?q=person3@');
      await person.press('a', 'News for Мария 3');
      const letter = await until(
        async () => {
          const inside = await Promise.all(page.frames().map((frame) => frame.evaluate(() => document.body?.innerText ?? '').catch(() => '')));
          return inside.join('\n');
        },
        (text) => text.includes('Good day, Мария 3'),
      );
      expect(letter).toContain('Good day');
      expect(wrong).toEqual([]);
    } finally {
      await browser.close();
      await rm(folder, { recursive: true });
    }
  });
}
