import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  currentLabel,
  propose,
  proposeAnchorsChange,
  proposeAnchorsWithdrawal,
  proposeLabelChange,
  proposeLabelWithdrawal,
  approve,
  type AuthorityContext,
  type LabelSettings,
} from '#authority';
import { loadConfig } from '#kernel';
import { readCertificate, readCertsOnly } from '#pki';
import { profiles, shippedLabel } from '#policy';
import { startTestDatabase, type TestDatabase } from '../../harness/database.js';
import { basic } from '../../harness/device.js';
import { makeDevice, makeProduct, type Product } from '../../harness/fixtures.js';
import { decidersOf, inStep, makeAnchors, makeLabel, makeManufacturer } from '../../harness/manufacturer.js';
import type { Person } from '../../harness/people.js';
import { openEst, type EstPlane } from './plane.js';

let db: TestDatabase;
let api: AuthorityContext;
let plane: EstPlane;
let product: Product;
let admin: Person;
let approver: Person;
let rootPem: string;

beforeAll(async () => {
  db = await startTestDatabase();
  api = await db.context('api');
  plane = await openEst(db);
  product = await makeProduct(api, db.operator);
  ({ admin, approver } = await decidersOf(db));
  ({ rootPem } = await makeManufacturer());
});
afterAll(async () => {
  await plane?.close();
  await db?.stop();
});

const { name: _name, version: _version, ...shipped } = shippedLabel(profiles(loadConfig({}).lifetimes).device);
const wish = (some: Partial<LabelSettings>): LabelSettings => ({ ...shipped, ...some });
const fails = (work: Promise<unknown>) =>
  work.then(
    () => ({ kind: 'done' }),
    (error: unknown) => error as { kind: string; member?: string; code?: string },
  );

describe('a label that two people decided', () => {
  test('answers in a running plane, gives certificates by its profile, changes, and is withdrawn', async () => {
    expect((await plane.ask({ label: 'factory' })).status).toBe(404);
    await makeLabel(db, { description: 'One' }, 'factory');
    const { device, secret } = await makeDevice(db, product);
    const headers = { authorization: basic('', secret) };
    const answer = await plane.ask({ label: 'factory', headers });
    expect(answer.status).toBe(200);
    const [certificate] = readCertsOnly(Buffer.from(answer.text, 'base64'));
    expect(readCertificate(certificate!).san).toEqual([{ type: 'uri', value: `urn:uuid:${device.instanceId}` }]);
    expect(currentLabel(plane.est, 'factory')).toMatchObject({ version: 1, description: 'One' });

    await makeLabel(db, { description: 'Two', authentication: ['certificate'] }, 'factory');
    expect(currentLabel(plane.est, 'factory')).toMatchObject({ version: 2, description: 'Two' });
    const refused = await plane.ask({ label: 'factory', headers: { authorization: basic('', secret) } });
    expect([refused.status, refused.text]).toEqual([401, 'there is no first enrollment under this label\n']);

    const { approvalId } = await proposeLabelWithdrawal(api, admin, 'factory');
    await approve(api, approver, approvalId, {});
    await inStep(db);
    expect((await plane.ask({ label: 'factory', headers })).status).toBe(404);
    await makeLabel(db, {}, 'factory');
    expect(currentLabel(plane.est, 'factory')?.version).toBe(3);
  });

  test('is another one by case, and no path leads to it but its own (E07)', async () => {
    await makeLabel(db, { authentication: ['certificate'] }, 'Plant');
    expect((await plane.ask({ label: 'Plant' })).status).toBe(401);
    for (const label of ['plant', 'Plant%2F', '..%2FPlant', '%2550lant', 'Plant/', '.']) {
      expect({ label, status: (await plane.ask({ label })).status }).toEqual({ label, status: 404 });
    }
    expect((await plane.ask({ label: '%50lant' })).status).toBe(401);
  });

  test('takes two people, and the second one only what was proposed from the version in force', async () => {
    const one = await proposeLabelChange(api, admin, 'raced', wish({ description: 'One' }));
    const other = await proposeLabelChange(api, admin, 'raced', wish({ description: 'Other' }));
    expect(await fails(approve(api, admin, one.approvalId, {}))).toMatchObject({ code: 'samePerson' });
    expect(currentLabel(api, 'raced')).toBeUndefined();
    await approve(api, approver, one.approvalId, {});
    expect(await fails(approve(api, approver, other.approvalId, {}))).toMatchObject({ kind: 'conflict' });
    expect(currentLabel(api, 'raced')?.description).toBe('One');
  });

  test('that was altered by SQL answers nobody, rather than by what it was made', async () => {
    const label = await makeLabel(db, {}, 'altered');
    await db.tamper(
      `update policy_documents set document = '{"authentication":[]}' where kind = 'label' and name = $1`,
      [label],
    );
    const follower = await db.follower({ plane: 'est', peppers: undefined });
    await follower.start();
    const est = { ...plane.est, follower };
    expect(() => currentLabel(est, label)).toThrow(expect.objectContaining({ code: 'labelAltered' }));
    expect(currentLabel(est, 'device')).toBeDefined();
  });
});

describe('a one-time secret', () => {
  test('names its device alone, with an empty user name; a wrong one does not (E45)', async () => {
    const { secret } = await makeDevice(db, product);
    const wrong = secret.replace(/.$/, (last) => (last === '0' ? '1' : '0'));
    expect((await plane.ask({ headers: { authorization: basic('', wrong) } })).status).toBe(401);
    expect((await plane.ask({ headers: { authorization: basic('', secret) } })).status).toBe(200);
  });

  test('that was tried too often waits (EX14)', async () => {
    const { device, secret } = await makeDevice(db, product);
    const { device: other } = await makeDevice(db, product);
    const headers = { authorization: basic(other.id, secret) };
    const statuses: number[] = [];
    for (let tries = 0; tries < 5; tries++) statuses.push((await plane.ask({ headers })).status);
    expect(new Set(statuses)).toEqual(new Set([401]));
    const late = await plane.ask({ headers: { authorization: basic(device.id, secret) } });
    expect([late.status, Number(late.headers['retry-after'])]).toEqual([429, expect.any(Number)]);
  });
});

