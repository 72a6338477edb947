import { expect, test } from '@jest/globals';
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describeWith, run } from './program.js';

/** The command as it was built: `npm run build` comes before. */
describeWith(['openssl'], 'touchmark demo', () => {
  test('verifies every step by openssl and leaves nothing behind', async () => {
    const main = path.resolve('dist/apps/touchmark/src/main.js');
    expect({ main, built: existsSync(main) }).toEqual({ main, built: true });
    const temporary = await mkdtemp(path.join(tmpdir(), 'touchmark-'));
    // Postgres, which never runs as root, must be able to pass through.
    await chmod(temporary, 0o711);
    const { status, all, stdout } = await run(process.execPath, [main, 'demo', '--json'], {
      timeoutMs: 60_000,
      env: { TMPDIR: temporary },
    });
    if (status !== 0) process.stderr.write(stdout);
    expect({ status, all }).toEqual({ status: 0, all });
    const report = JSON.parse(stdout.toString()) as {
      verified: boolean;
      examiner: string;
      steps: { facts: string[]; checks: { by: string }[] }[];
    };
    expect(report).toMatchObject({ verified: true, examiner: expect.stringMatching(/^OpenSSL /) });
    expect(report.steps).toHaveLength(16);
    expect(
      report.steps.flatMap(({ checks }) => checks.filter(({ by }) => by.includes('OpenSSL'))).length,
    ).toBeGreaterThan(8);
    expect(await readdir(temporary)).toEqual([]);
    await rm(temporary, { recursive: true });
  });
});
