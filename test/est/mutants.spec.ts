import { describe, expect, it } from '@jest/globals';
import { generateKeyPairSync } from 'node:crypto';
import {
  csrAttributesFor,
  readCmcControls,
  readCsrAttributes,
  readPkiData,
  readPkiResponse,
  encodePkiResponse,
} from '#est';
import { isAuthorityError } from '#kernel';
import {
  der,
  encodeAttribute,
  encodeCsr,
  OID,
  readCertReqMsg,
  readKeyRequest,
  readPublicKey,
  readSignedData,
  type CsrTemplate,
} from '#pki';
import {
  control,
  encodePkiData,
  identityProof,
  otherControls,
  popLink,
  signByNewKey,
  taggedPkcs10,
} from '../../libs/est/src/testing/cmc-client.js';
import { seededNumbers } from '../../libs/pki/src/testing/issuing.js';
import { mutateDer } from './der-mutants.js';

const SEED = 'touchmark-est-1';
const MUTANTS = 2_000;

const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const spki = pair.publicKey.export({ type: 'spki', format: 'der' });
const csr = (attributes: Buffer[] = []): Buffer => {
  const template: CsrTemplate = {
    subject: [[{ type: OID.commonName, value: 'dev' }]],
    publicKey: readPublicKey(spki),
    san: [{ type: 'uri', value: 'urn:uuid:6f1c2f0a-54d1-4c5e-9a55-0d6e8a3b9c11' }],
    attributes,
  };
  return encodeCsr(template, pair.privateKey);
};
const witness = popLink('secret', Buffer.alloc(64));
const requests = [taggedPkcs10(1, csr([encodeAttribute(OID.cmcPopLinkWitnessV2, witness)]))];
const pkiData = encodePkiData({
  requests,
  controls: [
    control(2, OID.cmcTransactionId, der.integer(1)),
    control(3, OID.cmcSenderNonce, der.octetString(Buffer.from('nonce'))),
    control(4, OID.cmcIdentification, der.utf8String('0123456789abcd')),
    identityProof(5, 'secret', '0123456789abcd', requests),
    control(6, OID.cmcRevokeRequest, der.sequence(der.sequence(), der.integer(5), der.enumerated(1))),
    ...otherControls(7),
  ],
  nested: [der.sequence(der.integer(20), der.sequence(der.oid(OID.signedData)))],
});
const keyRequest = csr([
  encodeAttribute(OID.decryptKeyIdentifier, der.octetString(Buffer.from('key'))),
  encodeAttribute(OID.smimeCapabilities, der.sequence(der.sequence(der.oid(OID.aes256Wrap)))),
]);
const crmfSpki = Buffer.from(spki);
crmfSpki[0] = 0xa6;
const crmf = der.sequence(
  der.sequence(
    der.integer(1),
    der.sequence(der.constructed(5, der.sequence()), crmfSpki),
    der.sequence(der.sequence(der.oid(OID.cmcPopLinkWitnessV2), witness)),
  ),
  der.constructed(1, der.sequence(der.oid(OID.ecdsaWithSha256)), der.bitString(Buffer.alloc(70, 1))),
);
const status = { status: 'failed', bodyList: [1], text: 'no', failInfo: 'badAlg', pending: undefined } as const;
const response = encodePkiResponse({
  statuses: [{ ...status, bodyList: [1] }],
  transactionId: der.integer(1),
  senderNonce: Buffer.of(1),
  recipientNonce: Buffer.of(2),
  dataReturn: Buffer.of(3),
});
const attributes = csrAttributesFor({
  keyTypes: ['rsa-3072'],
  keyUsage: ['digitalSignature'],
  eku: [OID.clientAuth],
  san: 'required',
  binding: true,
  names: { subject: [[{ type: OID.commonName, value: 'x' }]], san: [{ type: 'dns', value: 'x.example' }] },
}) as Buffer;

describe('mutants', () => {
  it.each<[string, Buffer, (mutant: Buffer) => unknown]>([
    ['a signed message', signByNewKey(pkiData, { spki, privateKey: pair.privateKey }), readSignedData],
    ['a full request', pkiData, (mutant) => readCmcControls(readPkiData(mutant))],
    ['a key request', keyRequest, readKeyRequest],
    ['a request in CRMF', crmf, (mutant) => readCertReqMsg(mutant)],
    ['CSR attributes', attributes, readCsrAttributes],
    ['a CMC response', response, readPkiResponse],
  ])(`of %s, ${MUTANTS} of them, are read or refused, and nothing else comes of any (Q03)`, (_, good, read) => {
    const below = seededNumbers(SEED);
    const outcomes = new Map<string, number>();
    for (let i = 0; i < MUTANTS; i++) {
      const mutant = mutateDer(good, below);
      let outcome = 'read';
      try {
        read(mutant);
      } catch (error) {
        outcome = isAuthorityError(error) ? error.kind : `escaped: ${String(error)} on ${mutant.toString('hex')}`;
      }
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
    expect([...outcomes.keys()].filter((one) => !['read', 'malformed', 'invalid', 'tooLarge'].includes(one))).toEqual(
      [],
    );
    expect(outcomes.get('malformed')).toBeGreaterThan(MUTANTS / 10);
  });
});
