import { AuthorityError } from '#kernel';
import { namesEqual, readCertificate, readPublicKey, type Certificate } from '#pki';
import { kindOf } from '#status';
import {
  insertImportedCrl,
  insertIssuer,
  insertIssuerLink,
  lockIssuers,
  newId,
  storeImportedCertificate,
  type IssuerRow,
  type StatusChange,
  type Tx,
} from '#store';
import { issuerAudit, issuerChange } from '../announce-issuer.js';
import type { StatusAudit } from '../change-status.js';
import { linkChange } from '../complete-ca.js';
import type { AuthorityContext } from '../context.js';
import { externalIssuerId, readExternalChain, requireGoodPath, type ExternalCa } from '../external-chain.js';
import type { Issuer } from '../hierarchy.js';
import { encodeTerms } from '../prepare-ca.js';
import { requestOf, requireRequested } from '../requested-ca.js';
import type { Operation } from './operation.js';

/** All DER, base64. `chain`: from whoever signed the certificate up to a root. `crls`: of each of these. */
export type IssuerImport = Readonly<{
  issuerId: string;
  certificate: string;
  chain: readonly string[];
  crls: readonly string[];
}>;

const invalid = (member: string, text: string): AuthorityError =>
  new AuthorityError('invalid', `${member}: ${text}`, { member });

/**
 * The certificate of a CA comes in that somebody else signed: for a key that waits for it, with the chain above it, which is
 * believed and published from then on and never signs here; or for a CA that has one already, as a link to a foreign root.
 */
export const importIssuer: Operation<IssuerImport> = {
  name: 'ca.import',
  permission: 'issuer:change',
  subject: ({ issuerId }) => `issuer:${issuerId}`,

  async check(tx, a, _actor, wish) {
    await lockIssuers(tx);
    const certificate = decode('certificate', wish.certificate);
    const known = await a.issuers.find(wish.issuerId);
    if (known !== undefined) return checkLink(a, known, certificate, wish);
    const row = await requireRequested(tx, wish.issuerId);
    checkOwn(row, certificate);
    requireGoodPath(a, certificate, readExternalChain(a, wish.chain, wish.crls));
  },

  /** The signer proves that it holds the key, whatever the row says. */
  async prepare(a, wish): Promise<undefined> {
    if ((await a.issuers.find(wish.issuerId)) !== undefined) return;
    const row = await a.database.transaction((tx) => requireRequested(tx, wish.issuerId));
    await requestOf(a, row);
  },

  async execute(tx, a, _actor, wish, { at }) {
    const certificate = decode('certificate', wish.certificate);
    const known = await a.issuers.find(wish.issuerId);
    if (known !== undefined) return storeLink(tx, a, known, certificate, at);
    const row = await requireRequested(tx, wish.issuerId);
    const external = readExternalChain(a, wish.chain, wish.crls);
    const fresh: StatusChange[] = [];
    for (const one of external) fresh.push(...(await storeExternal(tx, a, row, one, at)));
    await storeImportedCertificate(tx, row.id, certificate.der, certificate.notAfter);
    const announced = { id: row.id, certificate: certificate.der, termsBytes: row.terms };
    const root = external.at(-1)!.certificate.sha256.toString('hex');
    return {
      audits: [imported(a, row.id, certificate, { name: row.name, root })],
      changes: [...fresh, issuerChange(announced, 'retired', at)],
      result: { issuerId: row.id, status: 'retired' },
    };
  },
};

function decode(member: string, base64: string): Certificate {
  const certificate = readCertificate(Buffer.from(base64, 'base64'));
  if (certificate.basicConstraints?.ca !== true) throw invalid(member, 'it is not that of a CA');
  return certificate;
}

function checkOwn(row: IssuerRow, certificate: Certificate): void {
  if (!certificate.publicKey.spki.equals(row.spki)) throw invalid('certificate', 'it is for another key');
  if (!namesEqual(certificate.subjectDer, row.subjectDer)) throw invalid('certificate', 'it has another subject');
  if (kindOf(certificate) !== row.kind) {
    const wanted = row.kind === 'issuing' ? 'path length 0' : 'a path length above 0, or none';
    throw invalid('certificate', `a CA of kind ${row.kind} has ${wanted}`);
  }
}

