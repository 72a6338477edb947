import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import nodePath from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { connect } from 'node:tls';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { der, makeCertId, readCertificate, readCertsOnly, readCrl, readOcspResponse, fromPem } from '#pki';
import { certificateOf, csrOf, newKey, registerTestDevice, simpleEnroll, simpleReenroll } from '../harness/device.js';
import type { Reply } from '../harness/http.js';
import { startTestInstance, type TestInstance } from '../harness/instance.js';

interface ShownIssuer {
  id: string;
  name: string;
  kind: string;
  status: string;
  pem: string;
  crl: string;
}

let instance: TestInstance;
beforeAll(async () => {
  instance = await startTestInstance({
    TOUCHMARK_SINGLE_OPERATOR: 'true',
    // Looked at every 2 s then.
    TOUCHMARK_SERVER_CERTIFICATE_RENEW_SECONDS: '20',
  });
}, 60_000);
afterAll(() => instance.stop());

/** What is proposed by 202 and then approved; the answer of the approval. */
async function approved(proposal: Reply): Promise<Reply> {
  expect({ status: proposal.status, text: proposal.text }).toMatchObject({ status: 202 });
  const { approvalId, digest } = proposal.json<{ approvalId: string; digest: string }>();
  const reply = await instance.api('POST', `/v1/approvals/${approvalId}/approve`, { digest });
  expect({ status: reply.status, text: reply.text }).toMatchObject({ status: 200 });
  return reply;
}

const issuers = async (): Promise<ShownIssuer[]> =>
  (await instance.api('GET', '/v1/issuers')).json<{ items: ShownIssuer[] }>().items;
const named = async (name: string): Promise<ShownIssuer> => (await issuers()).find((one) => one.name === name)!;

async function until<T>(ask: () => Promise<T | undefined>): Promise<T> {
  for (let tries = 0; tries < 300; tries++) {
    const found = await ask().catch(() => undefined);
    if (found !== undefined) return found;
    await delay(100);
  }
  throw new Error('waited 30 s in vain');
}

/** Once the worker has published the status of the new CA. */
async function activate(id: string): Promise<void> {
  const proposal = await until(async () => {
    const reply = await instance.api('POST', `/v1/issuers/${id}/activate`, {});
    return reply.status === 409 && reply.text.includes('issuerNotPublished') ? undefined : reply;
  });
  await approved(proposal);
}

async function enroll(): Promise<Buffer> {
  const device = await registerTestDevice(instance);
  return certificateOf(await simpleEnroll(instance, device, csrOf(device, newKey())));
}

/** As a device does it: from what cacerts tells up to the root that it was given. */
async function verifies(leaf: Buffer): Promise<string> {
  const reply = await instance.est('/.well-known/est/cacerts');
  const chain = readCertsOnly(Buffer.from(reply.text, 'base64')).map((one) => new X509Certificate(one));
  const certificate = new X509Certificate(leaf);
  const root = new X509Certificate(instance.rootPem);
  const ca = chain.find((one) => certificate.checkIssued(one) && certificate.verify(one.publicKey));
  expect(ca?.checkIssued(root) && ca.verify(root.publicKey)).toBe(true);
  return ca!.subject.split('CN=')[1]!;
}

async function ocspStatus(leaf: Buffer, issuer: ShownIssuer): Promise<string | undefined> {
  const ca = readCertificate(fromPem(issuer.pem, 'CERTIFICATE')[0]!);
  const certId = makeCertId('sha256', ca.subjectDer, ca.publicKey, readCertificate(leaf).serial);
  const body = der.sequence(der.sequence(der.sequence(der.sequence(certId.der))));
  const headers = { 'content-type': 'application/ocsp-request' };
  const reply = await instance.status('/ocsp', { method: 'POST', headers, body });
  const answer = readOcspResponse(reply.body);
  return answer.status === 'successful' ? answer.responses[0]?.status.status : undefined;
}

/** Who issued the certificate that the server shows. */
function serverIssuer(url: string, ca = instance.rootPem): Promise<string> {
  const { hostname, port } = new URL(url);
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const socket = connect({ host: hostname, port: Number(port), ca }, () => {
    resolve([socket.getPeerCertificate().issuer.CN].flat().join(' '));
    socket.destroy();
  });
  socket.on('error', reject);
  return promise;
}

const ready = async (): Promise<string[]> =>
  Promise.all([
    instance.status('/readyz').then((reply) => `${reply.status} ${reply.text}`),
    instance.api('GET', '/readyz').then((reply) => `${reply.status} ${reply.text}`),
  ]);

