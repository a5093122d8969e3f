import { defineConfig } from '@playwright/test';

const FILES = '*.spec.ts';
/** They begin first, so that at the end no worker is busy with one of them while the others have nothing to do. */
const LONG = ['every_page.spec.ts', 'report.spec.ts', 'lighthouse.spec.ts', 'blog.spec.ts', 'main_way.spec.ts'];

// Debian's Chromium. Tests of all files run side by side: each has a program, a folder, ports and a database of its own.
export default defineConfig({
  testDir: '.',
  projects: [
    { name: 'long', testMatch: LONG },
    { name: 'short', testMatch: FILES, testIgnore: LONG },
  ],
  outputDir: 'test-results',
  timeout: 120_000,
  expect: { timeout: 15_000 },
  fullyParallel: true,
  workers: Number(process.env.BROWSER_WORKERS ?? 3),
  retries: 0,
  forbidOnly: true,
  reporter: [['list']],
  use: {
    launchOptions: {
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu'],
    },
    actionTimeout: 15_000,
    timezoneId: 'Europe/Berlin',
    screenshot: 'only-on-failure',
    trace: 'retain-on-failure',
  },
});
