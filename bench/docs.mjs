// Updates sections and tables of docs/performance.md.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const FILE = join(import.meta.dirname, '../docs/performance.md');

/** Replaces the section with the same heading (`## …`, its first line), or appends it. */
export function writeSection(section) {
  const [heading] = section.split('\n', 1);
  const parts = readFileSync(FILE, 'utf8').split(/^(?=## )/m);
  const at = parts.findIndex((part) => part.split('\n', 1)[0] === heading);
  parts.splice(at < 0 ? parts.length : at, at < 0 ? 0 : 1, section);
  writeFileSync(FILE, `${parts.map((part) => part.trim()).join('\n\n')}\n`);
}

/** Replaces the text between `<!-- name -->` and `<!-- /name -->`. */
export function writeTable(name, text) {
  const [begin, end] = [`<!-- ${name} -->`, `<!-- /${name} -->`];
  const document = readFileSync(FILE, 'utf8');
  const from = document.indexOf(begin);
  const to = document.indexOf(end);
  if (from < 0 || to < from) throw new Error(`${FILE} has no place for ${name}`);
  writeFileSync(FILE, `${document.slice(0, from + begin.length)}\n${text}\n${document.slice(to)}`);
}
