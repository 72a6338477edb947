import { randomBytes } from 'node:crypto';
import { link, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { rmSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { AuthorityError } from '#kernel';
import { replaceFile } from './home.js';
import { isAlive, processIdentity, type ProcessIdentity } from './process-identity.js';

const readyFile = z.object({
  pid: z.number().int().positive(),
  est: z.string(),
  api: z.string(),
  status: z.string(),
  root: z.string(),
  operatorToken: z.string(),
  /** What is set so that it should not stay, for who asks later. */
  warnings: z.array(z.string()).optional(),
});

/** `ready.json`: base URLs, and the paths of root certificate and operator token. */
export type Ready = z.infer<typeof readyFile>;

/** Whole or not at all: who sees the file can use what it says. */
export async function writeReady(home: string, ready: Ready): Promise<void> {
  await replaceFile(path.join(home, 'ready.json'), `${JSON.stringify(ready, null, 2)}\n`, 0o644);
}

export async function removeReady(home: string): Promise<void> {
  await rm(path.join(home, 'ready.json'), { force: true });
}

export type ReadyState = { state: 'running' | 'stale'; ready: Ready } | { state: 'absent' };

/** What `ready.json` says, and whether the instance that wrote it still lives (`stale`: it was killed). */
export async function readReady(home: string): Promise<ReadyState> {
  const file = path.join(home, 'ready.json');
  const text = await readFile(file, 'utf8').catch(() => undefined);
  if (text === undefined) return { state: 'absent' };
  const parsed = readyFile.safeParse(json(text));
  if (!parsed.success) {
    throw new AuthorityError('invalid', `${file} cannot be read: remove it and start the instance again.`);
  }
  const owners = (await readClaims(home)).flatMap(({ owner }) => (owner?.pid === parsed.data.pid ? [owner] : []));
  const alive = (await Promise.all(owners.map(isAlive))).includes(true);
  return { state: alive ? 'running' : 'stale', ready: parsed.data };
}

export interface HomeClaim {
  release(): Promise<void>;
  /** For the way out that cannot wait. */
  releaseNow(): void;
}

/**
 * Makes this process the only one that runs an instance on `home`, and clears what a killed one left. `conflict` naming
 * the process while another is alive. A process number alone does not tell: in a restarted container the same come back.
 *
 * A claim is the file `instance-<n>.pid`. A dead one is never replaced, where two could replace each other's: the next
 * number is taken, which `link` gives to one process only, and then the dead one removed.
 */
export async function claimHome(home: string): Promise<HomeClaim> {
  const partial = path.join(home, `.instance-${randomBytes(6).toString('hex')}`);
  await writeFile(partial, JSON.stringify(await processIdentity(process.pid)), { flag: 'wx', mode: 0o644 });
  try {
    for (;;) {
      const before = await readClaims(home);
      await refuseIfAlive(home, before);
      const file = claimFile(home, Math.max(0, ...before.map(({ number }) => number)) + 1);
      if (!(await linked(partial, file))) continue;
      try {
        // Another may have begun to count anew after a release in between.
        const others = (await readClaims(home)).filter(({ number }) => claimFile(home, number) !== file);
        await refuseIfAlive(home, others);
        for (const { number } of others) await rm(claimFile(home, number), { force: true });
      } catch (error) {
        await rm(file, { force: true });
        throw error;
      }
      await removeReady(home);
      return { release: () => rm(file, { force: true }), releaseNow: () => rmSync(file, { force: true }) };
    }
  } finally {
    await rm(partial, { force: true });
  }
}

interface Claim {
  number: number;
  /** undefined for a damaged file. */
  owner: ProcessIdentity | undefined;
}

function claimFile(home: string, number: number): string {
  return path.join(home, `instance-${number}.pid`);
}

async function readClaims(home: string): Promise<Claim[]> {
  const numbers = (await readdir(home))
    .flatMap((name) => /^instance-(\d{1,9})\.pid$/.exec(name)?.[1] ?? [])
    .map(Number);
  return Promise.all(numbers.map(async (number) => ({ number, owner: await readOwner(claimFile(home, number)) })));
}

async function readOwner(file: string): Promise<ProcessIdentity | undefined> {
  return parseOwner(await readFile(file, 'utf8').catch(() => ''));
}

async function refuseIfAlive(home: string, claims: readonly Claim[]): Promise<void> {
  for (const { owner } of claims) {
    if (owner === undefined || !(await isAlive(owner))) continue;
    throw new AuthorityError(
      'conflict',
      `An instance already runs on ${home} (process ${owner.pid}): stop it, or set another TOUCHMARK_HOME.`,
      { member: 'TOUCHMARK_HOME' },
    );
  }
}

/** False where the name is taken. */
async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

function parseOwner(text: string): ProcessIdentity | undefined {
  const parsed = z.object({ pid: z.number().int().positive(), started: z.string() }).safeParse(json(text));
  return parsed.success ? parsed.data : undefined;
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
