import { generateKeyPairSync } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  approve,
  proposeProfileChange,
  revokeDevice,
  suspendDevice,
  type Actor,
  type AuthorityContext,
} from '#authority';
import { encodeCsr, OID, readPublicKey, toPem } from '#pki';
import { blockKey } from '#store';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { csrOf, newKey } from '../harness/device.js';
import { enroll, enrollRequest, makeDevice, type TestDevice } from '../harness/fixtures.js';
import { makePerson, makeToken } from '../harness/people.js';
import { planeOf, type ApiPlane, type Answer } from './plane.js';

interface DryRun {
  allowed: boolean;
  reasons: { code: string; detail: string }[];
  profile: { name: string; version: number } | null;
  approval: boolean;
  certificate: Record<string, unknown> | null;
}

let db: TestDatabase;
let api: AuthorityContext;
let plane: ApiPlane;
let officer: string;
let device: TestDevice;
const key = newKey();
beforeAll(async () => {
  db = await startTestDatabase();
  api = await db.context('api');
  plane = await planeOf(api);
  officer = await makeToken(db, await makePerson(db, ['officer']), ['officer']);
  device = await makeDevice(db);
});
afterAll(async () => {
  await plane.close();
  await db.stop();
});

const ask = (body: unknown, id = device.device.id, token = officer): Promise<Answer> =>
  plane.post(`/v1/devices/${id}/dry-run`, body, token);

/** With nothing written by it. */
async function dryRun(body: unknown, id?: string): Promise<DryRun> {
  const before = await counts();
  const answer = await ask(body, id);
  expect({ status: answer.status, text: answer.text }).toMatchObject({ status: 200 });
  expect(await counts()).toEqual(before);
  return answer.json<DryRun>();
}
const counts = () =>
  db.sql(`select (select count(*) from serials) as serials, (select count(*) from certificates) as certificates,
    (select count(*) from audit) as audit, (select count(*) from status_changes) as log`);
const csr = (wishes: Parameters<typeof csrOf>[2] = {}, of = device): string =>
  toPem('CERTIFICATE REQUEST', csrOf(of.device, key, wishes));
const codes = ({ reasons }: DryRun): string[] => reasons.map(({ code }) => code);

