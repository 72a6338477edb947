import { mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import type { CheckpointMemory } from '#audit';
import type { WorkerDeps } from './deps.js';

/**
 * `audit/checkpoint` in the home: the newest checkpoint that was signed here, outside the database. Whoever sets the
 * database back does not set this back.
 */
export function checkpointFile(home: string, replaceFile: WorkerDeps['replaceFile']): CheckpointMemory {
  const file = path.join(home, 'audit', 'checkpoint');
  return {
    async read() {
      try {
        return await readFile(file, 'utf8');
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
        throw error;
      }
    },
    async write(note) {
      await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
      await replaceFile(file, note, 0o600);
    },
  };
}