test('a CA is made, published and activated while everything runs; devices come under it', async () => {
  const device = await registerTestDevice(instance);
  const key = newKey();
  const old = certificateOf(await simpleEnroll(instance, device, csrOf(device, key)));
  expect(await verifies(old)).toBe('Touchmark Issuing CA 1');

  await approved(await instance.api('POST', '/v1/issuers', { name: 'Issuing CA 2' }));
  const { id, status, crl } = await named('Issuing CA 2');
  expect(status).toBe('retired');
  expect(await verifies(await enroll())).toBe('Touchmark Issuing CA 1');
  await activate(id);
  expect((await issuers()).map((one) => [one.name, one.status])).toEqual([
    ['Touchmark Root CA', 'active'],
    ['Touchmark Issuing CA 1', 'retired'],
    ['Issuing CA 2', 'active'],
  ]);

  const fresh = await until(async () => {
    const leaf = await enroll();
    return (await verifies(leaf)) === 'Issuing CA 2' ? leaf : undefined;
  });
  // Its status, from the status plane, which nobody restarted: it reads what was published every so often.
  const published = await until(async () => {
    const reply = await instance.status(new URL(crl).pathname);
    return reply.status === 200 ? reply : undefined;
  });
  expect([...readCrl(published.body).entries()]).toEqual([]);
  expect((await instance.status(`/ca/${id}.cer`)).status).toBe(200);
  expect(await until(async () => ocspStatus(fresh, await named('Issuing CA 2')))).toBe('good');
  expect(await ocspStatus(old, await named('Touchmark Issuing CA 1'))).toBe('good');
  const discovery = (await instance.status('/.well-known/touchmark')).json<{ issuers: { id: string }[] }>();
  expect(discovery.issuers.map((one) => one.id)).toContain(id);
  expect(await ready()).toEqual([expect.stringMatching(/^200 /), expect.stringMatching(/^200 /)]);

  // The servers follow, without a restart.
  for (const url of [instance.urls.est, instance.urls.api]) {
    await until(async () => ((await serverIssuer(url)) === 'Issuing CA 2' ? url : undefined));
  }

  // With a certificate of the retired CA: one of the new.
  const renewed = certificateOf(await simpleReenroll(instance, { certificate: old, key }, csrOf(device, newKey())));
  expect(await verifies(renewed)).toBe('Issuing CA 2');
}, 120_000);

test('a changed profile shows where profiles are shown, and in the next certificate', async () => {
  const shown = async () =>
    (await instance.api('GET', '/v1/profiles'))
      .json<{ items: { name: string; version: number; validitySeconds: number }[] }>()
      .items.find((one) => one.name === 'device')!;
  expect((await shown()).version).toBe(1);
  const day = 86_400;
  const refused = await instance.api('PATCH', '/v1/profiles/device', { validitySeconds: 1 });
  expect([refused.status, refused.json()['member']]).toEqual([422, 'validitySeconds']);
  expect((await instance.api('PATCH', '/v1/profiles/absent', { validitySeconds: day })).status).toBe(404);
  expect((await instance.api('PATCH', '/v1/profiles/device', {})).status).toBe(400);
  await approved(await instance.api('PATCH', '/v1/profiles/device', { validitySeconds: 7 * day }));
  expect(await shown()).toMatchObject({ version: 2, validitySeconds: 7 * day });
  const leaf = await until(async () => {
    const { notBefore, notAfter } = readCertificate(await enroll());
    const days = (notAfter.getTime() - notBefore.getTime()) / 1000 / day;
    return Math.round(days) === 7 ? days : undefined;
  });
  expect(leaf).toBeGreaterThan(7);
  const discovery = (await instance.status('/.well-known/touchmark')).json<{ profiles: object[] }>();
  expect(discovery.profiles).toContainEqual({ name: 'device', version: 2 });
}, 60_000);

test("a CA's certificate is revoked by two people, by whichever way it is asked for, and the root tells", async () => {
  const issuing = await named('Issuing CA 2');
  const certificate = readCertificate(fromPem(issuing.pem, 'CERTIFICATE')[0]!);
  const path = `/v1/certificates/${certificate.serial}/revoke`;
  expect((await instance.api('POST', path, { reason: 'certificateHold' })).status).toBe(409);
  const root = await named('Touchmark Root CA');
  const rootSerial = readCertificate(fromPem(root.pem, 'CERTIFICATE')[0]!).serial;
  for (const target of [`/v1/issuers/${root.id}/revoke`, `/v1/certificates/${rootSerial}/revoke`]) {
    const reply = await instance.api('POST', target, { reason: 'superseded' });
    expect([reply.status, reply.json()['type']]).toEqual([409, 'urn:touchmark:problem:rootNotRevocable']);
  }
  await approved(await instance.api('POST', path, { reason: 'cessationOfOperation' }));
  expect((await named('Issuing CA 2')).status).toBe('revoked');
  await until(async () => {
    const { body } = await instance.status(new URL(root.crl).pathname);
    return [...readCrl(body).entries()].find((entry) => entry.serial === certificate.serial);
  });

  // None is active now; who is to change that still gets in, also after a start.
  const device = await registerTestDevice(instance);
  const refused = await until(async () => {
    const reply = await simpleEnroll(instance, device, csrOf(device, newKey()));
    return reply.status === 503 ? reply : undefined;
  });
  expect(refused.headers['retry-after']).toBeDefined();
  await instance.restart();
  expect(await ready()).toEqual([expect.stringMatching(/^200 /), expect.stringMatching(/^200 /)]);
  await activate((await named('Touchmark Issuing CA 1')).id);
  expect(await verifies(await until(() => enroll()))).toBe('Touchmark Issuing CA 1');
}, 120_000);

