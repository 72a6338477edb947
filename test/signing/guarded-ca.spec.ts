import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { pino } from 'pino';
import {
  GuardedSigner,
  IssuerDirectory,
  proposeCrossSigning,
  proposeIssuerRollover,
  systemActor,
  type AuthorityContext,
  type Issuer,
} from '#authority';
import { systemClock } from '#kernel';
import { encodeCsr, generateKeyPair, OID, readCertificate, type GeneratedKey, type Name } from '#pki';
import { InProcessSigner, type Signer } from '#signing';
import { findCertificate } from '#store';
import { requireKey } from '../../libs/authority/src/issue.js';
import { recordOwnIntent } from '../../libs/authority/src/record-intent.js';
import { linkRequester, prepareLink } from '../../libs/authority/src/prepare-ca.js';
import { Hierarchy } from '../harness/hierarchy.js';

let h: Hierarchy;
let signer: Signer;
/** The api plane, whose signer is one of its own. */
let apart: AuthorityContext;
let root: Issuer;

beforeAll(async () => {
  h = await Hierarchy.start();
  const { db } = h;
  const follower = await db.follower({ plane: 'signer', peppers: undefined });
  await follower.start();
  const database = await db.as('signer');
  const { clock, macKey, lifetimes } = db;
  const log = pino({ level: 'silent' });
  const issuers = new IssuerDirectory(database, follower, log);
  signer = new GuardedSigner(new InProcessSigner(database, db.caKek, systemClock), {
    ...{ database, clock, macKey, follower, issuers, lifetimes, log },
  });
  apart = { ...h.api, signer };
  root = await h.est.issuers.root();
});
afterAll(() => h.db.stop());

const refusals = async (): Promise<number> =>
  (await h.db.sql(`select 1 from audit where action = 'signer.refused'`)).length;

describe('a signer of its own signs certificates of CAs', () => {
  const subject: Name = [[{ type: OID.commonName, value: 'Customer CA' }]];
  const wishOf = ({ publicKey, privateKey }: GeneratedKey) => ({
    csr: encodeCsr({ subject, publicKey }, privateKey).toString('base64'),
    nameConstraints: { permitted: { dns: ['customer.example'] } },
  });
  /** What a plane that was taken over can do: record, under its role and its MAC key, a link that it says was approved. */
  async function recorded(
    linkId: string,
    key: GeneratedKey,
    change: { subject?: Name; pathLen?: number; nameConstraints?: undefined } = {},
  ): Promise<Parameters<Signer['sign']>[0]> {
    const link = { id: linkId, form: 'subCa' as const, subjectIssuerId: null, name: 'Customer CA' };
    const { nameConstraints } = wishOf(key);
    const says = { subject, publicKey: key.publicKey, pathLen: 0, nameConstraints, ...change };
    const { intent } = prepareLink(h.est, root, link, says);
    const { serial } = await recordOwnIntent(h.est, systemActor(h.est, 'taken over'), intent);
    const row = await h.worker.database.transaction((tx) => findCertificate(tx, serial));
    expect(row?.requester).toBe(linkRequester(link));
    return {
      purpose: 'certificate',
      keyId: requireKey(root),
      subject: { intentId: serial.toString('hex') },
      message: row!.tbs,
    };
  }
  const refusedFor = async (asked: Promise<Parameters<Signer['sign']>[0]>, detail: RegExp): Promise<void> => {
    const before = await refusals();
    await expect(signer.sign(await asked)).rejects.toMatchObject({
      code: 'signerRefused',
      detail: expect.stringMatching(detail),
    });
    expect(await refusals()).toBe(before + 1);
  };

  test('of another key for the root, and the two links between its keys', async () => {
    const { issuerId } = await h.decided(proposeIssuerRollover(h.api, h.admin, root.id), apart);
    expect(await h.find(issuerId)).toMatchObject({ kind: 'root', status: 'retired' });
    const forms = (await h.est.issuers.links()).filter(
      (one) => one.issuerId === issuerId || one.subjectIssuerId === issuerId,
    );
    expect(forms.map(({ form }) => form).sort()).toEqual(['newWithOld', 'oldWithNew']);
    expect(await refusals()).toBe(0);
  });

  test('of another key for an issuing CA', async () => {
    const issuing = await h.est.issuers.issuing();
    const { issuerId } = await h.decided(proposeIssuerRollover(h.api, h.admin, issuing.id), apart);
    expect(await h.find(issuerId)).toMatchObject({ kind: 'issuing', status: 'retired' });
  });

  test('of somebody else, as two people approved, and for no other key, name or bounds', async () => {
    const key = await generateKeyPair('ec-p256');
    const proposed = proposeCrossSigning(h.api, h.admin, root.id, wishOf(key));
    const { linkId } = await h.decided<{ linkId: string }>(proposed, apart);
    const [link] = (await h.est.issuers.links()).filter(({ id }) => id === linkId);
    expect(readCertificate(link!.certificate).publicKey.spki).toEqual(key.publicKey.spki);
    expect(await refusals()).toBe(0);
    const other = await generateKeyPair('ec-p256');
    await refusedFor(recorded(linkId, other), /not the CA that was approved/);
    await refusedFor(recorded(linkId, key, { subject: [[{ type: OID.commonName, value: 'Another' }]] }), /not the CA/);
    await refusedFor(recorded(linkId, key, { pathLen: 3 }), /not the CA/);
    await refusedFor(recorded(linkId, key, { nameConstraints: undefined }), /not the CA/);
  });

  test('of nobody else: not proposed, not yet approved, or approved by whoever can write to the table', async () => {
    const key = await generateKeyPair('ec-p256');
    await refusedFor(recorded('01890000-0000-7000-8000-000000000000', key), /nobody approved it/);
    const { approvalId } = await proposeCrossSigning(h.api, h.admin, root.id, wishOf(key));
    const [row] = await h.db.sql<{ proposal: Buffer }>(`select proposal from approvals where id = $1`, [approvalId]);
    const { parameters } = JSON.parse(row!.proposal.toString()) as { parameters: { linkId: string } };
    await refusedFor(recorded(parameters.linkId, key), /nobody approved it/);
    const other = await generateKeyPair('ec-p256');
    const forged = {
      ...JSON.parse(row!.proposal.toString()),
      parameters: { ...parameters, ...wishOf(other) },
    } as object;
    await h.db.tamper(
      `update approvals set proposal = $2, state = 'executed', decided_at = proposed_at, decider = 'x', decider_person = gen_random_uuid()
       where id = $1`,
      [approvalId, Buffer.from(JSON.stringify(forged))],
    );
    await refusedFor(recorded(parameters.linkId, other), /nobody approved it/);
  });
});
