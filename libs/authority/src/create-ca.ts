import { appendAudit } from '#audit';
import { encodeName, OID, readPublicKey, type KeyType, type Name } from '#pki';
import { profiles, validity, type ProfileName } from '#policy';
import {
  blockKey,
  findOpenIntents,
  insertIssuer,
  listIssuers,
  newId,
  storeIssuerCertificate,
  type IssuerRow,
} from '#store';
import { systemActor, type AuthorityContext } from './context.js';
import { finishIntent, prepareIntent, recordOwnIntent } from './issue.js';
import type { Issuer } from './issuer-directory.js';

type CaContext = Pick<
  AuthorityContext,
  'plane' | 'database' | 'clock' | 'signer' | 'lifetimes' | 'authorityId' | 'macKey' | 'log'
>;

const KEY_TYPES: Readonly<Record<IssuerRow['kind'], KeyType>> = { root: 'ec-p384', issuing: 'ec-p256' };
const PROFILE: Readonly<Record<IssuerRow['kind'], ProfileName>> = { root: 'root-ca', issuing: 'issuing-ca' };

/**
 * Makes root and issuing CA where they are missing, each by the same way as any certificate: intent, lint, sign, store.
 * Started again after a crash it goes on where it was. `statusUrl` is fixed into the certificates.
 */
export async function ensureHierarchy(a: CaContext, statusUrl: string): Promise<void> {
  const root = await ensureCa(a, 'root', undefined, statusUrl);
  await ensureCa(a, 'issuing', root, statusUrl);
}

async function ensureCa(
  a: CaContext,
  kind: IssuerRow['kind'],
  parent: Issuer | undefined,
  statusUrl: string,
): Promise<Issuer> {
  const rows = await a.database.transaction(listIssuers);
  const row = rows.find((one) => one.kind === kind) ?? (await makeKey(a, kind, parent, statusUrl));
  const publicKey = readPublicKey(row.spki);
  const self: Issuer = { ...row, publicKey, certificate: row.certificate ?? Buffer.alloc(0), serial: '' };
  if (row.certificate) return self;
  const certificate = await certify(a, self, parent ?? self);
  await a.database.transaction((tx) => storeIssuerCertificate(tx, row.id, certificate));
  a.log.info({ issuer: row.id, kind }, 'CA created');
  return { ...self, certificate };
}

async function makeKey(
  a: CaContext,
  kind: IssuerRow['kind'],
  parent: Issuer | undefined,
  statusUrl: string,
): Promise<IssuerRow> {
  const key = await a.signer.createKey(KEY_TYPES[kind]);
  const name = kind === 'root' ? 'Touchmark Root CA' : 'Touchmark Issuing CA 1';
  const { notAfter } = validity(profiles(a.lifetimes)[PROFILE[kind]], a.clock.now(), parent?.notAfter);
  const row: IssuerRow = {
    id: newId(a.clock),
    kind,
    parentId: parent?.id ?? null,
    name,
    caKeyId: key.keyId,
    subjectDer: encodeName(caSubject(name)),
    spki: key.spki,
    certificate: null,
    statusUrl,
    shards: 1,
    notAfter,
  };
  await a.database.transaction(async (tx) => {
    await insertIssuer(tx, row);
    // Nobody may ever carry one of our CA keys.
    await blockKey(tx, readPublicKey(key.spki).sha256, 'CA key');
    const actor = systemActor(a, 'init');
    await appendAudit(tx, {
      at: a.clock.now(),
      actor: actor.id,
      action: 'ca.created',
      subject: `issuer:${row.id}`,
      outcome: 'success',
      requestId: actor.requestId,
      detail: { kind, name, keyType: key.keyType },
      issuerOrgId: a.authorityId,
    });
  });
  return row;
}

const caSubject = (name: string): Name => [
  [{ type: OID.organizationName, value: 'Touchmark' }],
  [{ type: OID.commonName, value: name }],
];

async function certify(a: CaContext, self: Issuer, issuer: Issuer): Promise<Buffer> {
  const actor = systemActor(a, 'init');
  const open = await a.database.transaction((tx) => findOpenIntents(tx, 0, 1000));
  const begun = open.find((row) => row.spkiSha256.equals(self.publicKey.sha256));
  if (begun) return finishIntent(a, actor, begun, issuer, null);
  const intent = prepareIntent(a, {
    profile: profiles(a.lifetimes)[PROFILE[self.kind]],
    issuer,
    subject: caSubject(self.name),
    san: [],
    publicKey: self.publicKey,
    deviceId: null,
    appId: null,
    releaseId: null,
    secretId: null,
    requestLabel: '',
    requester: actor.id,
    ownerOrgId: null,
    issuerOrgId: a.authorityId,
  });
  const row = await recordOwnIntent(a, actor, intent);
  return finishIntent(a, actor, row, issuer, null);
}
