// Formatting of results.
import { spawnSync } from 'node:child_process';
import { cpus, totalmem } from 'node:os';

export const say = (text) => console.error(`bench: ${text}`);
export const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];
export const whole = (number) => Math.round(number).toLocaleString('en').replaceAll(',', ' ');

/** A Markdown table with a column of names and one for each of `columns`. */
export function table(columns, rows) {
  const line = (cells) => `| ${cells.join(' | ')} |`;
  return [line(['', ...columns]), `|---|${columns.map(() => '---:|').join('')}`, ...rows.map(line)].join('\n');
}

export function machine() {
  const kernel = spawnSync('uname', ['-sr'], { encoding: 'utf8' }).stdout.trim();
  return `Machine: ${cpus()[0].model.trim()}, ${cpus().length} cores, ${whole(totalmem() / 2 ** 30)} GiB; ${kernel}; sender, sink and database share it.`;
}
