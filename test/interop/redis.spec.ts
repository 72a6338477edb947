import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { crlsListing, enrollDevice, openLaboratory, revoke, type Laboratory } from './enrolled.js';
import { describeWith, run, succeed } from './program.js';
import { freePort, startServer, type ServerProcess } from './server.js';

describeWith(['redis-server', 'redis-cli', 'openssl'], 'jobs on Redis', () => {
  let laboratory: Laboratory;
  let redis: ServerProcess;
  let port: number;

  const startRedis = () =>
    startServer(
      'redis-server',
      [
        '--port',
        String(port),
        '--bind',
        '127.0.0.1',
        '--save',
        '',
        '--appendonly',
        'no',
        '--maxmemory-policy',
        'noeviction',
      ],
      port,
    );
  const ask = async (...command: string[]) => (await succeed('redis-cli', ['-p', String(port), ...command])).trim();

  beforeAll(async () => {
    port = await freePort();
    redis = await startRedis();
    laboratory = await openLaboratory({ REDIS_URL: `redis://127.0.0.1:${port}` });
  });
  afterAll(async () => {
    await laboratory?.close();
    await redis?.stop();
  });

  test('a revocation reaches the CRL by way of Redis within 5 s', async () => {
    const device = await enrollDevice(laboratory);
    await revoke(laboratory, device.serial);
    const crls = await crlsListing(laboratory, device);
    const refused = await run('openssl', [
      ...['verify', '-crl_check_all', '-CAfile', laboratory.root, '-untrusted', laboratory.issuing],
      ...['-CRLfile', crls, device.certificateFile],
    ]);
    expect(refused.stderr).toContain('certificate revoked');
    expect(Number(await ask('DBSIZE'))).toBeGreaterThan(0);
  });

  test('Redis that comes back empty loses no revocation: the outbox is the truth', async () => {
    const device = await enrollDevice(laboratory);
    await redis.stop();
    await revoke(laboratory, device.serial);
    redis = await startRedis();
    expect(await ask('PING')).toBe('PONG');
    await crlsListing(laboratory, device, 60_000);
  });

  test('no secret and no name is in the queue: jobs carry ids', async () => {
    const dump = await succeed('redis-cli', ['-p', String(port), '--scan', '--pattern', '*']);
    const kinds = await Promise.all(
      dump
        .trim()
        .split('\n')
        .map(async (key) => [key, await ask('TYPE', key)] as const),
    );
    const values = await Promise.all(
      kinds.map(async ([key, type]) => {
        if (type === 'hash') return ask('HGETALL', key);
        if (type === 'string') return ask('GET', key);
        return '';
      }),
    );
    const text = values.join('\n');
    expect(text).not.toMatch(/tm[keo]1_/);
    expect(text).not.toContain('BEGIN');
  });
});
