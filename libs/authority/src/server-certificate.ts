import { createPublicKey, type KeyObject } from 'node:crypto';
import { isIP } from 'node:net';
import { appendAudit } from '#audit';
import { OID, readPublicKey, type GeneralName } from '#pki';
import { scopeOf, systemActor, type AuthorityContext } from './context.js';
import { currentProfile } from './current-profile.js';
import { finishIntent, prepareIntent } from './issue.js';
import { recordOwnIntent } from './record-intent.js';

/**
 * A new certificate for one of our own TLS servers, by the way of every certificate. The plane keeps its key; only the
 * public half is certified. Returns the leaf and what is sent behind it, DER.
 */
export async function renewServerCertificate(
  a: AuthorityContext,
  request: { plane: 'api' | 'est'; privateKey: KeyObject; hostnames: readonly string[] },
): Promise<{ chain: Buffer[] }> {
  const profile = currentProfile(a, 'tls-server');
  const { name, validitySeconds } = profile;
  const now = a.clock.now();
  const issuer = await a.issuers.issuingFor({ issuerOrgId: undefined, profile: name, validitySeconds }, now);
  const actor = systemActor(a, 'server-certificate');
  const san = request.hostnames.map((name): GeneralName =>
    isIP(name) === 0 ? { type: 'dns', value: name.toLowerCase() } : { type: 'ip', value: name },
  );
  const intent = prepareIntent(a, {
    profile,
    issuer,
    subject: [[{ type: OID.commonName, value: (request.hostnames[0] ?? request.plane).slice(0, 64) }]],
    san,
    publicKey: readPublicKey(createPublicKey(request.privateKey).export({ type: 'spki', format: 'der' })),
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
  await a.database.transaction(
    (tx) =>
      appendAudit(tx, {
        at: a.clock.now(),
        actor: actor.id,
        action: 'serverCertificate.renewed',
        subject: `plane:${request.plane}`,
        outcome: 'success',
        requestId: actor.requestId,
        detail: { serial: intent.row.serial.toString('hex'), hostnames: [...request.hostnames] },
        issuerOrgId: a.authorityId,
      }),
    scopeOf(a, actor),
  );
  return { chain: [certificate, ...(await a.issuers.pathOf(issuer, now))] };
}
