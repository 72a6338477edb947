import { webcrypto } from 'node:crypto';
import { beforeAll, describe, expect, it } from '@jest/globals';
import type * as asn1js from 'asn1js';
import * as pkijs from 'pkijs';
import { makeCertId } from './cert-id.js';
import { DerReader } from './der/read.js';
import { der } from './der/write.js';
import { readOcspRequest } from './ocsp-request.js';
import { readOcspResponse } from './ocsp-response-read.js';
import { assembleOcspResponse, type CertStatus, encodeOcspResponseData, ocspError } from './ocsp-response-write.js';
import { OID } from './oids.js';
import { signatureAlgorithm, signBytes, verifyBytes } from './signature.js';
import { authority, certify, extension } from './testing/chain.js';
import { generateKey, NOT_BEFORE, secondsLater } from './testing/issuing.js';

/** pkijs verifies by the clock of the machine. */
const LIFE = { notBefore: new Date('2000-01-01T00:00:00Z'), notAfter: new Date('2099-12-31T23:59:59Z') };
const ca = certify(undefined, 'CA', { ...LIFE, keys: generateKey('ec-p256'), extensions: authority() });
const device = certify(ca, 'device', { ...LIFE, serial: '0100ab' });
const delegate = certify(ca, 'delegate', {
  ...LIFE,
  keys: generateKey('ec-p256'),
  extensions: [extension(OID.extKeyUsage, der.sequence(der.oid(OID.ocspSigning)))],
});
const foreign = (bytes: Buffer): pkijs.Certificate => pkijs.Certificate.fromBER(new Uint8Array(bytes));

beforeAll(() => {
  pkijs.setEngine('node', new pkijs.CryptoEngine({ name: 'node', crypto: webcrypto as never }));
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
    const request = der.sequence(der.sequence(der.sequence(der.sequence(bare))));
    const [asked] = readOcspRequest(request).certIds;
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
