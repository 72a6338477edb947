import { createPrivateKey, createPublicKey } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { currentProfile, renewServerCertificate, type AuthorityContext, type Issuer } from '#authority';
import { addSeconds, isAuthorityError, type Config } from '#kernel';
import { canonicalGeneralName, fromPem, readCertificate, toPem, type Certificate } from '#pki';
import { replaceFile } from './home.js';

export interface ServerTls {
  /** PEM. */
  key: string;
  /** Leaf, the CAs up to the root without it, and what links other roots to that one, PEM. */
  cert: string;
  notAfter: Date;
}

/**
 * The plane's certificate: the kept one while it fits, else a new one from our own issuing CA. It does not fit when it
 * nears its end, names other hosts, has another key, or another issuer.
 */
export async function currentServerTls(
  config: Config,
  authority: AuthorityContext,
  plane: 'api' | 'est',
  key: string,
): Promise<{ tls: ServerTls; renewed: boolean }> {
  const file = path.join(config.home, `tls-${plane}.pem`);
  const kept = await readFile(file, 'utf8').catch(() => undefined);
  const keptLeaf = kept === undefined ? undefined : readLeaf(kept);
  const keptTls = kept === undefined || !keptLeaf ? undefined : { key, cert: kept, notAfter: keptLeaf.notAfter };
  if (keptTls && keptLeaf && (await fits(config, authority, keptLeaf, key))) {
    const cert = await withPath(authority, keptLeaf);
    if (cert === undefined || cert === keptTls.cert) return { tls: keptTls, renewed: false };
    await replaceFile(file, cert, 0o644);
    return { tls: { ...keptTls, cert }, renewed: true };
  }
  const renewed = await renewServerCertificate(authority, {
    plane,
    privateKey: createPrivateKey(key),
    hostnames: config.hostnames,
  }).catch((error: unknown) => {
    // Whoever is to activate a CA must get in: the old certificate goes on, whatever it is worth.
    if (!isAuthorityError(error, 'unavailable') || error.code !== 'noActiveIssuer' || !keptTls) throw error;
    authority.log.error({ err: error }, 'ALARM: no CA is active; the server keeps its old certificate');
    return keptTls;
  });
  if (!('chain' in renewed)) return { tls: renewed, renewed: false };
  const { chain } = renewed;
  const cert = chain.map((der) => toPem('CERTIFICATE', der)).join('');
  await replaceFile(file, cert, 0o644);
  const { notAfter } = readCertificate(chain[0]!);
  return { tls: { key, cert, notAfter }, renewed: true };
}

async function fits(config: Config, authority: AuthorityContext, leaf: Certificate, key: string): Promise<boolean> {
  const issuers = (await authority.issuers.chain()).filter(({ kind }) => kind === 'issuing');
  const active = await serverIssuers(authority);
  const now = authority.clock.now();
  const spki = createPublicKey(createPrivateKey(key)).export({ type: 'spki', format: 'der' });
  const names = leaf.san.map(canonicalGeneralName);
  return (
    leaf.publicKey.spki.equals(spki) &&
    // Where no CA is active, a certificate of a retired one is better than none.
    (active.length > 0 ? active : issuers).some((one) => leaf.authorityKeyId?.equals(one.publicKey.keyId)) &&
    leaf.notAfter > addSeconds(now, config.lifetimes.serverCertificateRenew) &&
    names.length === config.hostnames.length &&
    config.hostnames.every((host) => names.some((name) => name.endsWith(`:${host.toLowerCase()}`)))
  );
}

/** The CA that issues to servers now; none while none is active. */
async function serverIssuers(authority: AuthorityContext): Promise<Issuer[]> {
  const { name, validitySeconds } = currentProfile(authority, 'tls-server');
  try {
    const wanted = { issuerOrgId: undefined, profile: name, validitySeconds };
    return [await authority.issuers.issuingFor(wanted, authority.clock.now())];
  } catch (error) {
    if (isAuthorityError(error, 'unavailable') && error.code === 'noActiveIssuer') return [];
    throw error;
  }
}

/** The kept leaf with what is sent behind it now: a root may have been linked to another one since. */
async function withPath(authority: AuthorityContext, leaf: Certificate): Promise<string | undefined> {
  const all = await authority.issuers.list();
  const issuer = all.find((one) => leaf.authorityKeyId?.equals(one.publicKey.keyId));
  if (issuer === undefined) return undefined;
  const path = await authority.issuers.pathOf(issuer, authority.clock.now());
  return [leaf.der, ...path].map((der) => toPem('CERTIFICATE', der)).join('');
}

function readLeaf(pem: string): Certificate | undefined {
  try {
    const [der] = fromPem(pem, 'CERTIFICATE');
    return der && readCertificate(der);
  } catch {
    // A file that cannot be read is one that does not fit: a new certificate replaces it.
    return undefined;
  }
}
