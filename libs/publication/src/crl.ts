import { createHash } from 'node:crypto';
import { appendAudit } from '#audit';
import { crlUri } from '#authority';
import { addSeconds, AuthorityError, isAuthorityError, wholeSecond } from '#kernel';
import { assembleCrl, CrlTbsWriter, signatureAlgorithm, type CrlEntry, type CrlTemplateHead } from '#pki';
import {
  findArtifact,
  findPublished,
  markDone,
  newestChangeOfIssuer,
  newId,
  nextCrlNumber,
  readLogHead,
  streamRevoked,
  swapArtifact,
  type Artifact,
  type RevokedRow,
  type Tx,
} from '#store';
import { checkAgainstLast } from './crl-gate.js';
import { publishImportedCrl } from './imported-crl.js';
import {
  CRL_MEDIA_TYPE,
  crlLifetime,
  crlName,
  crlReason,
  crlRebuildAge,
  crlScopes,
  type CrlScope,
} from './crl-scope.js';
import { PUBLISHER_ACTOR, type PublishedIssuer, type Publisher } from './publisher.js';

export interface PublishedCrl {
  number: number;
  /** Up to which row of status_changes it speaks. */
  seq: number;
  entries: number;
  /** Size of the DER. */
  bytes: number;
}

/** A CRL that is signed and not yet published. */
interface StagedCrl extends PublishedCrl {
  head: CrlTemplateHead;
  der: Buffer;
  previous: Artifact | undefined;
  endedBefore: Date;
}

/** Publishers that meet at one scope give way this often; each time another one got through. */
const ATTEMPTS = 5;

/**
 * Publishes the CRL of one scope anew: number, snapshot, signature, gate, swap. What stands published stays whenever a
 * step fails; a number is used at most once, so that numbers may have gaps and never repeat (RFC 5280 section 5.2.3).
 * Where another publisher was faster with at least as much, its CRL is the answer. Throws `internal`, code `crlRefused`,
 * after an audit entry, when the gate refuses the new CRL; `unavailable` when database, signer or status log is.
 */
export async function publishCrl(p: Publisher, issuer: PublishedIssuer, scope: CrlScope): Promise<PublishedCrl> {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const number = await p.database.transaction((tx) => nextCrlNumber(tx, issuer.id, String(scope)));
    const staged = await stage(p, issuer, scope, number);
    await passGate(p, issuer, scope, staged);
    const published = await swap(p, issuer, scope, staged);
    if (published !== undefined) return published;
  }
  throw new AuthorityError('unavailable', 'other publishers were faster each time; the CRL is published again later', {
    retryAfter: 1,
  });
}

/**
 * Publishes those CRLs of an issuer that lack a change or are older than their rebuild age, and leaves the others alone:
 * a job that runs twice does nothing the second time. What was wanted until now is done then. Returns how many were
 * published.
 */
export async function publishNeededCrls(p: Publisher, issuer: PublishedIssuer): Promise<number> {
  if (issuer.caKeyId === null) return publishImportedCrl(p, issuer);
  const { seq: wanted } = await p.database.transaction(readLogHead);
  let count = 0;
  for (const scope of crlScopes(issuer)) {
    if (!(await isCrlNeeded(p, issuer, scope))) continue;
    await publishCrl(p, issuer, scope);
    count++;
  }
  await p.database.transaction((tx) => markDone(tx, 'crl.wanted', issuer.id, wanted));
  return count;
}

async function isCrlNeeded(p: Publisher, issuer: PublishedIssuer, scope: CrlScope): Promise<boolean> {
  return p.database.transaction(async (tx) => {
    const published = await findPublished(tx, crlName(issuer.id, scope));
    if (published === undefined) return true;
    const rebuildAt = addSeconds(published.thisUpdate, crlRebuildAge(issuer, p.lifetimes));
    if (p.clock.now() >= rebuildAt) return true;
    // Read after it, the log is never behind what is published; a row that says so would hide every change to come.
    const { seq: head } = await readLogHead(tx);
    if (published.seq > head) {
      p.log.error(
        { issuerId: issuer.id, scope, seq: published.seq, head },
        'ALARM: a published CRL claims changes beyond the end of the status log; it is published anew',
      );
      return true;
    }
    return (await newestChangeOfIssuer(tx, issuer.id, scope === 'full' ? null : scope)) > published.seq;
  });
}

