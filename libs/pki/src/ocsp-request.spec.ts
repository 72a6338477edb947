import { createHash, webcrypto } from 'node:crypto';
import { beforeAll, describe, expect, it } from '@jest/globals';
import * as asn1js from 'asn1js';
import * as pkijs from 'pkijs';
import { type CertIdHash, issuerHashes, makeCertId } from './cert-id.js';
import { der } from './der/write.js';
import { encodeExtension } from './extension.js';
import { OcspRequestError, readOcspRequest } from './ocsp-request.js';
import { OID } from './oids.js';
import { authority, certify } from './testing/chain.js';
import { generateKey, seededNumbers } from './testing/issuing.js';

const ca = certify(undefined, 'CA', { keys: generateKey('ec-p256'), extensions: authority() });
const device = certify(ca, 'device', { serial: '0100ab' });
const foreign = (bytes: Buffer): pkijs.Certificate => pkijs.Certificate.fromBER(new Uint8Array(bytes));
const HASHES = { sha1: 'SHA-1', sha256: 'SHA-256', sha384: 'SHA-384', sha512: 'SHA-512' } as const;

beforeAll(() => {
  pkijs.setEngine('node', new pkijs.CryptoEngine({ name: 'node', crypto: webcrypto as never }));
});

async function theirRequest(hash: CertIdHash, nonce?: Buffer): Promise<Buffer> {
  const request = new pkijs.OCSPRequest();
  await request.createForCertificate(foreign(device.certificate.der), {
    hashAlgorithm: HASHES[hash],
    issuerCertificate: foreign(ca.certificate.der),
  });
  if (nonce !== undefined) {
    const extnValue = new asn1js.OctetString({ valueHex: new Uint8Array(nonce) }).toBER();
    request.tbsRequest.requestExtensions = [new pkijs.Extension({ extnID: OID.ocspNonce, extnValue })];
  }
  return Buffer.from(request.toSchema(true).toBER());
}

interface RequestParts {
  ids?: Buffer[];
  version?: number;
  singleExtensions?: Buffer[];
  extensions?: Buffer[];
  signature?: Buffer;
}

const certId = (serial = '0100ab'): Buffer =>
  makeCertId('sha256', ca.certificate.subjectDer, ca.keys.publicKey, serial).der;

function ourRequest(parts: RequestParts): Buffer {
  const { ids = [certId()], version, singleExtensions, extensions, signature } = parts;
  const wrap = (number: number, list: Buffer[] | undefined): Buffer[] =>
    list === undefined ? [] : [der.constructed(number, der.sequence(...list))];
  const tbs = der.sequence(
    ...(version === undefined ? [] : [der.constructed(0, der.integer(version))]),
    der.sequence(...ids.map((id) => der.sequence(id, ...wrap(0, singleExtensions)))),
    ...wrap(2, extensions),
  );
  return der.sequence(tbs, ...(signature === undefined ? [] : [der.constructed(0, signature)]));
}

const ext = (oid: string, value: Buffer, critical = false): Buffer => encodeExtension({ oid, critical, value });
const nonceOf = (octets: number): Buffer => ext(OID.ocspNonce, der.octetString(Buffer.alloc(octets, 7)));

function statusOf(bytes: Buffer): string {
  try {
    readOcspRequest(bytes);
    return 'read';
  } catch (error) {
    if (error instanceof OcspRequestError) return error.status;
    throw error;
  }
}

