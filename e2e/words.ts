// The sentences of the pages, from the same files the program has them from.
import { FluentBundle, FluentResource } from '@fluent/bundle';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

export type Language = 'en' | 'ru';
export type Words = (key: string, values?: Record<string, string | number>) => string;

const folder = join(import.meta.dirname, '../crates/web/locales');

export function words(language: Language): Words {
  const bundle = new FluentBundle(language, { useIsolating: false });
  for (const name of readdirSync(join(folder, language))) {
    bundle.addResource(new FluentResource(readFileSync(join(folder, language, name), 'utf8')));
  }
  return (key, values = {}) => {
    const [name, attribute] = key.split('.');
    const message = bundle.getMessage(name);
    const pattern = attribute ? message?.attributes[attribute] : message?.value;
    if (!pattern) throw new Error(`no sentence ${key} in ${language}`);
    return bundle.formatPattern(pattern, values);
  };
}