/** Reads log, revoked set and last CRL in one snapshot of the primary and signs what follows from them. */
async function stage(p: Publisher, issuer: PublishedIssuer, scope: CrlScope, number: number): Promise<StagedCrl> {
  const { caKeyId: keyId } = issuer;
  if (keyId === null) throw new AuthorityError('internal', 'the key of this CA is not here; its CRL is brought in');
  const name = crlName(issuer.id, scope);
  const { writer, head, seq, previous, endedBefore } = await p.database.transaction(
    async (tx) => {
      const log = await readLogHead(tx);
      const last = await findArtifact(tx, name);
      const template = headOf(p, issuer, scope, number);
      // An ended certificate leaves once a CRL made after its end has listed it (C14).
      const ended = last?.thisUpdate ?? new Date(0);
      const list = await writeRevoked(tx, issuer, scope, template, ended);
      return { writer: list, head: template, seq: log.seq, previous: last, endedBefore: ended };
    },
    { snapshot: true },
  );
  const tbs = writer.finish();
  const signature = await p.signer.sign({
    purpose: 'crl',
    keyId,
    subject: { artifactId: name },
    message: tbs,
  });
  const der = assembleCrl(tbs, signatureAlgorithm(issuer.publicKey.keyType).der, signature);
  return { number, seq, entries: writer.count, bytes: der.length, head, der, previous, endedBefore };
}

function headOf(p: Publisher, issuer: PublishedIssuer, scope: CrlScope, number: number): CrlTemplateHead {
  const thisUpdate = wholeSecond(p.clock.now());
  const { keyId, keyType } = issuer.publicKey;
  return {
    issuer: { subjectDer: issuer.subjectDer, keyId, keyType },
    number: BigInt(number),
    thisUpdate,
    nextUpdate: addSeconds(thisUpdate, crlLifetime(issuer, p.lifetimes)),
    distributionPoint: scope === 'full' ? undefined : crlUri(issuer, scope),
  };
}

/** Each batch of the cursor is written while the next one is under way: other work of the process goes on in between. */
async function writeRevoked(
  tx: Tx,
  issuer: PublishedIssuer,
  scope: CrlScope,
  head: CrlTemplateHead,
  endedBefore: Date,
): Promise<CrlTbsWriter> {
  const writer = new CrlTbsWriter(head);
  const wanted = { issuerId: issuer.id, shard: scope === 'full' ? null : scope, endedBefore };
  for await (const rows of streamRevoked(tx, wanted)) {
    for (const row of rows) writer.add(entryOf(row));
  }
  return writer;
}

function entryOf(row: RevokedRow): CrlEntry {
  return {
    serial: row.serial.toString('hex'),
    revokedAt: row.revokedAt,
    reason: crlReason(row.reason),
    invalidityDate: row.invalidityDate ?? undefined,
  };
}

async function passGate(p: Publisher, issuer: PublishedIssuer, scope: CrlScope, staged: StagedCrl): Promise<void> {
  try {
    await checkAgainstLast(p, issuer, staged);
  } catch (error) {
    if (!isAuthorityError(error) || error.code !== 'crlRefused') throw error;
    p.log.error(
      { issuerId: issuer.id, scope, number: staged.number, problem: error.detail },
      'ALARM: a new CRL was refused; the last one stays published',
    );
    await p.database.transaction((tx) => audit(tx, p, issuer, scope, staged, error.detail));
    throw error;
  }
}

/** One transaction makes it public and done. undefined: another publisher came in between with less than this one has. */
async function swap(
  p: Publisher,
  issuer: PublishedIssuer,
  scope: CrlScope,
  staged: StagedCrl,
): Promise<PublishedCrl | undefined> {
  const artifact: Artifact = {
    name: crlName(issuer.id, scope),
    mediaType: CRL_MEDIA_TYPE,
    number: staged.number,
    seq: staged.seq,
    thisUpdate: staged.head.thisUpdate,
    nextUpdate: staged.head.nextUpdate,
    sha256: createHash('sha256').update(staged.der).digest(),
    bytes: staged.der,
  };
  const { number, seq, entries, bytes } = staged;
  return p.database.transaction(async (tx) => {
    if (await swapArtifact(tx, artifact, staged.previous?.sha256 ?? null)) {
      await audit(tx, p, issuer, scope, staged, undefined);
      return { number, seq, entries, bytes };
    }
    const other = await findArtifact(tx, artifact.name);
    if (staged.previous !== undefined && other?.sha256.equals(staged.previous.sha256) === true) {
      throw new AuthorityError('internal', 'nobody else published, and yet the new CRL does not follow the last one', {
        code: 'crlRefused',
      });
    }
    if (other === undefined || other.seq < seq) return undefined;
    return { number: other.number, seq: other.seq, entries, bytes: other.bytes.length };
  });
}

async function audit(
  tx: Tx,
  p: Publisher,
  issuer: PublishedIssuer,
  scope: CrlScope,
  staged: StagedCrl,
  problem: string | undefined,
): Promise<void> {
  const { number, seq, entries, bytes } = staged;
  await appendAudit(tx, {
    at: p.clock.now(),
    actor: PUBLISHER_ACTOR,
    action: 'crl.published',
    subject: `issuer:${issuer.id}`,
    outcome: problem === undefined ? 'success' : 'failed',
    requestId: newId(p.clock),
    detail: { scope: String(scope), number, seq, entries, bytes, problem },
  });
}
