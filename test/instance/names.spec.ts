import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { der, OID, readCertificate, toPem, type CsrTemplate } from '#pki';
import { basic, certificateOf, csrOf, newKey, registerRelease } from '../harness/device.js';
import { startDnsServer, type DnsServer } from '../harness/dns-server.js';
import type { Reply } from '../harness/http.js';
import { startTestInstance, type TestInstance } from '../harness/instance.js';

const HOME = 'home.example';
let instance: TestInstance;
let dns: DnsServer;
let appId: string;
let domainId: string;
let foreign: string;

beforeAll(async () => {
  dns = await startDnsServer();
  instance = await startTestInstance({ TOUCHMARK_DNS_SERVERS: dns.address });
  ({ appId } = await registerRelease(instance));
  domainId = (await hold(HOME))['id'] as string;
  await created('/v1/users', { address: `alice@${HOME}` });
  const provider = await created('/v1/organizations', { name: 'Somebody else', kind: 'provider' });
  foreign = 'theirs.example';
  await hold(foreign, provider['id'] as string);
  await created('/v1/users', { address: `carol@${foreign}` });
}, 60_000);
afterAll(async () => {
  await instance.stop();
  await dns.stop();
});

type Json = Record<string, unknown>;
const post = (path: string, body: unknown = {}): Promise<Reply> => instance.api('POST', path, body);
async function created(path: string, body: unknown): Promise<Json> {
  const reply = await post(path, body);
  expect({ status: reply.status, text: reply.text }).toMatchObject({ status: 201 });
  return reply.json();
}

/** A domain as its holder comes by it. */
async function hold(name: string, organizationId?: string): Promise<Json> {
  const domain = await created('/v1/domains', { name, ...(organizationId && { organizationId }) });
  expect(domain).toMatchObject({ status: 'proposed', proof: null });
  const { name: at, value, type } = domain['challenge'] as { name: string; value: string; type: string };
  expect([type, at]).toEqual(['TXT', `_touchmark-challenge.${name}`]);
  expect((await post(`/v1/domains/${String(domain['id'])}/verify`)).status).toBe(409);
  dns.records.set(at, [value]);
  const receipt = await post(`/v1/domains/${String(domain['id'])}/verify`);
  expect(receipt.json()).toMatchObject({ status: 'verified', visibleBy: {} });
  const shown = await instance.api('GET', `/v1/domains/${String(domain['id'])}`);
  expect(shown.json()).toMatchObject({ name, status: 'verified', proof: 'dns' });
  return domain;
}

interface Made {
  id: string;
  instanceId: string;
  profile: string;
  enrollment: { username: string; secret: string };
}
const register = async (profile: string, names: unknown[]): Promise<Made> =>
  (await created('/v1/devices', { appId, profile, names })) as unknown as Made;
const enroll = (made: Made, wishes: Partial<CsrTemplate> = {}, key = newKey()): Promise<Reply> =>
  instance.est(`/.well-known/est/${made.profile}/simpleenroll`, {
    method: 'POST',
    headers: {
      authorization: basic(made.enrollment.username, made.enrollment.secret),
      'content-type': 'application/pkcs10',
    },
    body: csrOf(made, key, { subject: [], san: undefined, ...wishes } as Partial<CsrTemplate>).toString('base64'),
  });
const newest = async (subject: string): Promise<Json> => {
  const reply = await instance.api('GET', `/v1/audit/events?subject=${subject}&limit=1`);
  return reply.json<{ items: Json[] }>().items[0] ?? {};
};

