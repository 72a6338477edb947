import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createPrivateKey } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { openBox, sealToBox } from '#credential';
import { loadConfig, PLANES } from '#kernel';
import { openSecrets } from './secrets.js';

const EXTERNAL = { DATABASE_URL: 'postgres://u:p@db/touchmark' };
let home: string;
let previousMask: number;
const embedded = () => loadConfig({ TOUCHMARK_HOME: home });
const external = () => loadConfig({ TOUCHMARK_HOME: home, ...EXTERNAL });
const file = (name: string) => path.join(home, 'secrets', name);

beforeEach(() => {
  home = mkdtempSync(path.join(tmpdir(), 'tm-secrets-'));
  previousMask = process.umask(0);
});

afterEach(() => {
  process.umask(previousMask);
  rmSync(home, { recursive: true, force: true });
});

describe('secrets', () => {
  test('the embedded start makes one file per purpose, for the owner only whatever the umask', () => {
    openSecrets(embedded(), PLANES);
    expect(readdirSync(file('')).sort()).toEqual(
      [
        ...['ca.kek', 'ocsp.kek', 'feed.kek', 'audit.kek', 'api.kek', 'status.mac', 'pepper', 'roots.pub', 'roots.key'],
        'signer.auth',
        ...['db-api', 'db-est', 'db-responder', 'db-worker', 'db-signer', 'db-superuser', 'tls-est.key', 'tls-api.key'],
        ...['transport.pub', 'transport.key'],
      ].sort(),
    );
    expect(statSync(file('')).mode & 0o777).toBe(0o700);
    for (const name of readdirSync(file(''))) expect(statSync(file(name)).mode & 0o777).toBe(0o600);
    const values = readdirSync(file('')).map((name) => readFileSync(file(name), 'utf8'));
    expect(new Set(values).size).toBe(values.length);
    for (const name of ['ca.kek', 'status.mac'])
      expect(readFileSync(file(name), 'utf8')).toMatch(/^[A-Za-z0-9+/]{43}=\n$/);
    expect(readFileSync(file('pepper'), 'utf8')).toMatch(/^1:[A-Za-z0-9+/]{43}=\n$/);
    expect(readFileSync(file('db-api'), 'utf8')).toMatch(/^[\w-]{43}\n$/);
  });

  test('a second start reads the same values', () => {
    const first = openSecrets(embedded(), PLANES);
    mkdirSync(path.join(home, 'pg'));
    const second = openSecrets(embedded(), PLANES);
    for (const plane of PLANES) expect(second.of(plane)).toEqual(first.of(plane));
  });

  test('oidc.json is read where there is one, for the api plane alone, and refused where others may read it', () => {
    openSecrets(embedded(), PLANES);
    expect(openSecrets(embedded(), ['api']).of('api').oidc).toBeUndefined();
    writeFileSync(file('oidc.json'), '{"clientSecret":"x"}\n', { mode: 0o600 });
    expect(openSecrets(embedded(), ['api']).of('api').oidc).toEqual({
      file: file('oidc.json'),
      text: '{"clientSecret":"x"}',
    });
    chmodSync(file('oidc.json'), 0o640);
    expect(() => openSecrets(embedded(), ['api'])).toThrow(/oidc\.json is open to other users/);
    expect(() => openSecrets(embedded(), ['est', 'worker', 'responder', 'signer'])).not.toThrow();
  });

  test('the keys are usable: TLS keys on P-256, and the box opened by the worker is the one the api seals to', () => {
    const secrets = openSecrets(embedded(), PLANES);
    expect(createPrivateKey(secrets.of('est').tlsKey).asymmetricKeyDetails).toEqual({ namedCurve: 'prime256v1' });
    const sealed = sealToBox(secrets.of('api').rootsPublicKey, Buffer.from('root'), Buffer.from('aad'));
    expect(openBox(secrets.of('worker').rootsPrivateKey, sealed, Buffer.from('aad')).toString()).toBe('root');
    expect(secrets.of('signer').caKek.current.key).toHaveLength(32);
    expect(secrets.of('responder').ocspKek.current).toEqual(secrets.of('worker').ocspKek.current);
  });

  test('a plane is given its own files and opens with nothing else there', () => {
    openSecrets(embedded(), []);
    const own: Record<string, string[]> = {
      api: ['pepper', 'roots.pub', 'transport.pub', 'status.mac', 'api.kek', 'tls-api.key', 'db-api'],
      est: ['pepper', 'transport.key', 'status.mac', 'tls-est.key', 'db-est'],
      responder: ['ocsp.kek', 'status.mac', 'db-responder'],
      worker: ['pepper', 'ocsp.kek', 'feed.kek', 'audit.kek', 'api.kek', 'roots.key', 'status.mac', 'db-worker'],
      signer: ['ca.kek', 'db-signer'],
    };
    for (const plane of ['api', 'est', 'responder', 'worker', 'signer'] as const) {
      const directory = path.join(home, plane);
      mkdirSync(directory, { mode: 0o700 });
      for (const name of own[plane] ?? []) {
        writeFileSync(path.join(directory, name), readFileSync(file(name)), { mode: 0o600 });
      }
      const config = loadConfig({ TOUCHMARK_HOME: home, TOUCHMARK_SECRETS_DIR: directory, ...EXTERNAL });
      expect(() => openSecrets(config, [plane]).of(plane)).not.toThrow();
      for (const name of own[plane] ?? []) {
        rmSync(path.join(directory, name));
        expect(() => openSecrets(config, [plane])).toThrow(
          `${path.join(directory, name)} is missing, which the ${plane} plane`,
        );
        writeFileSync(path.join(directory, name), readFileSync(file(name)), { mode: 0o600 });
      }
    }
  });

  test('secrets of a plane that was not opened are not given out', () => {
    expect(() => openSecrets(embedded(), ['est']).of('signer')).toThrow('signer were not opened');
  });

  test('nothing is made beside an external database unless asked', () => {
    expect(() => openSecrets(external(), ['api'])).toThrow(/pepper is missing/);
    expect(readdirSync(home)).toEqual([]);
    expect(() => openSecrets(external(), ['api'], { create: true })).not.toThrow();
  });

  test('a lost file that existing data depend on is named, not replaced', () => {
    openSecrets(embedded(), PLANES);
    mkdirSync(path.join(home, 'pg'));
    for (const name of ['ca.kek', 'pepper', 'roots.key', 'status.mac', 'db-superuser']) {
      const content = readFileSync(file(name));
      rmSync(file(name));
      expect(() => openSecrets(embedded(), ['est'])).toThrow(new RegExp(`${name} is missing, and existing data`));
      writeFileSync(file(name), content, { mode: 0o600 });
    }
    rmSync(file('tls-est.key'));
    expect(openSecrets(embedded(), ['est']).of('est').tlsKey).toMatch(/PRIVATE KEY/);
  });

  test('a start killed between the two box keys ends with a pair that fits', () => {
    openSecrets(embedded(), []);
    rmSync(file('roots.pub'));
    const secrets = openSecrets(embedded(), PLANES);
    const sealed = sealToBox(secrets.of('api').rootsPublicKey, Buffer.from('root'), Buffer.alloc(0));
    expect(openBox(secrets.of('worker').rootsPrivateKey, sealed, Buffer.alloc(0)).toString()).toBe('root');
  });

  test('a file or directory that others can read is refused with the command to run', () => {
    openSecrets(embedded(), PLANES);
    chmodSync(file('pepper'), 0o640);
    expect(() => openSecrets(embedded(), ['est'])).toThrow(`chmod 0600 '${file('pepper')}'`);
    chmodSync(file('pepper'), 0o600);
    chmodSync(path.join(home, 'secrets'), 0o755);
    expect(() => openSecrets(embedded(), ['est'])).toThrow(`chmod 0700 '${path.join(home, 'secrets')}'`);
  });

  test('with several peppers the highest version seals and each opens', () => {
    openSecrets(embedded(), []);
    const older = readFileSync(file('pepper'), 'utf8').trim();
    const added = `12:${Buffer.alloc(32, 7).toString('base64')}`;
    writeFileSync(file('pepper'), `${added}\n${older}\n`);
    const { current, byVersion } = openSecrets(embedded(), ['api']).of('api').peppers;
    expect(current).toEqual({ version: 12, key: Buffer.alloc(32, 7) });
    expect([...byVersion.keys()].sort()).toEqual([1, 12]);
    expect(byVersion.get(1)?.key.toString('base64')).toBe(older.slice(2));
  });

  test.each([
    ['pepper', ''],
    ['pepper', 'abc'],
    ['pepper', `1:${Buffer.alloc(31).toString('base64')}`],
    ['pepper', `1:${Buffer.alloc(32).toString('base64')}\n1:${Buffer.alloc(32).toString('base64')}`],
    ['status.mac', 'AAAA'],
    ['status.mac', `${Buffer.alloc(32).toString('base64')}!`],
    ['tls-est.key', 'no key'],
    ['db-est', '  \n'],
  ])('a damaged %s (%j) is refused by name, without its content', (name, content) => {
    openSecrets(embedded(), []);
    writeFileSync(file(name), content);
    const attempt = () => openSecrets(embedded(), ['est']);
    expect(attempt).toThrow(file(name));
    if (content.trim().length > 3) expect(attempt).not.toThrow(content.trim());
  });
});
