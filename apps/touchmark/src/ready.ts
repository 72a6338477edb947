import { randomBytes } from 'node:crypto';
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises';
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
  const owner = await readOwner(home);
  const alive = owner !== undefined && owner.pid === parsed.data.pid && (await isAlive(owner));
  return { state: alive ? 'running' : 'stale', ready: parsed.data };
}

export interface HomeClaim {
  release(): Promise<void>;
  /** For the way out that cannot wait. */
  releaseNow(): void;
}

/**
 * Makes this process the only one that runs an instance on `home`, and clears what a killed one left. `conflict` naming
 * the process while another is alive. A number alone does not tell: in a restarted container the same ones come back.
 */
export async function claimHome(home: string): Promise<HomeClaim> {
  const file = path.join(home, 'instance.pid');
  const partial = `${file}.${randomBytes(6).toString('hex')}`;
  const own = await processIdentity(process.pid);
  await writeFile(partial, JSON.stringify(own), { flag: 'wx', mode: 0o644 });
  try {
    for (let attempt = 0; ; attempt++) {
      try {
        await link(partial, file);
        break;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || attempt === 5) throw error;
        await removeDeadClaim(file, home);
      }
    }
  } finally {
    await rm(partial, { force: true });
  }
  await removeReady(home);
  return { release: () => rm(file, { force: true }), releaseNow: () => rmSync(file, { force: true }) };
}

/** Moved away first, then looked at again: a start that was faster may have put its own claim there meanwhile. */
async function removeDeadClaim(file: string, home: string): Promise<void> {
  const owner = await readOwner(home);
  if (owner !== undefined && (await isAlive(owner))) {
    throw new AuthorityError(
      'conflict',
      `An instance already runs on ${home} (process ${owner.pid}): stop it, or set another TOUCHMARK_HOME.`,
      { member: 'TOUCHMARK_HOME' },
    );
  }
  const aside = `${file}.${randomBytes(6).toString('hex')}`;
  try {
    await rename(file, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  const moved = parseOwner(await readFile(aside, 'utf8'));
  if (moved !== undefined && (await isAlive(moved))) await link(aside, file).catch(() => undefined);
  await rm(aside, { force: true });
}

async function readOwner(home: string): Promise<ProcessIdentity | undefined> {
  return parseOwner(await readFile(path.join(home, 'instance.pid'), 'utf8').catch(() => ''));
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
