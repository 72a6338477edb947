import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { toPem } from '#pki';
import { certificateOf, csrOf, newKey, registerRelease, registerTestDevice, simpleEnroll } from '../harness/device.js';
import { call } from '../harness/http.js';
import type { TestInstance } from '../harness/instance.js';
import { ProcessInstance, type Ready } from '../harness/process-instance.js';
import { childrenOf, instanceAt } from '../harness/signer-process.js';
import { describeWith, succeed } from './program.js';
import { SoftHsm } from './softhsm.js';

const LABEL = 'touchmark-ca';

describeWith(['softhsm2-util', 'openssl'], 'an instance whose CA keys live in a token', () => {
  let hsm: SoftHsm;
  let planes: ProcessInstance;
  let ready: Ready;
  let instance: TestInstance;
  let release: Awaited<ReturnType<typeof registerRelease>>;

  beforeAll(async () => {
    hsm = await SoftHsm.create(LABEL);
    planes = await ProcessInstance.create({
      ...hsm.environment,
      TOUCHMARK_SIGNER: 'process',
      TOUCHMARK_CA_KEYS: 'pkcs11',
      TOUCHMARK_PKCS11_MODULE: hsm.module,
      TOUCHMARK_PKCS11_TOKEN: LABEL,
      TOUCHMARK_PKCS11_PIN_FILE: hsm.pinFile,
      TOUCHMARK_CANARY_SECONDS: '0',
    });
    ready = await planes.start();
    instance = await instanceAt(ready);
    release = await registerRelease(instance);
  });
  afterAll(async () => {
    await planes?.dispose();
    await hsm?.remove();
  });

  /** The process that holds the token: a child of the signer, which is a child of the planes. */
  const tokenPid = (): number => {
    const signer = childrenOf(ready.pid, 'signer-process')[0]!;
    return childrenOf(signer, 'token-process')[0]!;
  };
  const enroll = async () => {
    const device = await registerTestDevice(instance, release);
    const csr = csrOf(device, newKey());
    return { csr, device, reply: await simpleEnroll(instance, device, csr) };
  };
  const untilEnrolled = async (
    device: Awaited<ReturnType<typeof registerTestDevice>>,
    csr: Buffer,
  ): Promise<number> => {
    const begin = performance.now();
    for (;;) {
      const reply = await simpleEnroll(instance, device, csr);
      if (reply.status === 200) return performance.now() - begin;
      expect(reply.status).toBe(503);
      expect(Number(reply.headers['retry-after'])).toBeGreaterThan(0);
      if (performance.now() - begin > 15_000) throw new Error('not healed');
      await delay(100);
    }
  };

  test('issues what openssl verifies with its CRLs, root and issuing CA included', async () => {
    const { reply } = await enroll();
    const write = async (name: string, content: string) => {
      const file = path.join(hsm.directory, name);
      await writeFile(file, content);
      return file;
    };
    const { items } = (await instance.api('GET', '/v1/issuers')).json<{
      items: { id: string; kind: string; pem: string }[];
    }>();
    const issuing = items.find((one) => one.kind === 'issuing')!;
    const root = items.find((one) => one.kind === 'root')!;
    const crls = await Promise.all([issuing, root].map(({ id }) => call(`${ready.status}/crl/${id}.crl`)));
    const args = [
      ...['verify', '-x509_strict', '-crl_check_all', '-purpose', 'sslclient'],
      ...['-CAfile', ready.root, '-untrusted', await write('issuing.pem', issuing.pem)],
      ...['-CRLfile', await write('crls.pem', crls.map(({ body }) => toPem('X509 CRL', body)).join(''))],
      await write('device.pem', toPem('CERTIFICATE', certificateOf(reply))),
    ];
    expect(await succeed('openssl', args)).toContain('OK');
  });

  test('answers 503 with Retry-After while the token hangs or is gone, and heals by itself (EX27)', async () => {
    process.kill(tokenPid(), 'SIGSTOP');
    const begin = performance.now();
    const hung = await enroll();
    expect(performance.now() - begin).toBeLessThan(3000);
    expect(hung.reply.status).toBe(503);
    expect(Number(hung.reply.headers['retry-after'])).toBeGreaterThan(0);
    expect(await untilEnrolled(hung.device, hung.csr)).toBeLessThan(10_000);

    await hsm.takeOut();
    process.kill(tokenPid(), 'SIGKILL');
    await delay(600);
    const without = await enroll();
    expect(without.reply.status).toBe(503);
    await hsm.putBack();
    expect(await untilEnrolled(without.device, without.csr)).toBeLessThan(10_000);
  });

  test('holds its keys across a restart, and in no file of its own', async () => {
    expect(await planes.stop()).toBe(0);
    ready = await planes.start();
    instance = await instanceAt(ready);
    expect((await enroll()).reply.status).toBe(200);
    expect(planes.output).not.toContain('12345678');
  });
});
