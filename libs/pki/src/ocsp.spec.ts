import { createHash, webcrypto } from 'node:crypto';
import { beforeAll, describe, expect, it } from '@jest/globals';
import * as asn1js from 'asn1js';
import * as pkijs from 'pkijs';
import { makeCertId, issuerHashes, type CertIdHash } from './cert-id.js';
import { der } from './der/write.js';
import { DerReader } from './der/read.js';
import { encodeExtension } from './extension.js';
import { OcspRequestError, readOcspRequest } from './ocsp-request.js';
import { readOcspResponse } from './ocsp-response-read.js';
import { assembleOcspResponse, type CertStatus, encodeOcspResponseData, ocspError } from './ocsp-response-write.js';
import { OID } from './oids.js';
import { signatureAlgorithm, signBytes, verifyBytes } from './signature.js';
import { authority, certify, extension } from './testing/chain.js';
import { generateKey, NOT_BEFORE, seededNumbers, secondsLater } from './testing/issuing.js';

const ca = certify(undefined, 'CA', { keys: generateKey('ec-p256'), extensions: authority() });
const device = certify(ca, 'device', { serial: '0100ab' });
const delegate = certify(ca, 'delegate', {
  keys: generateKey('ec-p256'),
  extensions: [extension(OID.extKeyUsage, der.sequence(der.oid(OID.ocspSigning)))],
});
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

const TIMES = { thisUpdate: NOT_BEFORE, nextUpdate: secondsLater(NOT_BEFORE, 86_400) };

function respond(statuses: CertStatus[], nonce?: Buffer, extendedRevoke = false): Buffer {
  const id = makeCertId('sha1', ca.certificate.subjectDer, ca.keys.publicKey, '0100ab');
  const data = encodeOcspResponseData({
    responderKeyId: delegate.keys.publicKey.keyId,
    producedAt: NOT_BEFORE,
    responses: statuses.map((status) => ({ certId: id, status, ...TIMES })),
    nonce,
    extendedRevoke,
  });
  const signature = signBytes('ec-p256', delegate.keys.privateKey, data);
  return assembleOcspResponse(data, signatureAlgorithm('ec-p256').der, signature, [delegate.certificate.der]);
}

function basicOf(response: Buffer): pkijs.BasicOCSPResponse {
  const outer = pkijs.OCSPResponse.fromBER(new Uint8Array(response));
  expect(Buffer.from(outer.toSchema().toBER()).equals(response)).toBe(true);
  expect(outer.responseBytes?.responseType).toBe(OID.ocspBasic);
  const octets = outer.responseBytes?.response.valueBlock.valueHexView as Uint8Array;
  return pkijs.BasicOCSPResponse.fromBER(octets as Uint8Array<ArrayBuffer>);
}

