// Databases of a test's own.
import { spawnSync } from 'node:child_process';

/** A new database on the PostgreSQL of the tests. */
export function database(): string {
  const server = process.env.TEST_DATABASE_URL ?? '';
  const name = `e2e_${Date.now()}_${Math.floor(Math.random() * 1e6)}`;
  const made = spawnSync('psql', [server, '-qc', `CREATE DATABASE ${name}`], { encoding: 'utf8' });
  if (made.status !== 0) throw new Error(made.stderr);
  return server.replace(/\/[^/]*$/, `/${name}`);
}

/** The databases that tests run on: their names, and settings with a new one of each. */
export function databases(): [string, () => Record<string, string>][] {
  const both: [string, () => Record<string, string>][] = [['SQLite', () => ({})]];
  if (process.env.TEST_DATABASE_URL) both.push(['PostgreSQL', () => ({ SKYCHIMP_DATABASE_URL: database() })]);
  return both;
}
