import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { AuthorityError, systemClock } from '#kernel';
import { encodeCsr, fromPem, generateKeyPair, OID, readCertificate, toPem, type KeyType } from '#pki';
import { runCeremony, SIGNATURE, TRANSCRIPT } from './ceremony.js';
import { readScript, type CeremonyScript } from './ceremony-script.js';
import { readTranscript } from './transcript.js';
import { verifyCeremony } from './verify-ceremony.js';

const PASSPHRASE = 'twelve letters or more';
const participants = [
  { name: 'Alice', role: 'key holder' },
  { name: 'Bob', role: 'witness' },
];

let files: string;
beforeAll(async () => {
  files = await mkdtemp(path.join(tmpdir(), 'touchmark-ceremony-'));
  const { publicKey, privateKey } = await generateKeyPair('ec-p256');
  const csr = encodeCsr({ subject: [[{ type: OID.commonName, value: 'Issuing' }]], publicKey }, privateKey);
  await writeFile(path.join(files, 'a.csr'), toPem('CERTIFICATE REQUEST', csr));
});
afterAll(() => rm(files, { recursive: true, force: true }));

const script = (steps: object[]): CeremonyScript => readScript(JSON.stringify({ title: 'Test', participants, steps }));
const sign = { do: 'sign', csr: 'a.csr', out: 'a.pem', statusUrl: 'http://status.example' };
const run = (name: string, steps: object[], confirm = () => Promise.resolve('Alice')) =>
  runCeremony(script(steps), {
    ...{ directory: path.join(files, name), files, passphrase: PASSPHRASE, clock: systemClock, tool: 'test' },
    confirm,
    tell: () => undefined,
  });
const verify = (name: string, transcript = path.join(files, name, TRANSCRIPT)) =>
  verifyCeremony({
    transcript,
    signature: path.join(files, name, SIGNATURE),
    root: path.join(files, name, 'root.pem'),
    files: [path.join(files, name), files],
  });

describe('a ceremony', () => {
  it('does the steps of its script, and later ones go on in the same signed transcript', async () => {
    await run('root', [{ do: 'init', name: 'Root', keyType: 'ec-p256' }, sign, { do: 'crl', out: 'a.crl' }]);
    expect(await verify('root')).toMatchObject({ lines: 5, ceremonies: ['Test'], outputsChecked: 3 });
    const [der] = fromPem(await readFile(path.join(files, 'a.pem'), 'utf8'), 'CERTIFICATE');
    const { serial } = readCertificate(der!);
    await run('root', [
      { do: 'revoke', serial, reason: 'superseded' },
      { do: 'crl', out: 'b.crl' },
    ]);
    const verified = await verify('root');
    expect(verified).toMatchObject({ lines: 9, ceremonies: ['Test', 'Test'], outputsChecked: 4 });
    expect(verified.participants).toEqual(['Alice (key holder)', 'Bob (witness)']);
    const lines = readTranscript(await readFile(path.join(files, 'root', TRANSCRIPT), 'utf8'));
    expect(lines.filter(({ event }) => event === 'step').every(({ confirmedBy }) => confirmedBy === 'Alice')).toBe(
      true,
    );
  });

  it('that is ended, or fails, says so, and what was done until then is signed', async () => {
    let asked = 0;
    const ended = run(
      'ended',
      [
        { do: 'init', name: 'Root', keyType: 'ec-p256' },
        { do: 'note', text: 'x' },
      ],
      () =>
        ++asked === 2
          ? Promise.reject(new AuthorityError('invalid', 'the ceremony was ended'))
          : Promise.resolve('Alice'),
    );
    await expect(ended).rejects.toMatchObject({ kind: 'invalid' });
    expect(await verify('ended')).toMatchObject({ lines: 3 });
    const lines = readTranscript(await readFile(path.join(files, 'ended', TRANSCRIPT), 'utf8'));
    expect(lines.at(-1)).toMatchObject({ event: 'aborted', detail: { error: 'the ceremony was ended' } });
    await expect(run('none', [sign])).rejects.toThrow();
  });

  it.each<KeyType>(['ec-p384', 'ed25519', 'rsa-3072', 'ml-dsa-65'])('signs with a key of type %s', async (keyType) => {
    await run(keyType, [
      { do: 'init', name: 'Root', keyType },
      { ...sign, out: `${keyType}.pem` },
    ]);
    expect(await verify(keyType)).toMatchObject({ lines: 4 });
  });

  it('whose transcript was changed in any line, shortened, reordered or added to is not believed', async () => {
    const text = await readFile(path.join(files, 'root', TRANSCRIPT), 'utf8');
    const lines = text.trimEnd().split('\n');
    const altered = lines.map((line, i) => lines.with(i, line.replace(/"at":"20/, '"at":"19')).join('\n') + '\n');
    const shortened = lines.map((_, i) => `${lines.toSpliced(i, 1).join('\n')}\n`);
    const others = [text + text, `${lines.toReversed().join('\n')}\n`, text.slice(0, -1), ''];
    for (const bad of [...altered, ...shortened, ...others]) {
      const file = path.join(files, 'bad.jsonl');
      await writeFile(file, bad);
      await expect(verify('root', file)).rejects.toMatchObject({ kind: 'invalid' });
    }
    // Without the signature too, all but what is cut off at the end is seen by the chain alone.
    for (const bad of [...altered.slice(0, -1), ...shortened.slice(0, -1), others[0]!, others[1]!]) {
      expect(() => readTranscript(bad)).toThrow(/follow/);
    }
  });

  it('whose outputs were changed since is not believed', async () => {
    const file = path.join(files, 'b.crl');
    const before = await readFile(file);
    await writeFile(file, 'something else');
    await expect(verify('root')).rejects.toThrow(/b\.crl is not what the ceremony wrote/);
    await writeFile(file, before);
    expect(await verify('root')).toMatchObject({ outputsChecked: 4 });
  });
});

describe('a script is refused', () => {
  const good = { title: 'T', participants, steps: [{ do: 'note', text: 'x' }] };
  it.each<[string, unknown]>([
    ['that is no JSON', '{'],
    ['without a witness', { ...good, participants: participants.slice(0, 1) }],
    ['without steps', { ...good, steps: [] }],
    ['with an unknown step', { ...good, steps: [{ do: 'burn' }] }],
    ['with a member too many', { ...good, steps: [{ do: 'note', text: 'x', passphrase: 'y' }] }],
    ['with a status URL that is not http', { ...good, steps: [{ ...sign, statusUrl: 'https://status.example' }] }],
    ['with a control character', { ...good, title: 'a\nb' }],
  ])('%s', (_, value) => {
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    expect(() => readScript(text)).toThrow(expect.objectContaining({ kind: 'invalid' }));
  });
});
