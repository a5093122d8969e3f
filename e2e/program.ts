// The program under test: the real binary with a database of its own, on a port of its own.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '..');
export const BINARY = process.env.SKYCHIMP ?? join(process.env.CARGO_TARGET_DIR ?? join(root, 'target'), 'debug', 'skychimp');

export const PASSWORD = 'correct horse battery';

export class Program {
  private child?: ChildProcess;
  private log = '';

  private constructor(
    readonly folder: string,
    readonly address: string,
    readonly environment: NodeJS.ProcessEnv,
  ) {}

  /** All that the service has written up to now. */
  get output(): string {
    return this.log;
  }

  /** Makes a folder and starts `serve`; letters go to the sandbox unless `settings` name a mail server. */
  static async start(settings: Record<string, string> = {}): Promise<Program> {
    const program = await Program.prepare(settings);
    await program.serve();
    return program;
  }

  /** Starts `demo`; gives the password of its accounts too. */
  static async demo(): Promise<[Program, string]> {
    const program = await Program.prepare({});
    await program.serve(['demo', '--json']);
    for (let tries = 0; tries < 600; tries += 1) {
      const [, password] = program.log.match(/"password": *"([^"]+)"/) ?? [];
      if (password) return [program, password];
      await new Promise((done) => setTimeout(done, 100));
    }
    throw new Error(`the demo does not end:\n${program.log}`);
  }

  /** `host` is the name that the browser uses, an address unless it is given. */
  private static async prepare({ host = '127.0.0.1', ...settings }: Record<string, string>): Promise<Program> {
    const folder = mkdtempSync(join(tmpdir(), 'skychimp-e2e-'));
    const port = await freePort();
    const address = `http://${host}:${port}`;
    const environment: NodeJS.ProcessEnv = { PATH: process.env.PATH, HOME: folder, TZ: 'UTC' };
    Object.assign(environment, {
      SKYCHIMP_LISTEN: `127.0.0.1:${port}`,
      SKYCHIMP_BASE_URL: address,
      SKYCHIMP_DATA_DIR: join(folder, 'data'),
      ...settings,
    });
    return new Program(folder, address, environment);
  }

  /** Starts the service, again after [`halt`]. */
  async serve(words = ['serve']): Promise<void> {
    const child = spawn(BINARY, words, { cwd: this.folder, env: this.environment, stdio: ['ignore', 'pipe', 'pipe'] });
    this.child = child;
    const keep = (chunk: Buffer) => (this.log += chunk.toString());
    child.stdout?.on('data', keep);
    child.stderr?.on('data', keep);
    for (let tries = 0; tries < 300; tries += 1) {
      if (child.exitCode !== null) throw new Error(`the program ended:\n${this.log}`);
      const ready = await fetch(`${this.address}/readyz`).then((answer) => answer.ok, () => false);
      if (ready) return;
      await new Promise((done) => setTimeout(done, 50));
    }
    throw new Error(`the program is not ready:\n${this.log}`);
  }

  /**
   * Runs a command of the program beside the service; gives what it wrote to stdout. The test stands still meanwhile,
   * its mail server too: what sends letters is not for this.
   */
  run(words: string[], input = ''): string {
    const result = spawnSync(BINARY, words, { cwd: this.folder, env: this.environment, input, encoding: 'utf8', timeout: 60_000, maxBuffer: 2 ** 28 });
    if (result.status !== 0) throw new Error(`skychimp ${words.join(' ')} ended with ${result.status}:\n${result.stderr}`);
    return result.stdout;
  }

  /** Runs a command with `--json` and gives its data. */
  json(words: string[], input = '') {
    return JSON.parse(this.run([...words, '--json'], input));
  }

  /** A file in the program's folder. */
  file(name: string, content: string | Buffer): string {
    const path = join(this.folder, name);
    writeFileSync(path, content);
    return path;
  }

  /** Makes a verified user with the password [`PASSWORD`]. */
  user(email: string, name: string, role = 'user'): void {
    this.run(['user', 'create', '--email', email, '--role', role, '--name', name, '--password-stdin', '--verified'], `${PASSWORD}\n`);
  }

  /** Ends the program; gives its exit code, nothing if it had to be killed. */
  async halt(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    const child = this.child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null;
    const ended = new Promise<number | null>((done) => child.once('exit', done));
    child.kill(signal);
    const timer = setTimeout(() => child.kill('SIGKILL'), 15_000);
    const code = await ended;
    clearTimeout(timer);
    return code;
  }

  async stop(): Promise<void> {
    await this.halt();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/**
 * A port that nobody listens on, below the range from which the kernel takes the ports of outgoing connections: a service
 * finds it free again after a restart. Each of Playwright's workers has a range of its own.
 */
export async function freePort(): Promise<number> {
  const first = 10_000 + (Number(process.env.TEST_PARALLEL_INDEX ?? 0) % 10) * 2_000;
  for (;;) {
    const port = first + Math.floor(Math.random() * 2_000);
    if (await isFree(port)) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((done) => {
    const server = createServer();
    server.once('error', () => done(false));
    server.listen(port, '127.0.0.1', () => server.close(() => done(true)));
  });
}
