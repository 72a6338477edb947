import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { der, fromPem, makeCertId, OID, readCertificate, readCrl, readOcspResponse } from '#pki';
import { certificateOf, csrOf, newKey, registerTestDevice, simpleEnroll, simpleReenroll } from '../harness/device.js';
import type { Reply } from '../harness/http.js';
import { startTestInstance, type TestInstance } from '../harness/instance.js';

const DAY = 86_400;
let instance: TestInstance;
beforeAll(async () => {
  instance = await startTestInstance({ TOUCHMARK_SINGLE_OPERATOR: 'true' });
}, 60_000);
afterAll(() => instance.stop());

async function approved(proposal: Reply): Promise<void> {
  expect({ status: proposal.status, text: proposal.text }).toMatchObject({ status: 202 });
  const { approvalId, digest } = proposal.json<{ approvalId: string; digest: string }>();
  const reply = await instance.api('POST', `/v1/approvals/${approvalId}/approve`, { digest });
  expect({ status: reply.status, text: reply.text }).toMatchObject({ status: 200 });
}

async function until<T>(ask: () => Promise<T | undefined>): Promise<T> {
  for (let tries = 0; tries < 300; tries++) {
    const found = await ask();
    if (found !== undefined) return found;
    await delay(100);
  }
  throw new Error('waited 30 s in vain');
}

interface Enrolled {
  device: Awaited<ReturnType<typeof registerTestDevice>>;
  key: ReturnType<typeof newKey>;
  certificate: Buffer;
  serial: string;
}

async function enrolled(): Promise<Enrolled> {
  const device = await registerTestDevice(instance);
  const key = newKey();
  const certificate = certificateOf(await simpleEnroll(instance, device, csrOf(device, key)));
  return { device, key, certificate, serial: readCertificate(certificate).serial };
}

async function issuing(): Promise<{ id: string; pem: string }> {
  const { items } = (await instance.api('GET', '/v1/issuers')).json<{
    items: { id: string; kind: string; pem: string }[];
  }>();
  return items.find(({ kind }) => kind === 'issuing')!;
}

async function ocspOf(serial: string): Promise<string> {
  const { subjectDer, publicKey } = readCertificate(fromPem((await issuing()).pem, 'CERTIFICATE')[0]!);
  const certId = makeCertId('sha256', subjectDer, publicKey, serial);
  const body = der.sequence(der.sequence(der.sequence(der.sequence(certId.der))));
  const headers = { 'content-type': 'application/ocsp-request' };
  const answer = readOcspResponse((await instance.status('/ocsp', { method: 'POST', headers, body })).body);
  return answer.status === 'successful' ? answer.responses[0]!.status.status : answer.status;
}

const changed = async (change: object): Promise<void> => {
  await approved(await instance.api('PATCH', '/v1/profiles/device', change));
  const { items } = (await instance.api('GET', '/v1/profiles')).json<{ items: { name: string; version: number }[] }>();
  const device = items.find(({ name }) => name === 'device')!;
  // Every plane follows the log for itself.
  await until(async () => {
    const { profiles } = (await instance.status('/.well-known/touchmark')).json<{ profiles: typeof items }>();
    return profiles.find(({ name, version }) => name === 'device' && version >= device.version);
  });
};

const isSilent = (certificate: Buffer): boolean => readCertificate(certificate).extensions.has(OID.noRevAvail);

/** Once the EST plane knows the profile of before. */
const enrolledWith = (silent: boolean): Promise<Enrolled> =>
  until(async () => {
    const made = await enrolled();
    return isSilent(made.certificate) === silent ? made : undefined;
  });
const renewedWith = (silent: boolean, { device, key, certificate }: Enrolled): Promise<Buffer> =>
  until(async () => {
    const renewed = certificateOf(await simpleReenroll(instance, { certificate, key }, csrOf(device, newKey())));
    return isSilent(renewed) === silent ? renewed : undefined;
  });

