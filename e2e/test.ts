// The test function of all files here: gives each test what it asks for, and takes it down afterwards.
import { test as base } from '@playwright/test';
import { MailServer } from './mail_server.ts';
import { Program } from './program.ts';

type Given = {
  /** Starts the program with settings; each one started is stopped after the test. */
  start: (settings?: Record<string, string>) => Promise<Program>;
  /** A mail server of the test's own. */
  mail: MailServer;
};

export const test = base.extend<Given>({
  start: async ({}, use) => {
    const started: Program[] = [];
    await use(async (settings) => {
      const program = await Program.start(settings);
      started.push(program);
      return program;
    });
    for (const program of started) await program.stop();
  },
  mail: async ({}, use) => {
    const mail = await MailServer.start();
    await use(mail);
    await mail.stop();
  },
});

export { expect } from '@playwright/test';

/** Asks again until the answer is as wanted; gives it. */
export async function until<T>(ask: () => T | Promise<T>, wanted: (answer: T) => boolean, seconds = 30): Promise<T> {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const answer = await ask();
    if (wanted(answer)) return answer;
    if (Date.now() > deadline) throw new Error(`after ${seconds} s still ${JSON.stringify(answer)}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}