describe('an OCSP response', () => {
  it.each([
    ['good', { status: 'good' }, 0],
    ['revoked', { status: 'revoked', at: NOT_BEFORE, reason: 'keyCompromise' }, 1],
    ['held', { status: 'revoked', at: NOT_BEFORE, reason: 'certificateHold' }, 1],
    ['revoked without reason', { status: 'revoked', at: NOT_BEFORE, reason: 'unspecified' }, 1],
    ['unknown', { status: 'unknown' }, 2],
  ] as [string, CertStatus, number][])(
    'that says %s is verified and understood by pkijs (O20, O24, O33)',
    async (_, status, tag) => {
      const response = respond([status]);
      const basic = basicOf(response);
      expect(await basic.verify({ trustedCerts: [foreign(ca.certificate.der)] })).toBe(true);
      const answer = await basic.getCertificateStatus(foreign(device.certificate.der), foreign(ca.certificate.der));
      expect(answer).toEqual({ isForCertificate: true, status: tag });
      expect(readOcspResponse(response).responses[0]?.status).toEqual(status);
    },
  );

  it('reads back as it was written and verifies under the responder key only', () => {
    const nonce = Buffer.alloc(24, 8);
    const response = respond([{ status: 'good' }, { status: 'unknown' }], nonce);
    const read = readOcspResponse(response);
    expect(read).toMatchObject({ status: 'successful', producedAt: NOT_BEFORE });
    expect(read.responses.map((one) => [one.status.status, one.thisUpdate, one.nextUpdate])).toEqual([
      ['good', TIMES.thisUpdate, TIMES.nextUpdate],
      ['unknown', TIMES.thisUpdate, TIMES.nextUpdate],
    ]);
    expect(read.nonce?.equals(nonce)).toBe(true);
    expect(read.certificates.map((one) => one.equals(delegate.certificate.der))).toEqual([true]);
    const verify = (key: typeof ca.keys): boolean =>
      verifyBytes(read.signatureAlgorithmDer, key.publicKey.keyObject, read.data, read.signature);
    expect([verify(delegate.keys), verify(ca.keys)]).toEqual([true, false]);
  });

  it('echoes the CertID of the request byte for byte, hash and parameters included (O21)', () => {
    const bare = der.sequence(
      der.sequence(der.oid(OID.sha256)),
      ...Array.from({ length: 2 }, () => der.octetString(Buffer.alloc(32, 1))),
      der.integer(9),
    );
    const [asked] = readOcspRequest(ourRequest({ ids: [bare] })).certIds;
    if (asked === undefined) throw new Error('no CertID');
    const data = encodeOcspResponseData({
      responderKeyId: delegate.keys.publicKey.keyId,
      producedAt: NOT_BEFORE,
      responses: [{ certId: asked, status: { status: 'good' }, ...TIMES }],
      nonce: undefined,
    });
    expect(data.includes(bare)).toBe(true);
  });

  it('names the responder by SHA-1 of its key (O32), with times as GeneralizedTime in whole seconds (O30)', () => {
    const read = readOcspResponse(respond([{ status: 'good' }]));
    const { responderID } = basicOf(respond([{ status: 'good' }])).tbsResponseData;
    expect(Buffer.from((responderID as asn1js.OctetString).valueBlock.valueHexView)).toHaveLength(20);
    expect(read.responderKeyId?.equals(delegate.keys.publicKey.keyId)).toBe(true);
    const fields = DerReader.openSequence(read.data, 'ResponseData');
    fields.skip();
    expect(fields.peekElement().toString('latin1')).toContain('20300101000000Z');
    expect(fields.generalizedTime()).toEqual(NOT_BEFORE);
  });

  it('states extended revocation (O26) and archive cutoff (O29) where asked to', () => {
    const never: CertStatus = { status: 'revoked', at: new Date(0), reason: 'certificateHold' };
    const basic = basicOf(respond([never], undefined, true));
    expect(basic.tbsResponseData.responseExtensions?.map((one) => [one.extnID, one.critical])).toEqual([
      [OID.ocspExtendedRevoke, false],
    ]);
    expect(readOcspResponse(respond([never])).responses[0]?.status).toEqual(never);
    const certIdOf = makeCertId('sha1', ca.certificate.subjectDer, ca.keys.publicKey, '0100ab');
    const archiveCutoff = new Date('2025-01-01T00:00:00Z');
    const data = encodeOcspResponseData({
      responderKeyId: delegate.keys.publicKey.keyId,
      producedAt: NOT_BEFORE,
      responses: [{ certId: certIdOf, status: { status: 'good' }, ...TIMES, archiveCutoff }],
      nonce: undefined,
    });
    const whole = assembleOcspResponse(data, signatureAlgorithm('ec-p256').der, Buffer.alloc(64), []);
    expect(readOcspResponse(whole).responses[0]?.archiveCutoff).toEqual(archiveCutoff);
  });

  it('of an error has a status and nothing else (O20, O31)', () => {
    const codes = { malformedRequest: 1, internalError: 2, tryLater: 3, sigRequired: 5, unauthorized: 6 } as const;
    for (const [status, code] of Object.entries(codes)) {
      const error = ocspError(status as keyof typeof codes);
      expect(error.toString('hex')).toBe(`30030a010${code}`);
      expect(readOcspResponse(error)).toMatchObject({ status, responses: [], certificates: [] });
      const theirs = pkijs.OCSPResponse.fromBER(new Uint8Array(error));
      expect([theirs.responseStatus.valueBlock.valueDec, theirs.responseBytes]).toEqual([code, undefined]);
    }
  });
});
