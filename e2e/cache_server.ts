// A Valkey or Redis server of a test's own, in memory only.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { freePort } from './program.ts';

export class CacheServer {
  private constructor(
    readonly url: string,
    private readonly child: ChildProcess,
  ) {}

  static async start(): Promise<CacheServer> {
    const binary = ['valkey-server', 'redis-server'].find((name) => spawnSync(name, ['--version']).status === 0);
    if (!binary) throw new Error('neither Valkey nor Redis is installed: see tests/install.sh');
    const port = await freePort();
    const words = ['--port', `${port}`, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', '/'];
    const child = spawn(binary, words, { stdio: ['ignore', 'pipe', 'inherit'] });
    await new Promise<void>((ready, failed) => {
      child.once('exit', (code) => failed(new Error(`${binary} ended with ${code}`)));
      child.stdout?.on('data', (chunk: Buffer) => chunk.toString().includes('Ready to accept') && ready());
    });
    return new CacheServer(`redis://127.0.0.1:${port}`, child);
  }

  stop(): void {
    this.child.removeAllListeners('exit').kill();
  }
}