test('a root gets another key while everything runs: who knows the old root alone goes on, and status is told of both (Q06, O35)', async () => {
  const old = await named('Touchmark Root CA');
  const before = await enroll();
  const reply = await approved(await instance.api('POST', `/v1/issuers/${old.id}/rollover`, {}));
  const { issuerId } = reply.json<{ result: { issuerId: string } }>().result;
  await activate(issuerId);
  await approved(await instance.api('POST', '/v1/issuers', { name: 'Under the new key' }));
  const { id } = await named('Under the new key');
  await activate(id);

  const shown = (await instance.api('GET', `/v1/issuers/${issuerId}`)).json<{
    status: string;
    pem: string;
    links: { form: string; id: string; pem: string }[];
  }>();
  expect(shown.status).toBe('active');
  expect(shown.links.map(({ form }) => form).sort()).toEqual(['newWithOld', 'oldWithNew']);
  for (const link of shown.links) {
    const served = await until(async () => {
      const answer = await instance.status(`/ca/${link.id}.cer`);
      return answer.status === 200 ? answer : undefined;
    });
    expect(served.body.equals(fromPem(link.pem, 'CERTIFICATE')[0]!)).toBe(true);
  }
  const discovery = (await instance.status('/.well-known/touchmark')).json<{ links: { id: string }[] }>();
  expect(discovery.links.map((one) => one.id).sort()).toEqual(shown.links.map((one) => one.id).sort());
  expect((await instance.status('/ca/root.pem')).text).toBe(shown.pem);

  // The servers change to the new issuing CA; the connections of this test know the old root alone all the time.
  for (const url of [instance.urls.est, instance.urls.api]) {
    await until(async () => ((await serverIssuer(url)) === 'Under the new key' ? url : undefined));
  }
  const after = await enroll();
  const under = await named('Under the new key');
  expect(await until(async () => ocspStatus(after, under))).toBe('good');
  expect(await ocspStatus(before, await named('Touchmark Issuing CA 1'))).toBe('good');
  // Each link is a certificate like any other, and its signer tells its status.
  const link = shown.links.find(({ form }) => form === 'newWithOld')!;
  expect(await until(async () => ocspStatus(fromPem(link.pem, 'CERTIFICATE')[0]!, old))).toBe('good');
  expect(await ready()).toEqual([expect.stringMatching(/^200 /), expect.stringMatching(/^200 /)]);

  // The next start writes the new root to its file; who knows the old one alone is served as before.
  await instance.restart();
  expect(await readFile(nodePath.join(instance.home, 'root-ca.pem'), 'utf8')).toBe(shown.pem);
  expect((await instance.api('GET', '/v1/issuers')).status).toBe(200);
}, 120_000);

test('under a root that the one before is not linked to, the file of the root follows the servers without a restart', async () => {
  const make = (wish: object) => instance.api('POST', '/v1/issuers', wish).then(approved);
  await make({ name: 'Another Root', kind: 'root' });
  const root = await named('Another Root');
  await activate(root.id);
  await make({ name: 'Under another root', parentId: root.id });
  const file = () => readFile(nodePath.join(instance.home, 'root-ca.pem'), 'utf8');
  expect(await file()).not.toBe(root.pem);
  await activate((await named('Under another root')).id);
  await until(async () => ((await file()) === root.pem ? true : undefined));
  // Whoever takes the root from there gets in, and nobody else: the two planes change one after the other.
  for (const url of [instance.urls.est, instance.urls.api]) {
    await until(async () => ((await serverIssuer(url, root.pem)) === 'Under another root' ? url : undefined));
    await expect(serverIssuer(url)).rejects.toThrow('certificate');
  }
  await instance.restart();
  expect(await file()).toBe(root.pem);
}, 120_000);
