// The test bed: a database, commands run on it, and mail servers to send to.
import { spawn, spawnSync } from 'node:child_process';
import { createReadStream, mkdtempSync, mkdirSync, chmodSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { cpuOf, cpuOfFamily, measured } from './measured.mjs';

const open = new Set();
const folders = [];
process.on('exit', () => folders.forEach((folder) => rmSync(folder, { recursive: true, force: true })));

/** Stops everything still running, also after a failure. */
export function closeAll() {
  for (const thing of open) thing.close();
}

const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

function freePort() {
  return new Promise((done) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => done(port));
    });
  });
}

/**
 * Starts smtp-sink on a free port. With `keep` it writes all letters to files in `folder`, with
 * `count` it only counts them (`letters()`).
 */
export async function sink({ keep = false, count = false } = {}) {
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), 'skychimp-sink-'));
  chmodSync(folder, 0o777);
  const user = process.getuid() === 0 ? ['-u', 'nobody'] : [];
  const dump = keep ? ['-D', 'letters.%H%M'] : [];
  const counter = count ? ['-c'] : [];
  const child = spawn('smtp-sink', [...user, '-m', '1000', ...counter, ...dump, `127.0.0.1:${port}`, '1000'], {
    cwd: folder,
    stdio: ['ignore', count ? 'pipe' : 'ignore', 'ignore'],
  });
  let said = '';
  child.stdout?.on('data', (text) => (said = `${said}${text}`.slice(-200)));
  const thing = {
    port,
    folder,
    letters: () => Number([...said.matchAll(/mesg=(\d+)/g)].at(-1)?.[1]),
    close() {
      open.delete(thing);
      child.kill();
    },
  };
  open.add(thing);
  folders.push(folder);
  for (let tries = 0; tries < 100; tries += 1) {
    const reached = await new Promise((done) => {
      const socket = connect(port, '127.0.0.1', () => socket.destroy() && done(true));
      socket.on('error', () => done(false));
    });
    if (reached) return thing;
    await pause(50);
  }
  throw new Error('smtp-sink did not start');
}

/** Counts the letters and distinct addresses that a sink kept. */
export async function counted(folder) {
  const addresses = new Set();
  let letters = 0;
  for (const name of readdirSync(folder)) {
    for await (const line of createInterface({ input: createReadStream(join(folder, name), 'latin1') })) {
      const to = /^X-Rcpt-Args: <([^>]*)>/.exec(line)?.[1];
      if (to === undefined) continue;
      letters += 1;
      addresses.add(to);
    }
  }
  return { letters, addresses: addresses.size };
}

/** Starts a mail server that accepts connections and never answers. */
export function silentServer() {
  return new Promise((done) => {
    const sockets = new Set();
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => {});
    }).listen(0, '127.0.0.1', () => {
      const thing = {
        port: server.address().port,
        close() {
          open.delete(thing);
          for (const socket of sockets) socket.destroy();
          server.close();
        },
      };
      open.add(thing);
      done(thing);
    });
  });
}

/** Starts a proxy in front of `port` that adds a round trip of `roundTrip` milliseconds. */
export function distant(port, roundTrip) {
  return new Promise((done, failed) => {
    const child = spawn(process.execPath, [join(import.meta.dirname, 'delay.mjs'), port, roundTrip / 2], { stdio: ['ignore', 'pipe', 'inherit'] });
    const thing = {
      close() {
        open.delete(thing);
        child.kill();
      },
    };
    open.add(thing);
    child.on('error', failed);
    child.stdout.once('data', (text) => {
      thing.port = Number(text);
      done(thing);
    });
  });
}

/** Total size of the letters that a sink kept, in bytes. */
export function octets(folder) {
  return readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
}

export class Bed {
  #binary;
  #folder = mkdtempSync(join(tmpdir(), 'skychimp-bench-'));
  #env;
  #server;
  #children = new Set();

