import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { parseVerifierKey } from '#audit';
import { startTestInstance, type TestInstance } from '../harness/instance.js';

let instance: TestInstance;
let files: string;
beforeAll(async () => {
  files = await mkdtemp(path.join(tmpdir(), 'tm-openssl-'));
  instance = await startTestInstance();
});
afterAll(async () => {
  await instance.stop();
  await rm(files, { recursive: true, force: true });
});

test('openssl verifies a checkpoint with nothing but the verifier key and the text of the note', async () => {
  const discovery = JSON.parse((await instance.status('/.well-known/touchmark')).body.toString()) as {
    audit: { verifierKey: string };
  };
  const note = (await instance.api('GET', '/tlog/checkpoint', undefined, { token: null })).body.toString();
  const [text = '', lines = ''] = note.split('\n\n');
  const signature = Buffer.from(lines.split('\n')[0]!.split(' ')[2]!, 'base64').subarray(4);
  const at = (name: string) => path.join(files, name);
  await writeFile(at('text'), `${text}\n`);
  await writeFile(at('signature'), signature);
  const { publicKey } = parseVerifierKey(discovery.audit.verifierKey);
  await writeFile(at('key.pem'), publicKey.export({ type: 'spki', format: 'pem' }));
  const verify = () =>
    execFileSync(
      'openssl',
      [
        'pkeyutl',
        '-verify',
        '-rawin',
        '-pubin',
        '-inkey',
        at('key.pem'),
        '-in',
        at('text'),
        '-sigfile',
        at('signature'),
      ],
      { encoding: 'utf8', stdio: 'pipe' },
    );
  expect(verify()).toContain('Signature Verified Successfully');
  await writeFile(at('text'), `${text} \n`);
  expect(verify).toThrow();
});