describe('an OCSP request', () => {
  it.each(Object.keys(HASHES) as CertIdHash[])(
    'of pkijs with %s is read, and its CertID is ours (O22, O23)',
    async (hash) => {
      const nonce = Buffer.alloc(32, 5);
      const request = readOcspRequest(await theirRequest(hash, nonce));
      const mine = makeCertId(hash, ca.certificate.subjectDer, ca.keys.publicKey, '0100ab');
      expect(request.certIds).toHaveLength(1);
      expect(request.certIds[0]).toMatchObject({ hash, serial: '0100ab' });
      expect(request.certIds[0]?.issuerNameHash.equals(mine.issuerNameHash)).toBe(true);
      expect(request.certIds[0]?.issuerKeyHash.equals(mine.issuerKeyHash)).toBe(true);
      expect(request.nonce?.equals(nonce)).toBe(true);
      expect(request.signed).toBe(false);
    },
  );

  it('of pkijs that is signed is read as signed, whatever the signature (O39, OX17)', async () => {
    const pair = await webcrypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign']);
    const request = pkijs.OCSPRequest.fromBER(new Uint8Array(await theirRequest('sha1')));
    request.tbsRequest.requestorName = new pkijs.GeneralName({ type: 2, value: 'client.example.org' });
    request.optionalSignature = new pkijs.Signature();
    await request.sign(pair.privateKey as never, 'SHA-256');
    expect(readOcspRequest(Buffer.from(request.toSchema(true).toBER())).signed).toBe(true);
  });

  it('hashes the issuer key as its bits alone (O23)', () => {
    const bits = ca.keys.publicKey.keyObject.export({ format: 'jwk' });
    const point = Buffer.concat([
      Buffer.of(4),
      Buffer.from(bits.x as string, 'base64url'),
      Buffer.from(bits.y as string, 'base64url'),
    ]);
    const { keyHash } = issuerHashes(ca.certificate.subjectDer, ca.keys.publicKey, 'sha1');
    expect(keyHash.equals(createHash('sha1').update(point).digest())).toBe(true);
  });

  it('that is empty, truncated, not DER or longer than itself is malformed (OX01, OX02, OX03)', () => {
    const good = ourRequest({});
    expect(statusOf(Buffer.alloc(0))).toBe('malformedRequest');
    for (let length = 1; length < good.length; length++) {
      expect(statusOf(good.subarray(0, length))).toBe('malformedRequest');
    }
    expect(statusOf(Buffer.concat([good, Buffer.of(0)]))).toBe('malformedRequest');
    const indefinite = Buffer.concat([Buffer.from([0x30, 0x80]), good.subarray(2), Buffer.alloc(2)]);
    expect(statusOf(indefinite)).toBe('malformedRequest');
  });

  it('without entries is malformed (OX06), as is one of another version (OX07)', () => {
    expect(statusOf(ourRequest({ ids: [] }))).toBe('malformedRequest');
    expect(statusOf(ourRequest({ version: 1 }))).toBe('malformedRequest');
    expect(statusOf(ourRequest({ version: 0 }))).toBe('read');
  });

  it('with an unknown hash is unauthorized (OX08), with hashes of the wrong length malformed (OX09)', () => {
    const id = (oid: string, octets: number): Buffer => {
      const hash = der.octetString(Buffer.alloc(octets));
      return der.sequence(der.sequence(der.oid(oid), der.null()), hash, hash, der.integer(5));
    };
    expect(statusOf(ourRequest({ ids: [id('1.2.840.113549.2.5', 16)] }))).toBe('unauthorized');
    expect(statusOf(ourRequest({ ids: [certId(), id('1.2.840.113549.2.5', 16)] }))).toBe('unauthorized');
    expect(statusOf(ourRequest({ ids: [id(OID.sha256, 20)] }))).toBe('malformedRequest');
    expect(statusOf(ourRequest({ ids: [id(OID.sha1, 20)] }))).toBe('read');
  });

  it.each(['ff', '00', `01${'00'.repeat(20)}`, `7f${'ee'.repeat(200)}`])('passes odd serial %s on (OX10)', (serial) => {
    expect(readOcspRequest(ourRequest({ ids: [certId(serial)] })).certIds[0]?.serial).toBe(serial);
  });

  it('takes nonces of 1 to 128 octets inside an OCTET STRING and no others (O37, OX11)', () => {
    for (const octets of [1, 15, 16, 32, 33, 128]) {
      expect(readOcspRequest(ourRequest({ extensions: [nonceOf(octets)] })).nonce).toHaveLength(octets);
    }
    for (const octets of [0, 129])
      expect(statusOf(ourRequest({ extensions: [nonceOf(octets)] }))).toBe('malformedRequest');
    expect(statusOf(ourRequest({ extensions: [ext(OID.ocspNonce, Buffer.alloc(16, 9))] }))).toBe('malformedRequest');
  });

  it('with an extension twice (OX12) or an unknown critical one (OX13) is malformed, unknown others are ignored (O39)', () => {
    const unknown = (critical: boolean): Buffer => ext('1.2.3.4', der.null(), critical);
    expect(statusOf(ourRequest({ extensions: [nonceOf(16), nonceOf(16)] }))).toBe('malformedRequest');
    expect(statusOf(ourRequest({ extensions: [unknown(true)] }))).toBe('malformedRequest');
    expect(statusOf(ourRequest({ singleExtensions: [unknown(true)] }))).toBe('malformedRequest');
    expect(statusOf(ourRequest({ extensions: [unknown(false)], singleExtensions: [unknown(false)] }))).toBe('read');
    expect(statusOf(ourRequest({ extensions: [] }))).toBe('malformedRequest');
  });

  it('asks for at most 32 certificates (OX16, O40)', () => {
    const ids = Array.from({ length: 33 }, (_, i) => certId(`01${(16 + i).toString(16)}`));
    expect(readOcspRequest(ourRequest({ ids: ids.slice(1) })).certIds).toHaveLength(32);
    expect(statusOf(ourRequest({ ids }))).toBe('malformedRequest');
  });

  it('that does not accept basic responses is unauthorized (OX22)', () => {
    const accepts = (...oids: string[]): Buffer => ext(OID.ocspAcceptableResponses, der.sequence(...oids.map(der.oid)));
    expect(statusOf(ourRequest({ extensions: [accepts('1.2.3.4')] }))).toBe('unauthorized');
    expect(statusOf(ourRequest({ extensions: [accepts('1.2.3.4', OID.ocspBasic)] }))).toBe('read');
  });

  it('mutated 8,000 times gives a reading or an OcspRequestError, nothing else (seed ocsp-1)', async () => {
    const good = [await theirRequest('sha1', Buffer.alloc(16, 3)), ourRequest({ extensions: [nonceOf(32)] })];
    const next = seededNumbers('ocsp-1');
    const seen = { read: 0, malformedRequest: 0, unauthorized: 0 } as Record<string, number>;
    for (let i = 0; i < 8000; i++) {
      const mutant = Buffer.from(good[i % 2] as Buffer);
      for (let flips = 1 + next(3); flips > 0; flips--) mutant[next(mutant.length)] = next(256);
      const status = statusOf(next(10) === 0 ? mutant.subarray(0, next(mutant.length)) : mutant);
      seen[status] = (seen[status] ?? 0) + 1;
    }
    expect(Object.keys(seen).sort()).toEqual(['malformedRequest', 'read', 'unauthorized']);
    expect(seen['malformedRequest']).toBeGreaterThan(2000);
  });
});