  constructor(binary, settings, server) {
    this.#binary = binary;
    this.#server = server;
    this.#env = {
      PATH: process.env.PATH,
      SKYCHIMP_DATA_DIR: join(this.#folder, 'data'),
      SKYCHIMP_BASE_URL: 'https://news.example.org',
      SKYCHIMP_MAIL_FROM: 'news@example.org',
      ...settings,
    };
    mkdirSync(join(this.#folder, 'data'));
    open.add(this);
    this.#run(['migrate']);
  }

  static sqlite(binary) {
    return new Bed(binary, {});
  }

  static postgres(binary) {
    const server = process.env.TEST_DATABASE_URL;
    if (!server) throw new Error('no PostgreSQL: run inside tests/services.sh run --durable');
    const name = `bench_${Date.now()}`;
    const made = spawnSync('psql', [server, '-qc', `CREATE DATABASE ${name}`], { encoding: 'utf8' });
    if (made.status !== 0) throw new Error(made.stderr);
    const url = server.replace(/\/[^/]*$/, `/${name}`);
    return new Bed(binary, { SKYCHIMP_DATABASE_URL: url }, Number(process.env.TEST_POSTGRES_PID));
  }

  close() {
    open.delete(this);
    for (const child of this.#children) child.kill('SIGKILL');
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #run(words, input = '') {
    const result = spawnSync(this.#binary, words, { env: this.#env, cwd: this.#folder, input, encoding: 'utf8', maxBuffer: 2 ** 30 });
    if (result.status !== 0) throw new Error(`skychimp ${words.join(' ')} ended with ${result.status}:\n${result.stderr}`);
    return result.stdout;
  }

  #json(words) {
    return JSON.parse(this.#run([...words, '--json']));
  }

  /** URL of its database. */
  get url() {
    return this.#env.SKYCHIMP_DATABASE_URL ?? `sqlite://${join(this.#folder, 'data', 'skychimp.db')}`;
  }

  /** Runs what PostgreSQL's autovacuum would do some time after a large write. */
  settle() {
    if (!this.#server) return;
    const done = spawnSync('psql', [this.url, '-qc', 'VACUUM ANALYZE'], { encoding: 'utf8' });
    if (done.status !== 0) throw new Error(done.stderr);
  }

  /**
   * Starts the site and logs in. `page` fetches a page, `watch` follows server-sent events and
   * reports their number. With `mail`, the address of a mail server, the same process also sends.
   */
  async site(email, password, mail) {
    const address = `http://127.0.0.1:${await freePort()}`;
    const env = { ...this.#env, SKYCHIMP_LISTEN: new URL(address).host, SKYCHIMP_BASE_URL: address };
    if (mail) env.SKYCHIMP_SMTP_URL = mail;
    const child = spawn(this.#binary, mail ? ['serve'] : ['serve', '--no-worker'], { env, cwd: this.#folder, stdio: ['ignore', 'ignore', 'inherit'] });
    this.#children.add(child);
    for (let tries = 0; !(await fetch(`${address}/readyz`).then((answer) => answer.ok, () => false)); tries += 1) {
      if (tries === 200) throw new Error('the site did not start');
      await pause(50);
    }
    const cookies = new Map();
    const known = () => ({ origin: address, cookie: [...cookies].map((pair) => pair.join('=')).join('; ') });
    const ask = async (path, options = {}) => {
      const answer = await fetch(address + path, { redirect: 'manual', ...options, headers: known() });
      for (const cookie of answer.headers.getSetCookie()) {
        const [name, value] = cookie.split(';')[0].split('=');
        cookies.set(name, value);
      }
      return { status: answer.status, text: await answer.text() };
    };
    const [, csrf] = /name="csrf" value="([^"]+)"/.exec((await ask('/login')).text);
    const entered = await ask('/login', { method: 'POST', body: new URLSearchParams({ csrf, email, password }) });
    if (entered.status !== 303) throw new Error(`nobody was signed in: ${entered.status}`);
    return {
      async page(path) {
        const { status, text } = await ask(path);
        if (status !== 200) throw new Error(`${path} was answered with ${status}`);
        return text;
      },
      cpu: () => cpuOf(child.pid),
      /** Reads events until `signal` aborts, reconnecting when a stream ends. */
      async watch(path, signal, seen) {
        while (!signal.aborted) {
          try {
            const answer = await fetch(address + path, { headers: known(), signal });
            for await (const part of answer.body.pipeThrough(new TextDecoderStream())) {
              seen(part.split('data:').length - 1);
            }
          } catch (error) {
            if (!signal.aborted) throw error;
          }
        }
      },
    };
  }

  /** Creates a user and returns the address. */
  user(email) {
    this.#run(['user', 'create', '--email', email, '--role', 'user', '--name', 'Bench', '--password-stdin', '--verified'], 'correct horse battery\n');
    return email;
  }

  /** Imports recipients number `from` to `rows` into the list `all`. */
  import(owner, rows, from = 0) {
    const file = join(this.#folder, 'recipients.csv');
    const lines = ['email,name,comment,city,code'];
    for (let n = from; n < rows; n += 1) {
      lines.push(`person${n}.${owner.split('@')[0]}@customers${n % 50}.example.org,Anna Example ${n},met at the fair,Samara,c${n * 7919}`);
    }
    writeFileSync(file, `${lines.join('\n')}\n`);
    return measured(this.#binary, ['recipients', 'import', file, '--owner', owner, '--list', 'all', '--json'], { env: this.#env, cwd: this.#folder });
  }

  /** Writes a typical HTML letter of `bytes` bytes to a file: tables, inline styles, ten personal links. */
  letter(bytes) {
    const offer = (n) =>
      `<tr><td style="padding:12px 24px;font-family:Arial,Helvetica,sans-serif;font-size:15px;line-height:22px;color:#333333"><p style="margin:0 0 8px">{{ name }}, this week in {{ attributes.city | default("your town") }}:</p><a href="https://shop.example.org/offer/${n}?code={{ attributes.code }}" style="display:inline-block;padding:10px 18px;border-radius:4px;background-color:#0b5ed7;color:#ffffff;text-decoration:none">offer ${n}</a></td></tr>\n`;
    const filling =
      '<tr><td align="center" valign="top" style="padding:0 24px 16px;border-bottom:1px solid #e5e5e5;background-color:#ffffff"><img src="https://shop.example.org/images/item.png" width="264" height="176" alt="" style="display:block;border:0;outline:none;text-decoration:none;height:auto;max-width:100%"></td></tr>\n';
    const offers = Array.from({ length: 10 }, (_, n) => offer(n)).join('');
    const around = ['<!doctype html><html><body>\n<table role="presentation" width="600" cellpadding="0" cellspacing="0" border="0">\n', '</table>\n', '</body></html>\n'];
    const rest = Math.max(0, bytes - offers.length - around.join('').length - '<!---->\n'.length);
    const fillings = filling.repeat(Math.floor(rest / filling.length));
    const file = join(this.#folder, 'letter.html');
    writeFileSync(file, `${around[0]}${offers}${fillings}${around[1]}<!--${'.'.repeat(rest - fillings.length)}-->\n${around[2]}`);
    return file;
  }

  /** Creates a mailing to the list `all` and starts it. */
  mailing(owner, html) {
    const { id: message } = this.#json(['message', 'create', '--owner', owner, '--subject', 'News for {{ name }}', '--html', html]);
    return this.#json(['mailing', 'create', '--owner', owner, '--message', message, '--list', 'all', '--title', `Bench ${Date.now()}`, '--run']).id;
  }

  /** Seconds until every recipient has a delivery, while no letter can be sent. */
  async expansion(owner, rows, port) {
    const mailing = this.mailing(owner, this.letter(1_000));
    const env = { ...this.#env, SKYCHIMP_SMTP_URL: `smtp://127.0.0.1:${port}?tls=none&connections=2` };
    const started = performance.now();
    const child = spawn(this.#binary, ['send', 'mailing', mailing, '--wait', '--json'], { env, cwd: this.#folder, stdio: 'ignore' });
    this.#children.add(child);
    const ended = new Promise((done) => child.on('exit', done));
    try {
      while (performance.now() - started < 120_000) {
        const { planned } = this.#json(['mailing', 'show', mailing, '--owner', owner]);
        if (planned >= rows) return (performance.now() - started) / 1000;
        await pause(20);
      }
      throw new Error('the expansion does not end');
    } finally {
      child.kill('SIGKILL');
      await ended;
      this.#children.delete(child);
      this.#run(['mailing', 'cancel', mailing, '--owner', owner]);
    }
  }

  /** Sends a new mailing to the list `all` and returns measurements. */
  async send(owner, html, letters, port, log = 'error') {
    const mailing = this.mailing(owner, html);
    const env = { ...this.#env, SKYCHIMP_LOG: log, SKYCHIMP_SMTP_URL: `smtp://127.0.0.1:${port}?tls=none&connections=50` };
    const before = this.#server ? cpuOfFamily(this.#server) : 0;
    const startedAt = Date.now();
    const run = await measured(this.#binary, ['send', 'mailing', mailing, '--wait', '--json'], { env, cwd: this.#folder });
    const database = this.#server ? cpuOfFamily(this.#server) - before : 0;
    const totals = JSON.parse(run.stdout);
    if (totals.sent !== letters) throw new Error(`sent ${totals.sent} of ${letters}: ${run.stdout}`);
    return {
      mailing,
      startedAt,
      totals,
      seconds: run.seconds,
      rate: letters / run.seconds,
      cpu: (run.cpu / letters) * 1e6,
      databaseCpu: (database / letters) * 1e6,
      memory: run.memory,
      memories: run.memories,
      log: run.stderr,
    };
  }

  /** SQL statements per letter while a mailing is sent, including BEGIN and COMMIT. */
  async statements(owner, html, letters, port) {
    const { log } = await this.send(owner, html, letters, port, 'error,sqlx::query=debug,skychimp_core::platform::db=trace');
    const count = (what) => log.split(what).length - 1;
    return (count(' sqlx::query') + 2 * count('a transaction begins')) / letters;
  }

  /** From the log: number of accepted attempts, of distinct addresses, and the time of the first one. */
  logged(mailing) {
    const lines = this.#run(['log', mailing, '--format', 'csv']).trim().split('\n');
    const names = lines[0].trim().split(',');
    const [outcome, recipient] = [names.indexOf('outcome'), names.indexOf('recipient')];
    const addresses = new Set();
    let sent = 0;
    for (const line of lines.slice(1)) {
      const fields = line.split(',');
      if (fields[outcome] !== 'sent') continue;
      sent += 1;
      addresses.add(fields[recipient]);
    }
    return { sent, addresses: addresses.size, first: Date.parse(lines[1].split(',')[names.indexOf('at')]) };
  }
}