async function checkLink(
  a: AuthorityContext,
  known: Issuer,
  certificate: Certificate,
  wish: IssuerImport,
): Promise<void> {
  if (!certificate.publicKey.spki.equals(known.publicKey.spki)) throw invalid('certificate', 'it is for another key');
  if (!certificate.subjectDer.equals(known.subjectDer)) throw invalid('certificate', 'it has another subject');
  if (certificate.der.equals(known.certificate)) {
    throw new AuthorityError('conflict', 'the CA has this certificate already');
  }
  await checkPathLength(a, known, certificate);
  requireGoodPath(a, certificate, readExternalChain(a, wish.chain, wish.crls));
}

/** Less would cut off what stands under it, more would let it certify what its own certificate forbids. */
async function checkPathLength(a: AuthorityContext, known: Issuer, { basicConstraints }: Certificate): Promise<void> {
  const pathLen = basicConstraints?.pathLen;
  const under = (await a.issuers.list()).map(({ above }) => above.findIndex(({ id }) => id === known.id) + 1);
  const deepest = Math.max(0, ...under);
  const fits = known.pathLen === undefined ? pathLen === undefined || pathLen >= deepest : pathLen === known.pathLen;
  if (fits) return;
  const wanted = known.pathLen ?? `none, or at least ${deepest}`;
  throw invalid('certificate', `its path length must be that of the CA: ${wanted}`);
}

/** Nothing for one that is known already, from another CA under it. */
async function storeExternal(
  tx: Tx,
  a: AuthorityContext,
  below: IssuerRow,
  { certificate, crl }: ExternalCa,
  at: Date,
): Promise<StatusChange[]> {
  const id = externalIssuerId(certificate.publicKey);
  const known = await a.issuers.find(id);
  if (known !== undefined && !known.certificate.equals(certificate.der)) {
    throw new AuthorityError('conflict', `another certificate of the key of ${known.name} is known already`);
  }
  await insertCrl(
    tx,
    id,
    crl,
    known === undefined ? async () => insertIssuer(tx, rowOf(id, certificate, below)) : undefined,
  );
  if (known !== undefined) return [];
  const terms = encodeTerms({ external: true });
  return [issuerChange({ id, certificate: certificate.der, termsBytes: terms }, 'active', at)];
}

async function insertCrl(
  tx: Tx,
  issuerId: string,
  crl: ExternalCa['crl'],
  before: (() => Promise<void>) | undefined,
): Promise<void> {
  await before?.();
  await insertImportedCrl(tx, issuerId, crl.number, crl.der);
}

function rowOf(id: string, certificate: Certificate, below: IssuerRow): IssuerRow {
  const common = certificate.subject.flat().at(-1)?.value ?? '';
  return {
    ...{ id, kind: kindOf(certificate), parentId: null, name: common.slice(0, 200), caKeyId: null },
    ...{ subjectDer: certificate.subjectDer, spki: certificate.publicKey.spki, certificate: certificate.der },
    ...{ statusUrl: below.statusUrl, shards: 1, notAfter: certificate.notAfter },
    terms: encodeTerms({ external: true }),
  };
}

async function storeLink(tx: Tx, a: AuthorityContext, known: Issuer, certificate: Certificate, at: Date) {
  const { der, publicKey } = certificate;
  const id = newId(a.clock);
  const link = { id, form: 'cross' as const, subjectIssuerId: known.id, issuerId: null, name: known.name };
  await insertIssuerLink(tx, { ...link, spkiSha256: readPublicKey(publicKey.spki).sha256, certificate: der });
  return {
    audits: [imported(a, known.id, certificate, { name: known.name, linkId: id })],
    changes: [linkChange(id, der, at)],
    result: { issuerId: known.id, linkId: id },
  };
}

const imported = (
  a: AuthorityContext,
  id: string,
  certificate: Certificate,
  detail: Readonly<Record<string, string>>,
): StatusAudit => issuerAudit(a, 'ca.imported', { id }, { ...detail, certificate: certificate.sha256.toString('hex') });
