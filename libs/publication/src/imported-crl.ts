import { createHash } from 'node:crypto';
import { isAuthorityError } from '#kernel';
import { readCrl, verifyCrl, type CertificateList } from '#pki';
import { findArtifact, findImportedCrls, readLogHead, swapArtifact, type Artifact, type Tx } from '#store';
import { CRL_MEDIA_TYPE, crlName } from './crl-scope.js';
import type { PublishedIssuer, Publisher } from './publisher.js';

/** Rows that somebody planted above the right one are passed over, this many. */
const LOOKED_AT = 10;

interface ImportedCrl {
  der: Buffer;
  number: number;
  thisUpdate: Date;
  nextUpdate: Date;
}

/**
 * Publishes the newest CRL that was brought in for a CA whose key is elsewhere, if it is newer than what stands published.
 * What counts is its issuer's signature, not the row. Returns how many were published.
 */
export async function publishImportedCrl(p: Publisher, issuer: PublishedIssuer): Promise<number> {
  const name = crlName(issuer.id, 'full');
  return p.database.transaction(async (tx) => {
    const newest = await findNewest(tx, p, issuer);
    const present = await findArtifact(tx, name);
    if (newest === undefined || (present !== undefined && present.number >= newest.number)) return 0;
    const { der, ...times } = newest;
    const artifact: Artifact = {
      ...times,
      name,
      mediaType: CRL_MEDIA_TYPE,
      seq: (await readLogHead(tx)).seq,
      sha256: createHash('sha256').update(der).digest(),
      bytes: der,
    };
    return (await swapArtifact(tx, artifact, present?.sha256 ?? null)) ? 1 : 0;
  });
}

async function findNewest(tx: Tx, p: Publisher, issuer: PublishedIssuer): Promise<ImportedCrl | undefined> {
  for await (const der of findImportedCrls(tx, issuer.id, LOOKED_AT)) {
    const crl = readSigned(der, issuer);
    if (crl?.nextUpdate !== undefined && crl.number !== undefined) {
      const { thisUpdate, nextUpdate } = crl;
      return { der, number: Number(crl.number), thisUpdate, nextUpdate };
    }
    p.log.error({ issuerId: issuer.id }, 'ALARM: an imported CRL was not signed by its issuer; passed over');
  }
  return undefined;
}

function readSigned(der: Buffer, issuer: PublishedIssuer): CertificateList | undefined {
  try {
    const crl = readCrl(der);
    return verifyCrl(crl, issuer.publicKey) && crl.issuerDer.equals(issuer.subjectDer) ? crl : undefined;
  } catch (error) {
    if (!isAuthorityError(error)) throw error;
    return undefined;
  }
}