describe('no label', () => {
  test.each([
    ['spelled like an operation (E06)', 'simpleenroll', {}, 'name'],
    ['spelled like an optional operation (E06)', 'csrattrs', {}, 'name'],
    ['spelled like the well-known segment (E06)', '.well-known', {}, 'name'],
    ['of two segments', 'a/b', {}, 'name'],
    ['with a character that is written in two ways', 'a b', {}, 'name'],
    ['of 65 characters', 'a'.repeat(65), {}, 'name'],
    ['for a profile that there is not', 'x', { profile: 'nothing' }, 'profile'],
    ['for the profile of a CA', 'x', { profile: 'issuing-ca' }, 'profile'],
    ['for the profile of OCSP delegates', 'x', { profile: 'ocsp-responder' }, 'profile'],
    ['without any authentication', 'x', { authentication: [] }, 'authentication'],
    ['with a way twice', 'x', { authentication: ['secret', 'secret'] }, 'authentication'],
    ['with Digest and no secret', 'x', { authentication: ['certificate'], digest: true }, 'digest'],
    [
      'for registration authorities by another one',
      'x',
      { profile: 'ra', authentication: ['ra', 'certificate'] },
      'authentication',
    ],
    ['for manufacturers without anchors', 'x', { authentication: ['manufacturer'] }, 'anchors'],
    ['with anchors and no manufacturer', 'x', { anchors: ['acme'] }, 'anchors'],
    ['with anchors that there are not', 'x', { authentication: ['manufacturer'], anchors: ['nobody'] }, 'anchors'],
    ['bound to its connection through a proxy', 'x', { channelBinding: 'required', proxy: true }, 'channelBinding'],
    [
      'with a challengePassword that is two things',
      'x',
      { channelBinding: 'required', challengePassword: 'secret' },
      'channelBinding',
    ],
    [
      'with a challengePassword for a secret that it does not take',
      'x',
      { authentication: ['certificate'], challengePassword: 'secret' },
      'challengePassword',
    ],
  ] as [string, string, Partial<LabelSettings>, string][])('is %s', async (_, name, some, member) => {
    expect(await fails(proposeLabelChange(api, admin, name, wish(some)))).toMatchObject({ kind: 'invalid', member });
  });

  test('can be taken away where the path names none (E05)', async () => {
    expect(await fails(proposeLabelWithdrawal(api, admin, 'device'))).toMatchObject({ code: 'defaultLabel' });
    expect(await fails(proposeLabelWithdrawal(api, admin, 'absent'))).toMatchObject({ kind: 'notFound' });
  });
});

describe('no set of trust anchors', () => {
  const anchors = (some: object) => ({
    ...{ description: '-', certificates: [rootPem], intermediates: [], appId: product.appId },
    ...({ register: 'preregistered', registersPerMinute: 60, identity: 'serialNumber' } as const),
    ...({ revocation: 'none', crlMaxAgeSeconds: null } as const),
    ...some,
  });

  test.each([
    ['with a name of capitals', 'Acme', {}, 'name'],
    ['without a certificate', 'x', { certificates: [] }, 'certificates'],
    ['with what is no certificate', 'x', { certificates: ['hello'] }, 'certificates'],
    ['of an app that there is not', 'x', { appId: '00000000-0000-7000-8000-000000000000' }, 'appId'],
    ['with CRLs of any age', 'x', { revocation: 'crl' }, 'crlMaxAgeSeconds'],
    ['without CRLs that says how old they may be', 'x', { crlMaxAgeSeconds: 60 }, 'crlMaxAgeSeconds'],
  ])('is %s', async (_, name, some, member) => {
    const failed = await fails(proposeAnchorsChange(api, admin, name, anchors(some)));
    expect(failed).toMatchObject({ kind: 'invalid', member });
  });

  test('has a device certificate among its anchors', async () => {
    const { cert } = await (await makeManufacturer()).issue();
    const failed = await fails(proposeAnchorsChange(api, admin, 'x', anchors({ certificates: [cert] })));
    expect(failed).toMatchObject({ kind: 'invalid', member: 'certificates' });
  });

  test('changes how it knows devices, nor goes while a label takes it', async () => {
    const name = await makeAnchors(db, product, { certificates: [rootPem] });
    const other = anchors({ identity: 'commonName' });
    expect(await fails(proposeAnchorsChange(api, admin, name, other))).toMatchObject({ member: 'identity' });
    const label = await makeLabel(db, { authentication: ['manufacturer'], anchors: [name] });
    expect(await fails(proposeAnchorsWithdrawal(api, admin, name))).toMatchObject({ code: 'anchorsInUse' });
    await makeLabel(db, { authentication: ['secret'] }, label);
    const { approvalId } = await proposeAnchorsWithdrawal(api, admin, name);
    await approve(api, approver, approvalId, {});
    expect(await fails(proposeAnchorsWithdrawal(api, admin, name))).toMatchObject({ kind: 'notFound' });
  });

  test('is proposed by whom may not', async () => {
    const officer = { ...admin, id: 'person:nobody', personId: 'nobody' };
    expect(await fails(propose(api, officer, 'anchors.withdraw', { name: 'x' }))).toMatchObject({ kind: 'forbidden' });
  });
});