describe('over the API a name is refused by status, text and entry, and nothing is registered', () => {
  const cases: [string, string, unknown[], number, string, RegExp][] = [
    ['sips as domain (SX01)', 'sip-domain', [`sips:${HOME}`], 422, 'nameForm', /sips URI/],
    ['a wildcard (SX02)', 'sip-domain', [`sip:*.${HOME}`], 422, 'nameForm', /wildcard/],
    ['a user without domain (SX03)', 'sip-user', ['sip:alice@'], 422, 'nameForm', /lacks its domain/],
    ['an empty URI (SX03)', 'sip-user', ['sip:'], 422, 'nameForm', /empty/],
    ['a port (SX04)', 'sip-domain', [`sip:${HOME}:5061`], 422, 'nameForm', /port/],
    ['a parameter (SX04)', 'sip-domain', [`sip:${HOME};transport=tls`], 422, 'nameForm', /parameters/],
    ['a header (SX04)', 'sip-user', [`sip:alice@${HOME}?h=1`], 422, 'nameForm', /headers/],
    ['a user of another tenant (SX05)', 'sip-user', ['sip:carol@theirs.example'], 403, 'nameNotEntitled', /holds/],
    ['a malformed UUID (SX06)', 'sip-user', ['urn:uuid:1234'], 422, 'nameForm', /no UUID/],
    ['the nil UUID (SX06)', 'sip-user', [`urn:uuid:${randomUUID().replace(/[^-]/g, '0')}`], 422, 'nameForm', /nil/],
    ['an inbox of nobody (SX08)', 'im-user', ['IM:'], 422, 'nameForm', /empty/],
    ['an escaped @ (SX09)', 'sip-user', [`sip:x%40y@${HOME}`], 422, 'nameForm', /%40/],
    ['a U-label (SX10)', 'sip-domain', ['sip:m\u00fcnchen.example'], 422, 'nameForm', /A-labels/],
    ['no name (SX11)', 'sip-domain', [], 422, 'nameRules', /needs/],
    [
      'a typed name of another form',
      'sip-user',
      [{ type: 'sip-user', value: HOME }],
      422,
      'nameForm',
      /lacks its user/,
    ],
  ];
  test.each(cases)('%s', async (_, profile, names, status, code, text) => {
    const reply = await post('/v1/devices', { appId, profile, names });
    expect({ status: reply.status, text: reply.text }).toMatchObject({ status });
    const problem = reply.json<{ type: string; detail: string; member: string }>();
    expect(problem).toMatchObject({ type: `urn:touchmark:problem:${code}`, member: 'names' });
    expect(problem.detail).toMatch(text);
    expect(await newest('device:new')).toMatchObject({ action: 'device.registered', outcome: 'refused' });
  });

  test('the UUID of another device (SX07)', async () => {
    const { instanceId } = await register('device', []);
    for (const body of [
      { instanceId },
      { profile: 'sip-user', names: [`sip:alice@${HOME}`, `urn:uuid:${instanceId}`] },
    ]) {
      const reply = await post('/v1/devices', { appId, ...body });
      expect(reply.json()).toMatchObject({ status: 409, type: 'urn:touchmark:problem:instanceIdTaken' });
    }
  });

  test('a second claim of a domain, which is not told whose it is', async () => {
    const reply = await post('/v1/domains', { name: `sub.${foreign}` });
    expect(reply.json()).toMatchObject({ status: 409, type: 'urn:touchmark:problem:domainTaken', member: 'name' });
    expect(await newest(`domain:sub.${foreign}`)).toMatchObject({ action: 'domain.claimed', outcome: 'refused' });
  });
});

describe('over EST a name is refused by status, text and entry, and nothing is issued', () => {
  const uri = (value: string): Partial<CsrTemplate> => ({ san: [{ type: 'uri', value }] });
  const eku = { oid: OID.extKeyUsage, critical: false, value: der.sequence(der.oid(OID.sipDomain)) };
  const cases: [string, Partial<CsrTemplate>, number, RegExp][] = [
    ['sips as domain (SX01)', uri(`sips:${HOME}`), 400, /sips URI/],
    ['a wildcard (SX02)', uri(`sip:*.${HOME}`), 400, /wildcard/],
    ['a user without domain (SX03)', uri('sip:alice@'), 400, /lacks its domain/],
    ['a port (SX04)', uri(`sip:alice@${HOME}:5060`), 400, /port/],
    ['a parameter (SX04)', uri(`sip:alice@${HOME};x`), 400, /parameters/],
    ['a header (SX04)', uri(`sip:alice@${HOME}?x`), 400, /headers/],
    ['a user of another tenant (SX05)', uri('sip:carol@theirs.example'), 403, /not of this device/],
    ['a malformed UUID (SX06)', uri('urn:uuid:1234'), 400, /no UUID/],
    ['the UUID of another (SX07)', uri(`urn:uuid:${randomUUID()}`), 403, /not of this device/],
    ['an inbox of nobody (SX08)', uri('IM:'), 400, /empty/],
    ['an escaped @ (SX09)', uri(`sip:x%40y@${HOME}`), 400, /%40/],
    ['an A-label that is none (SX10)', uri('sip:alice@xn--99999.example'), 400, /letters, digits/],
    [
      'a name in the subject alone (SX11)',
      { subject: [[{ type: OID.commonName, value: HOME }]] },
      400,
      /subjectAltName/,
    ],
    ['sipDomain as purpose of a user (SX12)', { extensions: [eku] }, 403, /extendedKeyUsage/],
  ];
  test.each(cases)('%s', async (_, wishes, status, text) => {
    const made = await register('sip-user', [`sip:alice@${HOME}`]);
    const reply = await enroll(made, wishes);
    expect({ status: reply.status, text: reply.text }).toMatchObject({ status });
    expect(reply.text).toMatch(text);
    expect(await newest(`device:${made.id}`)).toMatchObject({ action: 'certificate.requested', outcome: 'refused' });
    const issued = await instance.api('GET', `/v1/certificates?deviceId=${made.id}`);
    expect(issued.json()).toMatchObject({ items: [] });
  });
});

