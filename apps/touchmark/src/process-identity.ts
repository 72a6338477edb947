import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

/** A process for good: its number comes back one day, number and start together do not. */
export interface ProcessIdentity {
  pid: number;
  /** When it was started, in whatever words the system has for it; '' when it has none. */
  started: string;
}

/** Of a process that lives. */
export async function processIdentity(pid: number): Promise<ProcessIdentity> {
  return { pid, started: (await startOf(pid)) ?? '' };
}

/** False for a process that ended, is a zombie, or whose number another one has by now. */
export async function isAlive({ pid, started }: ProcessIdentity): Promise<boolean> {
  const now = await startOf(pid);
  return now !== undefined && (started === '' || now === started);
}

async function startOf(pid: number): Promise<string | undefined> {
  if (process.platform === 'linux') return startFromProc(pid);
  if (process.platform === 'win32') return answersSignal(pid) ? '' : undefined;
  const { stdout } = await promisify(execFile)('ps', ['-o', 'lstart=', '-p', String(pid)]).catch(() => ({
    stdout: '',
  }));
  return stdout.trim() === '' ? undefined : stdout.trim();
}

/** proc_pid_stat(5): after the name in brackets, which may hold anything, state is field 3 and start time 22. */
async function startFromProc(pid: number): Promise<string | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  if (stat === undefined) return undefined;
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  if (fields[0] === 'Z' || fields[0] === 'X') return undefined;
  const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '');
  return `${boot.trim()}/${fields[19] ?? ''}`;
}

function answersSignal(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