describe('a dry run', () => {
  test('tells what would be issued, and the device gets just that', async () => {
    const run = await dryRun({ csr: csr() });
    const { id, instanceId } = device.device;
    const { id: issuerId, name } = await api.issuers.issuing();
    expect(run).toMatchObject({
      allowed: true,
      reasons: [],
      label: 'device',
      profile: { name: 'device', version: 1 },
      approval: false,
      certificate: {
        issuer: { id: issuerId, name },
        subject: `CN=${id}`,
        names: [`uri:urn:uuid:${instanceId}`],
        keyType: 'ec-p256',
        keyUsage: ['digitalSignature'],
        eku: [OID.clientAuth],
        crl: expect.stringMatching(/^http:.*\.crl$/),
        ocsp: expect.stringMatching(/^http:.*\/ocsp$/),
        published: true,
      },
    });
    const other = await makeDevice(db);
    await enroll(await db.context('est'), enrollRequest(other, newKey()));
    const [row] = await db.sql<{ subject: string; names: string[] }>(
      `select subject, names from certificates where device_id = $1`,
      [other.device.id],
    );
    const { certificate } = await dryRun({ keyType: 'ec-p256' }, other.device.id);
    expect(certificate).toMatchObject({ subject: row!.subject, names: row!.names });
  });

  test('takes the request as base64 too, or no more than the type of a key', async () => {
    expect(await dryRun({ csr: csrOf(device.device, key).toString('base64') })).toMatchObject({ allowed: true });
    const types = ['ec-p521', 'rsa-3072', 'ed25519'];
    for (const keyType of types) expect((await dryRun({ keyType })).certificate).toMatchObject({ keyType });
  });

  test('tells all that speaks against it, not only the first', async () => {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const spki = publicKey.export({ type: 'spki', format: 'der' });
    const bad = encodeCsr(
      {
        subject: [[{ type: OID.commonName, value: 'somebody' }]],
        publicKey: readPublicKey(spki),
        san: [{ type: 'dns', value: 'a.example' }],
        extensions: [{ oid: OID.basicConstraints, critical: true, value: Buffer.from('30030101ff', 'hex') }],
      },
      privateKey,
    );
    await (await db.as('owner')).transaction((tx) => blockKey(tx, readPublicKey(spki).sha256, 'test'));
    const other = await makeDevice(db);
    await suspendDevice(api, db.operator, other.device.id);
    const run = await dryRun({ csr: bad.toString('base64') }, other.device.id);
    expect(run).toMatchObject({ allowed: false, certificate: null, profile: { name: 'device', version: 1 } });
    expect(codes(run)).toEqual(['forbidden', 'keyBlocked', 'names', 'names', 'usage']);
  });

  test.each<[string, () => unknown, string]>([
    ['a request that is none', () => ({ csr: Buffer.from('nothing').toString('base64') }), 'malformed'],
    ['a signature that does not verify (EX08)', () => ({ csr: corrupted() }), 'badSignature'],
    ['a type of key that the profile lacks', () => ({ keyType: 'ml-kem-768' }), 'keyType'],
    ['a key that only an earlier one can prove (P54)', () => ({ keyType: 'ml-kem-768' }), 'possession'],
    ['a label that is not there', () => ({ csr: csr(), label: 'nothing' }), 'label'],
    ['the label of another profile', () => ({ csr: csr(), label: 'ra' }), 'forbidden'],
  ])('%s is a reason, not a failure', async (_, body, code) => {
    const run = await dryRun(body());
    expect(run).toMatchObject({ allowed: false, certificate: null });
    expect(codes(run)).toContain(code);
  });

  const corrupted = (): string => {
    const der = csrOf(device.device, key);
    der[der.length - 1]! ^= 1;
    return der.toString('base64');
  };

  test('of a revoked device says so', async () => {
    const other = await makeDevice(db);
    await revokeDevice(api, db.operator, other.device.id, { reason: 'superseded' });
    const run = await dryRun({ keyType: 'ec-p256' }, other.device.id);
    expect(run.reasons).toEqual([{ code: 'forbidden', detail: 'the device is revoked' }]);
  });

  test('goes by the profile as it is now', async () => {
    const admin = await makePerson(db, ['admin']);
    const approver: Actor & { personId: string } = await makePerson(db, ['approver']);
    const change = { keyTypes: ['ec-p384'], approval: true, revocation: 'none', validitySeconds: 86_400 };
    const { approvalId, digest } = await proposeProfileChange(api, admin, 'device', change);
    await approve(api, approver, approvalId, { digest });
    const run = await dryRun({ csr: csr() });
    expect(run).toMatchObject({ approval: true, profile: { name: 'device', version: 2 } });
    expect(codes(run)).toEqual(['keyType']);
    const { certificate } = await dryRun({ keyType: 'ec-p384' });
    expect(certificate).toMatchObject({ keyType: 'ec-p384', crl: null, ocsp: null, published: false });
  });
});

describe('who may try out what', () => {
  test('an auditor may not, nor anybody whose device it is not', async () => {
    const auditor = await makeToken(db, await makePerson(db, ['auditor']), ['auditor']);
    expect((await ask({ keyType: 'ec-p384' }, undefined, auditor)).status).toBe(403);
    const absent = await ask({ keyType: 'ec-p384' }, '01900000-0000-7000-8000-00000000ffff');
    expect([absent.status, (await ask({ keyType: 'ec-p384' }, 'none')).status]).toEqual([404, 404]);
  });

  test('a developer may, with the devices of his own vendor', async () => {
    const { ownerOrgId, id } = device.device;
    const own = await makeToken(db, await makePerson(db, ['developer'], ownerOrgId), ['developer']);
    expect((await ask({ keyType: 'ec-p384' }, id, own)).status).toBe(200);
    const other = await makeDevice(db);
    const foreign = await ask({ keyType: 'ec-p384' }, other.device.id, own);
    const absent = await ask({ keyType: 'ec-p384' }, '01900000-0000-7000-8000-00000000ffff', own);
    expect([foreign.status, foreign.json()['detail']]).toEqual([404, absent.json()['detail']]);
  });
});

test.each<[string, unknown]>([
  ['nothing', {}],
  ['both', { csr: 'AAAA', keyType: 'ec-p256' }],
  ['an unknown type', { keyType: 'dsa' }],
  ['what is no base64', { csr: '!' }],
  ['PEM that is none', { csr: '-----BEGIN X-----' }],
  ['a member too many', { keyType: 'ec-p256', sign: true }],
])('a request with %s is 400', async (_, body) => {
  expect((await ask(body)).status).toBe(400);
});
