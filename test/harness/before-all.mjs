import { chmod, mkdtemp, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

const MEMORY = '/dev/shm';
const TMPFS = 0x01021994;
const NEEDED_BYTES = 2 * 2 ** 30;

/**
 * Jest must run on the Node that `npm ci` installed: older ones lack ML-DSA and the TLS behaviour the tests state. The run
 * gets a directory for temporary files of its own, which `after-all.mjs` removes: in memory where there is room, since a
 * database is a thousand small files and each spec file has one.
 */
export default async function beforeAll() {
  if (Number(process.versions.node.split('.')[0]) < 24) {
    throw new Error(`Node 24 is needed, this is ${process.version}: run the tests with "npm test".`);
  }
  const asked = process.env.TMPDIR !== undefined;
  const directory = await mkdtemp(path.join(!asked && (await hasRoom(MEMORY)) ? MEMORY : tmpdir(), 'tm-'));
  // As open as the system's own: Postgres runs as another user.
  await chmod(directory, 0o1777);
  process.env.TMPDIR = directory;
}

async function hasRoom(directory) {
  const found = await statfs(directory).catch(() => undefined);
  return found !== undefined && found.type === TMPFS && found.bavail * found.bsize >= NEEDED_BYTES;
}
