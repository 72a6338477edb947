import { describe, expect, it } from '@jest/globals';
import { AuthorityError, ERROR_KINDS } from '#kernel';
import { der, OID } from '#pki';
import { control, encodePkiData, identityProof, popLink, taggedPkcs10 } from '../testing/cmc-client.js';
import { readCmcControls } from './controls.js';
import { failInfoOf } from './fail-info.js';
import { readPkiData } from './pki-data.js';
import { encodePkiResponse, readPkiResponse, type PkiResponse } from './pki-response.js';
import { checkIdentityProof, checkPopLink } from './witness.js';

const CSR = der.sequence(der.null());
const malformed = expect.objectContaining({ kind: 'malformed' });

describe('PKIData', () => {
  it('gives requests and controls with their body parts', () => {
    const crmf = der.constructed(1, der.sequence(der.integer(9), der.sequence()));
    const data = readPkiData(
      encodePkiData({
        requests: [taggedPkcs10(2, CSR), crmf],
        controls: [control(1, OID.cmcTransactionId, der.integer(77))],
      }),
    );
    expect(data.requests).toEqual([
      { bodyPartId: 2, form: 'pkcs10', der: CSR },
      { bodyPartId: 9, form: 'crmf', der: crmf },
    ]);
    expect(data.reqSequence).toEqual(der.sequence(taggedPkcs10(2, CSR), crmf));
    expect(readCmcControls(data).transactionId).toEqual(der.integer(77));
  });

  const many = (count: number) => Array.from({ length: count }, (_, at) => taggedPkcs10(at + 1, CSR));
  const nested = (count: number) =>
    Array.from({ length: count }, (_, at) => der.sequence(der.integer(at + 1), der.sequence()));
  it.each<[string, Buffer]>([
    ['a body part twice', encodePkiData({ requests: [taggedPkcs10(1, CSR), taggedPkcs10(1, CSR)] })],
    ['body part 0', encodePkiData({ requests: [taggedPkcs10(0, CSR)] })],
    ['body part 2^32', encodePkiData({ requests: [taggedPkcs10(2 ** 32, CSR)] })],
    ['17 requests', encodePkiData({ requests: many(17) })],
    ['a request that is none', encodePkiData({ requests: [der.constructed(3, der.integer(1))] })],
    ['a nested message without an id', encodePkiData({ nested: [der.null()] })],
    ['17 nested messages', encodePkiData({ nested: nested(17) })],
    [
      'a nested message with the id of a request',
      encodePkiData({ requests: [taggedPkcs10(1, CSR)], nested: nested(1) }),
    ],
    ['a part missing', der.sequence(der.sequence(), der.sequence(), der.sequence())],
    ['octets behind its end', Buffer.concat([encodePkiData({}), Buffer.of(0)])],
  ])('with %s is malformed', (_, bytes) => {
    expect(() => readPkiData(bytes)).toThrow(malformed);
  });

  it('passes over nested messages that nothing refers to, and names requests of other forms', () => {
    const orm = der.constructed(2, der.integer(20), der.oid('1.2.3'), der.null());
    expect(readPkiData(encodePkiData({ requests: [orm], nested: nested(2) }))).toMatchObject({
      requests: [],
      otherRequests: [20],
    });
  });

  it('of 16 requests is read', () => {
    expect(readPkiData(encodePkiData({ requests: many(16) })).requests).toHaveLength(16);
  });
});

describe('controls', () => {
  const read = (...controls: ReturnType<typeof control>[]) => readCmcControls(readPkiData(encodePkiData({ controls })));

  it('are read each by its kind, what nobody knows by its body part', () => {
    const revocation = der.sequence(der.sequence(), der.integer(0x1234), der.enumerated(4));
    const found = read(
      control(1, OID.cmcSenderNonce, der.octetString(Buffer.from('nonce'))),
      control(2, OID.cmcIdentification, der.utf8String('device')),
      control(3, OID.cmcRevokeRequest, revocation),
      control(4, '1.3.6.1.5.5.7.7.99', der.null()),
      control(5, OID.cmcRegInfo, der.octetString(Buffer.alloc(0))),
    );
    expect(found).toMatchObject({
      senderNonce: Buffer.from('nonce'),
      identification: 'device',
      revocations: [{ bodyPartId: 3, issuerDer: der.sequence(), serial: '1234', reason: 4 }],
      unknown: [4],
    });
  });

  it('revoke at most 16 certificates, in one control or several', () => {
    const one = der.sequence(der.sequence(), der.integer(1), der.enumerated(4));
    const many = (id: number, count: number) =>
      control(id, OID.cmcRevokeRequest, ...Array.from({ length: count }, () => one));
    expect(read(many(1, 8), many(2, 8)).revocations).toHaveLength(16);
    expect(() => read(many(1, 17))).toThrow(malformed);
    expect(() => read(many(1, 8), many(2, 9))).toThrow(malformed);
  });

  it('that ask for more are read: queries, confirmations, what an RA has done', () => {
    const token = der.octetString(Buffer.from('token'));
    const found = read(
      control(1, OID.cmcQueryPending, token),
      control(2, OID.cmcQueryPending, token),
      control(3, OID.cmcConfirmCertAcceptance, der.sequence(der.sequence(), der.integer(5))),
      control(4, OID.cmcLraPopWitness, der.sequence(der.integer(0), der.sequence(der.integer(9)))),
      control(5, OID.cmcRaIdentityWitness, der.sequence(der.integer(9))),
      control(6, OID.cmcControlProcessed, der.sequence(der.sequence(der.integer(7), der.sequence(der.integer(8))))),
      control(7, '1.2.3', der.null()),
      control(8, OID.cmcAddExtensions, der.null()),
      control(10, OID.cmcDataReturn, der.octetString(Buffer.from('state'))),
    );
    expect(found).toMatchObject({
      queries: [{ bodyPartId: 1, token: Buffer.from('token') }, { bodyPartId: 2 }],
      acceptances: [{ bodyPartId: 3, serial: '05' }],
      popByRa: [{ bodyPartId: 4, requests: [9] }],
      ofRa: [4, 5, 6],
      processed: [7, 8],
      unknown: [7],
      extending: [8],
      dataReturn: Buffer.from('state'),
    });
  });

  it.each<[string, ReturnType<typeof control>[]]>([
    ['twice', [1, 2].map((id) => control(id, OID.cmcSenderNonce, der.octetString(Buffer.of(id))))],
    ['without a value', [control(1, OID.cmcSenderNonce)]],
    ['with two values', [control(1, OID.cmcTransactionId, der.integer(1), der.integer(2))]],
    ['with a nonce of 257 octets', [control(1, OID.cmcSenderNonce, der.octetString(Buffer.alloc(257)))]],
    ['with an empty identification', [control(1, OID.cmcIdentification, der.utf8String(''))]],
    ['with a transactionId that is no number', [control(1, OID.cmcTransactionId, der.null())]],
    ['that give back 8 KiB and more', [control(1, OID.cmcDataReturn, der.octetString(Buffer.alloc(8_193)))]],
    [
      'with 17 queries',
      Array.from({ length: 17 }, (_, id) => control(id + 1, OID.cmcQueryPending, der.octetString(Buffer.of(1)))),
    ],
    [
      'with a word of an RA about nested requests',
      [control(1, OID.cmcLraPopWitness, der.sequence(der.integer(4), der.sequence(der.integer(9))))],
    ],
  ])('%s are malformed, and named', (_, controls) => {
    expect(() => read(...controls)).toThrow(malformed);
    expect(() => read(...controls)).toThrow(expect.objectContaining({ bodyParts: [controls.at(-1)?.id] }));
  });

  it('refuse the identity proof by SHA-1 aloud', () => {
    const proof = control(1, OID.cmcIdentityProof, der.octetString(Buffer.alloc(20)));
    expect(() => read(proof)).toThrow(expect.objectContaining({ code: 'unsupportedAlgorithm' }));
  });
});

