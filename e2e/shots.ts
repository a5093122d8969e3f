// The pictures of the product on the home page, in both languages and themes: `make screenshots` takes them.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { OWNER, signIn } from './seeds.ts';
import { test, until } from './test.ts';
import type { Language } from './words.ts';

const FOLDER = join(import.meta.dirname, 'shots');
const DESK = { viewport: { width: 1280, height: 860 } };
const PHONE = { viewport: { width: 390, height: 780 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true };

const STORY = {
  en: {
    user: 'Anna', list: 'Customers', title: 'Autumn news', subject: '{{ first_name | default("Friend") }}, the autumn teas are in',
    first: ['Olivia', 'Noah', 'Emma', 'Liam', 'Ava', 'Lucas'], last: ['Baker', 'Hill', 'Wood', 'Reed', 'Stone'], cities: ['Leeds', 'York', 'Bath'],
    greeting: 'Good day', town: 'your town', text: 'The harvest is in: three new teas, two jams, and the honey you asked for wait in our shop in', link: 'See what is new',
  },
  ru: {
    user: 'Анна', list: 'Покупатели', title: 'Осенние новости', subject: '{{ first_name | default("Друг") }}, осенние чаи уже здесь',
    first: ['Ольга', 'Иван', 'Мария', 'Пётр', 'Елена', 'Олег'], last: ['Савченко', 'Кравец', 'Бондарь', 'Шевчук', 'Гринь'], cities: ['Самара', 'Тверь', 'Пермь'],
    greeting: 'Добрый день', town: 'ваш город', text: 'Урожай собран: три новых чая, два варенья и мёд, о котором вы спрашивали, ждут вас. Наш магазин:', link: 'Посмотреть новинки',
  },
} as const;

for (const language of ['en', 'ru'] as Language[]) {
  test(`pictures of the product in ${language}`, async ({ browser, start }) => {
    test.setTimeout(300_000);
    mkdirSync(FOLDER, { recursive: true });
    const story = STORY[language];
    const program = await start();
    program.user(OWNER, story.user);
    const rows = Array.from({ length: 1_240 }, (_, n) => {
      const name = `${story.first[n % story.first.length]} ${story.last[n % story.last.length]}`;
      return `person${n}@customers.example.org,${name},${story.cities[n % story.cities.length]}`;
    });
    const people = program.file('people.csv', `email,name,city\n${rows.join('\n')}\n`);
    program.run(['recipients', 'import', people, '--owner', OWNER, '--list', story.list]);
    const letter = program.file('letter.html', `<div style="max-width:560px;margin:0 auto;font-family:Georgia,serif;line-height:1.5">
<h1 style="color:#17505a">${story.greeting}, {{ first_name | default("") }}!</h1>
<p>${story.text} {{ attributes.city | default("${story.town}") }}.</p>
<p><a style="padding:10px 18px;border-radius:8px;background:#17505a;color:#fff;text-decoration:none" href="https://example.org/news">${story.link}</a></p></div>`);
    const message = program.json(['message', 'create', '--owner', OWNER, '--subject', story.subject, '--html', letter]).id;
    const mailing = program.json(['mailing', 'create', '--owner', OWNER, '--list', story.list, '--message', message, '--title', story.title, '--run']).id;
    await until(() => program.json(['mailing', 'show', mailing, '--owner', OWNER]), (shown) => shown.status === 'completed', 120);
    for (const theme of ['light', 'dark'] as const) {
      for (const [screen, options] of [['desk', DESK], ['phone', PHONE]] as const) {
        const page = await signIn(browser, program, language, { ...options, colorScheme: theme });
        // the sandbox's band is not part of the product
        await page.addInitScript(() => addEventListener('DOMContentLoaded', () => document.querySelector('.sandbox-band')?.remove()));
        const take = async (name: string, address: string) => {
          await page.goto(address);
          await page.waitForLoadState('networkidle');
          await page.screenshot({ path: join(FOLDER, `${name}-${screen}-${theme}-${language}.png`) });
        };
        await take('mailing', `/mailings/${mailing}`);
        if (screen === 'desk') await take('message', `/messages/${message}`);
        await page.context().close();
      }
    }
  });
}
