import { execFile } from 'node:child_process';
import { chmod, lstat, mkdir, mkdtemp, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { pino } from 'pino';
import { startEmbeddedPostgres } from '../../apps/touchmark/src/embedded-postgres.js';
import { createSecretFiles } from '../../apps/touchmark/src/secret-files.js';
import { systemClock } from '#kernel';
import { migrate, PLANE_ROLES, type LoginPlane } from '#store';

/** Of the superuser and the planes' roles, in every database of the tests. */
export const SUPERUSER_PASSWORD = 'superuser';
export const PASSWORDS = Object.fromEntries(PLANE_ROLES.map((plane) => [plane, `password of ${plane}`])) as Record<
  LoginPlane,
  string
>;

/** `server`: what `initdb` and the first start make. `schema`: migrated as well, by the system's clock. */
export type Template = 'server' | 'schema';

const silent = pino({ level: 'silent' });
const run = promisify(execFile);

/**
 * Gives `home` a data directory as a first start makes it, a copy of one that the run makes once: the same work for each
 * spec file would take a quarter of the run. Nothing is shared but what the copy holds.
 */
export async function copyDatabase(template: Template, home: string): Promise<void> {
  const source = path.join(await templateHome(template), 'pg');
  // Below a directory that its user cannot enter the data lie elsewhere: then the start makes its own.
  if (!(await lstat(source)).isDirectory()) return;
  await mkdir(home, { recursive: true, mode: 0o711 });
  await chmod(home, 0o711);
  await run('cp', ['-a', source, path.join(home, 'pg')]);
}

/**
 * The same for the home of a whole instance: its migrated database with the passwords it will look for. All its keys are
 * its own, made at its first start, as are authority, CAs and tokens.
 */
export async function prepareInstance(home: string): Promise<void> {
  const secrets = path.join(home, 'secrets');
  await mkdir(secrets, { mode: 0o700 });
  for (const [role, password] of Object.entries({ ...PASSWORDS, superuser: SUPERUSER_PASSWORD })) {
    await writeFile(path.join(secrets, `db-${role}`), `${password}\n`, { mode: 0o600 });
  }
  // Before the data: beside data the start makes no keys.
  createSecretFiles(secrets, false);
  await copyDatabase('schema', home);
}

/** In the run's own temporary directory. The first spec file that asks makes it; where two do at once, one of both is kept. */
async function templateHome(template: Template): Promise<string> {
  const made = path.join(tmpdir(), `template-${template}`);
  if ((await stat(made).catch(() => undefined)) !== undefined) return made;
  const partial = await mkdtemp(`${made}-`);
  await make(template, partial);
  await rename(partial, made).catch(async (error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
    await rm(partial, { recursive: true, force: true });
  });
  return made;
}

async function make(template: Template, home: string): Promise<void> {
  await chmod(home, 0o711);
  if (template === 'schema') await copyDatabase('server', home);
  const postgres = await startEmbeddedPostgres({ home, password: SUPERUSER_PASSWORD, log: silent });
  try {
    const { host, port, user, password, database } = postgres;
    const superuser = { host, port, user, password, database, ssl: false as const };
    if (template === 'schema') await migrate(superuser, PASSWORDS, systemClock.now());
  } finally {
    await postgres.stop();
  }
}