describe('an identity proof', () => {
  const requests = [taggedPkcs10(2, CSR)];
  const prove = (secret: string, identification?: string, over = requests) => {
    const data = readPkiData(
      encodePkiData({ requests: over, controls: [identityProof(1, secret, identification, requests)] }),
    );
    return { data, proof: readCmcControls(data).identityProof };
  };

  it.each(['sha256', 'sha384', 'sha512'] as const)('by %s is one of the secret, the name and the requests', (hash) => {
    const data = readPkiData(
      encodePkiData({ requests, controls: [identityProof(1, 'secret', 'device', requests, hash)] }),
    );
    const proof = readCmcControls(data).identityProof!;
    expect(checkIdentityProof(proof, 'secret', 'device', data.reqSequence)).toBe(true);
    expect(checkIdentityProof(proof, 'Secret', 'device', data.reqSequence)).toBe(false);
    expect(checkIdentityProof(proof, 'secret', 'other', data.reqSequence)).toBe(false);
    expect(checkIdentityProof(proof, 'secret', undefined, data.reqSequence)).toBe(false);
  });

  it('does not hold for other requests', () => {
    const { data, proof } = prove('secret', undefined, [taggedPkcs10(3, CSR)]);
    expect(checkIdentityProof(proof!, 'secret', undefined, data.reqSequence)).toBe(false);
  });
});

describe('a link between request and secret', () => {
  const random = Buffer.alloc(64, 7);
  const unlinked = expect.objectContaining({ code: 'popLink' });

  it('holds where the request was made by who knows the secret, and where nothing claims one', () => {
    expect(() => checkPopLink(popLink('secret', random), random, 'secret')).not.toThrow();
    expect(() => checkPopLink(undefined, undefined, 'secret')).not.toThrow();
  });

  it.each<[string, Buffer | undefined, Buffer | undefined]>([
    ['of another secret', popLink('other', random), random],
    ['of other random octets', popLink('secret', Buffer.alloc(64, 8)), random],
    ['in the control alone', undefined, random],
    ['in the request alone', popLink('secret', random), undefined],
  ])('fails %s', (_, witness, control) => {
    expect(() => checkPopLink(witness, control, 'secret')).toThrow(unlinked);
  });
});

describe('PKIResponse', () => {
  const response: PkiResponse = {
    statuses: [
      { status: 'success', bodyList: [2], text: undefined, failInfo: undefined, pending: undefined },
      { status: 'failed', bodyList: [3], text: 'no', failInfo: 'popFailed', pending: undefined },
      {
        status: 'pending',
        bodyList: [4],
        text: 'wait',
        failInfo: undefined,
        pending: { token: Buffer.from('t'), time: new Date('2030-01-01T00:00:00Z') },
      },
    ],
    transactionId: der.integer(77),
    senderNonce: Buffer.from('ours'),
    recipientNonce: Buffer.from('theirs'),
    dataReturn: Buffer.from('state'),
  };

  it('comes back as it was written', () => {
    expect(readPkiResponse(encodePkiResponse(response))).toEqual(response);
  });

  it.each(ERROR_KINDS)('has a failInfo for the kind %s', (kind) => {
    expect(failInfoOf(new AuthorityError(kind, 'x'))).toMatch(/^[a-zA-Z]+$/);
  });

  it('says popFailed of a bad signature and of a bad binding (E131)', () => {
    for (const code of ['badSignature', 'channelBinding']) {
      expect(failInfoOf(new AuthorityError('invalid', 'x', { code }))).toBe('popFailed');
    }
  });
});
