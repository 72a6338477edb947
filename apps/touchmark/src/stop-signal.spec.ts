import { describe, expect, test } from '@jest/globals';
import { runSource } from '../test/run-source.js';

describe('stop', () => {
  test.each(['SIGTERM', 'SIGINT'] as const)(
    '%s stops once and exits with 0, however often it comes',
    async (signal) => {
      const child = runSource('test/wait-for-stop.ts', ['graceful']);
      await child.said('ready');
      child.kill(signal);
      await child.said('stopping');
      child.kill(signal);
      child.kill('SIGINT');
      expect(await child.ended()).toEqual({ status: 0, stdout: 'ready\nstopping\nstopped\n', stderr: '' });
    },
  );

  test('what does not stop is ended with 1 after the hard limit', async () => {
    const child = runSource('test/wait-for-stop.ts', ['stuck']);
    await child.said('ready');
    child.kill('SIGTERM');
    expect(await child.ended()).toMatchObject({ status: 1, stdout: 'ready\nstopping\nlast words\n' });
  });

  test('a failure that nothing caught stops in order, with 1', async () => {
    const child = runSource('test/wait-for-stop.ts', ['broken']);
    expect(await child.ended()).toMatchObject({ status: 1, stdout: 'ready\nstopping\nstopped\n' });
  });
});
