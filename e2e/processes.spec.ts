// Real processes, real connections, no browser: exactly once, on time, and again after a crash.
import { counted, sink } from '../bench/bed.mjs';
import { measured } from '../bench/measured.mjs';
import { database, databases } from './database.ts';
import { BINARY, type Program } from './program.ts';
import { expect, test, until } from './test.ts';

const OWNER = 'anna@example.org';

function recipients(count: number): string {
  const rows = Array.from({ length: count }, (_, n) => `person${n}@customers${n % 7}.example.org,Anna ${n}`);
  return `email,name\n${rows.join('\n')}\n`;
}

/** A user with so many recipients in the list `all`, and a message; gives the message's id. */
function prepare(program: Program, count: number): string {
  program.user(OWNER, 'Anna');
  const file = program.file('recipients.csv', recipients(count));
  const result = program.json(['recipients', 'import', file, '--owner', OWNER, '--list', 'all']);
  expect(result).toMatchObject({ added: count, invalid: 0 });
  const html = program.file('letter.html', '<p>Hello {{ name }}, <a href="https://example.org/{{ email }}">look</a></p>');
  return program.json(['message', 'create', '--owner', OWNER, '--subject', 'News for {{ name }}', '--html', html]).id;
}

function create(program: Program, message: string, ...more: string[]): string {
  return program.json(['mailing', 'create', '--owner', OWNER, '--message', message, '--list', 'all', '--title', 'News', ...more]).id;
}

const show = (program: Program, mailing: string) => program.json(['mailing', 'show', mailing, '--owner', OWNER]);
const attempts = (program: Program, mailing: string): { recipient: string; outcome: string; code: number; reply: string }[] =>
  JSON.parse(program.run(['log', mailing, '--format', 'json']));
const inSeconds = (seconds: number) => new Date(Date.now() + seconds * 1000).toISOString();

for (const [name, settings] of databases()) {
  // R13, R16, R24: the commands deliver one letter per address, all totals agree, memory stays flat
  test(`5 000 letters arrive exactly once, on ${name}`, async ({ start }) => {
    const COUNT = 5_000;
    const target = await sink({ keep: true });
    const program = await start({ ...settings(), SKYCHIMP_SMTP_URL: `smtp://127.0.0.1:${target.port}?tls=none&connections=20` });
    const message = prepare(program, COUNT);
    await program.halt();
    const mailing = create(program, message, '--run');
    const run = await measured(BINARY, ['send', 'mailing', mailing, '--wait', '--json'], {
      env: program.environment,
      cwd: program.folder,
    });
    const totals = JSON.parse(run.stdout);
    expect(totals).toMatchObject({ planned: COUNT, sent: COUNT, failed: 0, deferred: 0, skipped: 0, expired: 0, cancelled: 0, remaining: 0 });
    expect(run.memory).toBeLessThan(120e6);
    expect(show(program, mailing)).toMatchObject({ planned: COUNT, sent: COUNT, remaining: 0, status: 'completed' });
    const log = attempts(program, mailing);
    expect(log.filter((attempt) => attempt.outcome === 'sent')).toHaveLength(COUNT);
    expect(new Set(log.map((attempt) => attempt.recipient)).size).toBe(COUNT);
    target.close();
    expect(await counted(target.folder)).toEqual({ letters: COUNT, addresses: COUNT });
  });

  // R17, R19, R21: a future start begins by itself, not before
  test(`a mailing begins at its start, on ${name}`, async ({ start, mail }) => {
    const program = await start({ ...settings(), SKYCHIMP_SMTP_URL: mail.url });
    const message = prepare(program, 5);
    const due = Date.now() + 5_000;
    const mailing = create(program, message, '--start', new Date(due).toISOString(), '--run');
    await until(() => mail.letters.length, (letters) => letters > 0);
    expect(Date.now()).toBeGreaterThanOrEqual(due);
    await until(() => show(program, mailing), (totals) => totals.status === 'completed');
    expect(mail.letters).toHaveLength(5);
  });

  // R21: after downtime the missed moment is caught up, once
  test(`a service that was down at the start catches up once, on ${name}`, async ({ start, mail }) => {
    const program = await start({ ...settings(), SKYCHIMP_SMTP_URL: mail.url });
    const message = prepare(program, 5);
    const mailing = create(program, message, '--start', inSeconds(3), '--end', inSeconds(600), '--run');
    await program.halt();
    await new Promise((done) => setTimeout(done, 4_000)); // the moment passes while nobody is there
    expect(mail.letters).toHaveLength(0);
    await program.serve();
    await until(() => show(program, mailing), (totals) => totals.sent === 5);
    await program.halt();
    await program.serve();
    expect(show(program, mailing)).toMatchObject({ planned: 5, sent: 5, status: 'completed' });
    expect(mail.letters).toHaveLength(5);
  });

  // R6, R23: after SIGKILL the run finishes by itself; what came twice is in the log as in doubt
  test(`a killed sender loses nothing and doubles nothing unsaid, on ${name}`, async ({ start, mail }) => {
    const COUNT = 600;
    mail.delay = 20;
    const program = await start({ ...settings(), SKYCHIMP_SMTP_URL: `${mail.url}&connections=5`, SKYCHIMP_LEASE: '5s', SKYCHIMP_RETRY_BASE: '1s' });
    const message = prepare(program, COUNT);
    const mailing = create(program, message, '--run');
    for (const letters of [100, 250, 400]) {
      await until(() => mail.letters.length, (sent) => sent >= letters);
      await program.halt('SIGKILL');
      await program.serve();
    }
    await until(() => show(program, mailing), (totals) => totals.status === 'completed', 60);
    expect(show(program, mailing)).toMatchObject({ planned: COUNT, sent: COUNT, failed: 0, remaining: 0 });
    const copies = new Map<string, number>();
    for (const letter of mail.letters) copies.set(letter.to, (copies.get(letter.to) ?? 0) + 1);
    expect(copies.size).toBe(COUNT);
    const doubtful = new Set(attempts(program, mailing).filter((attempt) => attempt.outcome === 'in_doubt').map((attempt) => attempt.recipient));
    const doubled = [...copies].filter(([, count]) => count > 1).map(([to]) => to);
    expect(doubled.filter((to) => !doubtful.has(to)), 'doubled, and not logged in doubt').toEqual([]);
    expect(mail.letters.length - COUNT).toBeLessThanOrEqual(5 * 3);
  });
}