describe('what is named is also what ends', () => {
  const statusOf = async (certificate: Buffer): Promise<unknown> =>
    (await instance.api('GET', `/v1/certificates/${readCertificate(certificate).serial}`)).json()['status'];
  async function untilRevoked(certificate: Buffer): Promise<void> {
    for (let tries = 0; (await statusOf(certificate)) !== 'revoked'; tries++) {
      if (tries > 100) throw new Error('waited 10 s in vain');
      await delay(100);
    }
  }

  test('a disabled user loses every certificate by the worker, and is enabled for new ones (S22, S25)', async () => {
    const user = await created('/v1/users', { address: `bob@${HOME}`, types: ['sip-user', 'email'] });
    const phone = await register('sip-user', [`sip:bob@${HOME}`]);
    const certificate = certificateOf(await enroll(phone));
    expect(readCertificate(certificate).san).toEqual([{ type: 'uri', value: `sip:bob@${HOME}` }]);
    const id = String(user['id']);
    const receipt = await post(`/v1/users/${id}/disable`, { reason: 'affiliationChanged' });
    expect(receipt.json()).toMatchObject({ id, status: 'disabled', visibleBy: {} });
    expect((await enroll(await register('sip-user', [`sip:alice@${HOME}`]))).status).toBe(200);
    expect((await post('/v1/devices', { appId, profile: 'sip-user', names: [`sip:bob@${HOME}`] })).status).toBe(403);
    await untilRevoked(certificate);
    expect((await post(`/v1/users/${id}/enable`)).json()).toMatchObject({ status: 'active' });
    expect(await statusOf(certificate)).toBe('revoked');
    const listed = await instance.api('GET', `/v1/users?domainId=${domainId}&address=bob@${HOME}`);
    expect(listed.json()).toMatchObject({ items: [{ id, status: 'active', types: ['sip-user', 'email'] }] });
  });

  test('a disabled domain likewise, and a device with other names', async () => {
    const domain = await hold('ending.example');
    const server = await register('sip-domain', ['sip:ending.example', `dns:gate.${HOME}`]);
    const certificate = certificateOf(await enroll(server));
    expect((await post(`/v1/domains/${String(domain['id'])}/disable`)).json()).toMatchObject({ status: 'disabled' });
    await untilRevoked(certificate);
    const change = { names: [`sip:${HOME}`], reason: 'superseded' };
    const changed = await instance.api('PATCH', `/v1/devices/${server.id}`, change);
    expect(changed.json()).toMatchObject({ names: [`sip:${HOME}`], profile: 'sip-domain' });
    const reset = await post(`/v1/devices/${server.id}/reset`);
    const { enrollment } = reset.json<Pick<Made, 'enrollment'>>();
    const again = certificateOf(await enroll({ ...server, enrollment }));
    expect(readCertificate(again).san).toEqual([{ type: 'uri', value: `sip:${HOME}` }]);
  });
});

test('fingerprints are given of issued certificates and of any other, SHA-256 always, never MD5 (S14, S15)', async () => {
  const certificate = certificateOf(await enroll(await register('sip-user', [`sip:alice@${HOME}`])));
  const { serial } = readCertificate(certificate);
  const issued = (await instance.api('GET', `/v1/certificates/${serial}/fingerprints`)).json();
  const posted = await post('/v1/fingerprints', { certificate: toPem('CERTIFICATE', certificate) });
  expect({ status: posted.status, text: posted.text }).toMatchObject({ status: 200 });
  expect(posted.json()['fingerprints']).toEqual(issued['fingerprints']);
  expect(posted.json()['fingerprints']).toContainEqual(
    expect.stringMatching(/^a=fingerprint:sha-256 ([0-9A-F]{2}:){31}[0-9A-F]{2}$/),
  );
  expect(posted.text).not.toMatch(/md[25]|sha-1 /i);
  expect((await post('/v1/fingerprints', { certificate: 'x' })).json()).toMatchObject({
    status: 422,
    member: 'certificate',
  });
});