test('a certificate without revocation service: its revocation ends everything here, and is told to nobody (X27, X28)', async () => {
  const before = await enrolled();
  await changed({ revocation: 'none', validitySeconds: DAY });
  const short = await enrolledWith(true);
  const leaf = readCertificate(short.certificate);
  expect(leaf.extensions.get(OID.noRevAvail)).toMatchObject({ critical: false, value: Buffer.from('0500', 'hex') });
  expect([leaf.crlUris, leaf.ocspUris, leaf.caIssuerUris]).toEqual([[], [], []]);
  expect(await ocspOf(short.serial)).toBe('unauthorized');
  expect(await ocspOf(before.serial)).toBe('good');

  expect(isSilent(await renewedWith(true, short))).toBe(true);

  const path = `/v1/certificates/${short.serial}/revoke`;
  const receipt = (await instance.api('POST', path, { reason: 'keyCompromise' })).json();
  expect(receipt).toMatchObject({
    status: 'revoked',
    visibleBy: {},
    certificate: { published: false, endsAt: leaf.notAfter.toISOString() },
  });
  expect((receipt as { visibleBy: object }).visibleBy).toEqual({});
  // Renewal and access end at once, also with another key.
  const refused = await until(async () => {
    const reply = await simpleReenroll(instance, short, csrOf(short.device, newKey()));
    return reply.status === 403 ? reply : undefined;
  });
  expect(refused.text).toContain('revoked');
  const fresh = await registerTestDevice(instance);
  expect((await simpleEnroll(instance, fresh, csrOf(fresh, short.key))).status).toBe(403);
  expect(await ocspOf(short.serial)).toBe('unauthorized');
  const shown = (await instance.api('GET', `/v1/certificates/${short.serial}`)).json();
  expect(shown['status']).toBe('revoked');

  // A CRL that knows of a later revocation of an older certificate does not know of this one.
  const later = await instance.api('POST', `/v1/certificates/${before.serial}/revoke`, { reason: 'superseded' });
  expect(later.json()).toMatchObject({ visibleBy: { crl: expect.any(String) } });
  expect(later.json()).not.toHaveProperty('certificate');
  const { id } = await issuing();
  const listed = await until(async () => {
    const serials = [...readCrl((await instance.status(`/crl/${id}.crl`)).body).entries()].map(({ serial }) => serial);
    return serials.includes(before.serial) ? serials : undefined;
  });
  expect(listed).not.toContain(short.serial);
  expect(await ocspOf(before.serial)).toBe('revoked');
}, 90_000);

test('a device that has both kinds of certificates is revoked with both, and its receipt says so (X28)', async () => {
  await changed({ revocation: 'crl+ocsp' });
  const made = await enrolledWith(false);
  await changed({ revocation: 'none' });
  const renewed = await renewedWith(true, made);
  const receipt = (await instance.api('POST', `/v1/devices/${made.device.id}/revoke`, { reason: 'superseded' })).json();
  expect(receipt).toMatchObject({
    visibleBy: { ocsp: expect.any(String), crl: expect.any(String) },
    certificate: { published: false, endsAt: readCertificate(renewed).notAfter.toISOString() },
  });
}, 60_000);

test('discovery tells what each label offers, and by which profile', async () => {
  const { est, profiles, keyTypes, planes, audit, issuers, ...rest } = (
    await instance.status('/.well-known/touchmark')
  ).json<{
    est: { operations: string[]; labels: string[]; offers: { label: string }[] };
    profiles: { name: string; version: number }[];
    keyTypes: string[];
    planes: Record<string, string>;
    audit: { origin: string; verifierKey: string };
    issuers: object[];
    feeds: unknown[];
    lists: unknown[];
  }>();
  // Neither is served: whoever reads this asks by introspection and CRL.
  expect(rest).toMatchObject({ feeds: [], lists: [] });
  expect(est.operations).toEqual(expect.arrayContaining(['cacerts', 'simpleenroll', 'simplereenroll']));
  expect(est.labels).toEqual(expect.arrayContaining(['device', 'sip-domain', 'ike-peer']));
  expect(est.labels).not.toContain('issuing-ca');
  expect(est.offers.find(({ label }) => label === 'device')).toMatchObject({
    profile: 'device',
    authentication: ['secret', 'certificate'],
    channelBinding: 'optional',
    approval: false,
    renewsOverTls: true,
    revocation: 'none',
    validitySeconds: DAY,
  });
  expect(est.offers.find(({ label }) => label === 'ike-peer')).toMatchObject({ renewsOverTls: false });
  expect(est.offers.find(({ label }) => label === 'ra')).toMatchObject({ approval: true });
  expect(profiles).toContainEqual({ name: 'sip-domain', version: 1 });
  expect(keyTypes).toEqual(expect.arrayContaining(['ec-p256', 'rsa-2048', 'ed25519']));
  expect(planes).toMatchObject(instance.urls);
  expect(audit.verifierKey).toContain(audit.origin);
  expect(issuers).toHaveLength(2);
});
