import { createHash, generateKeyPairSync } from 'node:crypto';
import { appendAudit } from '#audit';
import type { SealingKey } from '#credential';
import { addSeconds, wholeSecond } from '#kernel';
import { OID, readCertificate, readPublicKey } from '#pki';
import { ocspDelegateName, sealOcspDelegate } from '#status';
import { findArtifact, readLogHead, swapArtifact, type Artifact } from '#store';
import { systemActor, type AuthorityContext } from './context.js';
import { currentProfile } from './current-profile.js';
import { finishIntent, prepareIntent } from './issue.js';
import { recordOwnIntent } from './record-intent.js';
import type { Issuer } from './hierarchy.js';

/**
 * Makes a new OCSP signing key for the issuer's key, certifies it the way of every certificate and publishes it, sealed,
 * when there is none or the present one nears its end. True when it did. (RFC 6960 section 4.2.2.2)
 */
export async function renewOcspDelegate(
  a: AuthorityContext,
  issuer: Issuer,
  keys: { ocspKek: SealingKey },
): Promise<boolean> {
  const present = await a.database.transaction((tx) => findArtifact(tx, ocspDelegateName(issuer.id)));
  const renewBefore = addSeconds(a.clock.now(), a.lifetimes.ocspDelegateRenew);
  // One that ends with its CA is the last one.
  const { nextUpdate: end } = present ?? {};
  if (end && (end > renewBefore || end >= issuer.notAfter)) return false;
  const actor = systemActor(a, 'ocsp-delegate');
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const intent = prepareIntent(a, {
    profile: currentProfile(a, 'ocsp-responder'),
    issuer,
    subject: [
      [{ type: OID.organizationName, value: 'Touchmark' }],
      [{ type: OID.commonName, value: `${issuer.name} OCSP` }],
    ],
    san: [],
    publicKey: readPublicKey(pair.publicKey.export({ type: 'spki', format: 'der' })),
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
  const certificate = await finishIntent(a, actor, row, issuer, null);
  const privateKey = pair.privateKey.export({ type: 'pkcs8', format: 'der' });
  const bytes = sealOcspDelegate(keys.ocspKek, issuer.id, certificate, privateKey);
  privateKey.fill(0);
  return publish(a, issuer, present, bytes, certificate);
}

async function publish(
  a: AuthorityContext,
  issuer: Issuer,
  present: Artifact | undefined,
  bytes: Buffer,
  certificate: Buffer,
): Promise<boolean> {
  const actor = systemActor(a, 'ocsp-delegate');
  return a.database.transaction(async (tx) => {
    const head = await readLogHead(tx);
    const artifact: Artifact = {
      name: ocspDelegateName(issuer.id),
      mediaType: 'application/json',
      number: (present?.number ?? 0) + 1,
      seq: head.seq,
      thisUpdate: wholeSecond(a.clock.now()),
      nextUpdate: readCertificate(certificate).notAfter,
      sha256: createHash('sha256').update(bytes).digest(),
      bytes,
    };
    if (!(await swapArtifact(tx, artifact, present?.sha256 ?? null))) return false;
    await appendAudit(tx, {
      at: a.clock.now(),
      actor: actor.id,
      action: 'ocspDelegate.created',
      subject: `issuer:${issuer.id}`,
      outcome: 'success',
      requestId: actor.requestId,
      detail: { notAfter: artifact.nextUpdate?.toISOString() ?? null },
      issuerOrgId: a.authorityId,
    });
    return true;
  });
}
