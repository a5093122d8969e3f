// Runs a process and measures its time, CPU time and memory.
import { spawn } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';

const TICK = 100; // clock ticks a second in /proc, on every Linux

/** CPU seconds of a process, with `children` including its ended children. */
export function cpuOf(pid, children = false) {
  const fields = stat(pid);
  if (!fields) return 0;
  const [user, system, endedUser, endedSystem] = fields.slice(11, 15).map(Number);
  return (user + system + (children ? endedUser + endedSystem : 0)) / TICK;
}

/** CPU seconds of a server and its child processes, including ended ones. */
export function cpuOfFamily(pid) {
  let sum = cpuOf(pid, true);
  for (const name of readdirSync('/proc')) {
    if (/^\d+$/.test(name) && stat(name)?.[1] === `${pid}`) sum += cpuOf(name);
  }
  return sum;
}

/** The fields of /proc/PID/stat after the name: state, parent PID, … */
function stat(pid) {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined; // it has ended
  }
}

/** Peak and current memory, in bytes. */
function memoryOf(pid) {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'latin1');
    const field = (name) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0) * 1024;
    return { most: field('VmHWM'), now: field('VmRSS') };
  } catch {
    return { most: 0, now: 0 };
  }
}

/**
 * → { seconds, cpu, memory, memories, stdout, stderr }. Rejects if the process fails. `env`
 * replaces the environment. `memories` has the memory at each second.
 */
export function measured(command, words, { env, cwd, input } = {}) {
  return new Promise((done, failed) => {
    const started = performance.now();
    const child = spawn(command, words, { env, cwd, stdio: ['pipe', 'pipe', 'pipe'] });
    let stdout = '';
    let stderr = '';
    let cpu = 0;
    let memory = 0;
    const memories = [];
    const look = () => {
      cpu = Math.max(cpu, cpuOf(child.pid));
      const { most, now } = memoryOf(child.pid);
      memory = Math.max(memory, most);
      if (now > 0 && performance.now() - started > memories.length * 1000) memories.push(now);
    };
    const timer = setInterval(look, 20);
    child.stdout.on('data', (chunk) => (stdout += chunk));
    child.stderr.on('data', (chunk) => (stderr += chunk));
    child.stdin.on('error', () => {});
    child.stdin.end(input ?? '');
    child.on('error', failed);
    child.on('close', (code) => {
      clearInterval(timer);
      const seconds = (performance.now() - started) / 1000;
      if (code === 0) done({ seconds, cpu, memory, memories, stdout, stderr });
      else failed(new Error(`${command} ${words.join(' ')} ended with ${code}:\n${stderr.slice(-2000)}`));
    });
  });
}