// R17, R19: any number of processes on one database, each moment and each letter once
test('two services on one PostgreSQL double nothing', async ({ start, mail }) => {
  test.skip(!process.env.TEST_DATABASE_URL, 'needs the PostgreSQL of tests/services.sh');
  const settings = { SKYCHIMP_DATABASE_URL: database(), SKYCHIMP_SMTP_URL: mail.url, SKYCHIMP_SECRET_KEY: 'k'.repeat(64) };
  const one = await start(settings);
  await start(settings);
  const message = prepare(one, 2_000);
  const mailings = [create(one, message, '--start', inSeconds(2), '--run'), create(one, message, '--run')];
  for (const mailing of mailings) {
    await until(() => show(one, mailing), (totals) => totals.status === 'completed', 60);
    expect(show(one, mailing)).toMatchObject({ planned: 2_000, sent: 2_000, failed: 0 });
    expect(attempts(one, mailing)).toHaveLength(2_000);
  }
  expect(mail.letters).toHaveLength(4_000);
});

// R13, R24, R26: each recipient's row tells what happened to him, and nobody suffers for another
test('a server that refuses some: the others get their letters, and every row says why', async ({ start, mail }) => {
  const program = await start({ SKYCHIMP_SMTP_URL: mail.url, SKYCHIMP_RETRY_BASE: '1s' });
  program.user(OWNER, 'Anna');
  const file = program.file('recipients.csv', 'email\nrefused@example.org\nlater@example.org\none@example.org\ntwo@example.org\n');
  program.run(['recipients', 'import', file, '--owner', OWNER, '--list', 'all']);
  const text = program.file('letter.txt', 'Hello');
  const message = program.json(['message', 'create', '--owner', OWNER, '--subject', 'News', '--text', text]).id;
  const mailing = create(program, message, '--run');
  await until(() => show(program, mailing), (totals) => totals.sent === 2 && totals.failed === 1);
  const log = await until(
    () => attempts(program, mailing),
    (rows) => rows.filter((row) => row.recipient === 'later@example.org').length >= 2,
  );
  const refused = log.filter((row) => row.recipient === 'refused@example.org');
  expect(refused).toHaveLength(1);
  expect(refused[0]).toMatchObject({ outcome: 'failed', code: 550 });
  expect(refused[0].reply).toContain('There is no such person here');
  expect(log.filter((row) => row.recipient === 'later@example.org')[0]).toMatchObject({ outcome: 'deferred', code: 450 });
  expect(mail.letters.map((letter) => letter.to).sort()).toEqual(['one@example.org', 'two@example.org']);
});

// R25, R27, R28: a mail server that is down or says nothing slows no page, and its letters go out when it is back
test('pages answer while the mail server is down', async ({ start, mail }) => {
  const url = mail.url;
  await mail.stop();
  const program = await start({ SKYCHIMP_SMTP_URL: url, SKYCHIMP_RETRY_BASE: '1s' });
  const message = prepare(program, 300);
  const mailing = create(program, message, '--run');
  await until(() => show(program, mailing), (totals) => totals.planned === 300);
  for (let round = 0; round < 20; round += 1) {
    expect((await fetch(`${program.address}/login`)).ok).toBe(true);
  }
  expect(show(program, mailing)).toMatchObject({ sent: 0, failed: 0, remaining: 300 });
  await mail.again();
  await until(() => show(program, mailing), (totals) => totals.status === 'completed', 60);
  expect(mail.letters).toHaveLength(300);
});

// R6: SIGTERM ends the program in order, with the letters in flight finished or handed back
test('a stopped service hands its letters back at once', async ({ start, mail }) => {
  mail.delay = 30;
  const program = await start({ SKYCHIMP_SMTP_URL: `${mail.url}&connections=4` });
  const message = prepare(program, 300);
  const mailing = create(program, message, '--run');
  await until(() => mail.letters.length, (letters) => letters >= 20);
  expect(await program.halt()).toBe(0);
  const totals = show(program, mailing);
  expect(totals.sent).toBe(mail.letters.length);
  expect(totals.remaining).toBe(300 - totals.sent);
  await program.serve();
  await until(() => show(program, mailing), (now) => now.status === 'completed', 60);
  expect(mail.letters).toHaveLength(300);
});

// R16, R18: from cron or a systemd timer, with no service running
test('send due does what is due and nothing else', async ({ start, mail }) => {
  const program = await start({ SKYCHIMP_SMTP_URL: mail.url });
  const message = prepare(program, 10);
  await program.halt();
  create(program, message, '--run');
  create(program, message, '--start', inSeconds(3600), '--run');
  const send = () => measured(BINARY, ['send', 'due', '--wait', '--json'], { env: program.environment, cwd: program.folder });
  await send();
  expect(mail.letters).toHaveLength(10);
  await send();
  expect(mail.letters).toHaveLength(10);
});
