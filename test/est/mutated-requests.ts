import { type KeyObject } from 'node:crypto';
import type { EstOperation } from '#est';
import { der, encodeAttribute, encodeCsrInfo, OID, readPublicKey, signatureAlgorithm, signBytes } from '#pki';
import {
  control,
  crmfRequest,
  encodePkiData,
  otherControls,
  popLink,
  signByNewKey,
  signFullRequest,
  taggedPkcs10,
  type FullRequest,
} from '../../libs/est/src/testing/cmc-client.js';
import { basic, csrOf, newKey, type DeviceKey } from '../harness/device.js';
import { mutateDer } from './der-mutants.js';

type Below = (bound: number) => number;

export interface MutatedRequest {
  operation: EstOperation;
  headers: Record<string, string>;
  body: string;
  /** Whether the connection has the device's certificate. */
  identified: boolean;
  /** Whether it must be refused: it is not what was signed. */
  unsigned?: boolean;
}

interface Fresh {
  device: { id: string; instanceId: string };
  secret: string;
}

export interface Devices {
  fresh: Fresh;
  /** Its secret may be used up by any operation. */
  other: Fresh;
  enrolled: { device: { id: string; instanceId: string }; certificate: Buffer; key: DeviceKey };
  ra: { certificate: Buffer; key: DeviceKey };
}

type Family = (below: Below) => MutatedRequest;

const TYPES: Partial<Record<EstOperation, string>> = {
  simpleenroll: 'application/pkcs10',
  simplereenroll: 'application/pkcs10',
  serverkeygen: 'application/pkcs10',
  fullcmc: 'application/pkcs7-mime; smime-type=CMC-request',
};

/**
 * Ways to send what a good client would not, from the bytes of a body up to a tree that is changed and then signed again, so that
 * each layer meets mutants that all layers before it took. Requests of a family differ by `below` alone.
 */
export function familiesOf({ fresh, other, enrolled, ra }: Devices): Record<string, { share: number; make: Family }> {
  const bySecret = ({ device, secret }: Fresh, body: string): MutatedRequest => ({
    ...{ operation: 'simpleenroll', body, identified: false },
    headers: { 'content-type': 'application/pkcs10', authorization: basic(device.id, secret) },
  });
  const byCertificate = (operation: EstOperation, body: Buffer): MutatedRequest => ({
    ...{ operation, body: body.toString('base64'), identified: true },
    headers: { 'content-type': TYPES[operation] ?? '' },
  });
  const key = newKey();
  const first = csrOf(fresh.device, key);
  const third = csrOf(other.device, key).toString('base64');
  const renewal = encodeCsrInfo(templateOf(enrolled.device, key));
  const keyRequest = csrOf(enrolled.device, key, {
    attributes: [
      encodeAttribute(OID.decryptKeyIdentifier, der.octetString(Buffer.from('key'))),
      encodeAttribute(OID.smimeCapabilities, der.sequence(der.sequence(der.oid(OID.aes256Wrap)))),
    ],
  });
  const { privateKey } = enrolled.key;
  const signer = { certificate: enrolled.certificate, privateKey };
  const signed = (pkiData: Buffer) => signFullRequest(pkiData, signer, new Date());
  const pkcs10 = encodePkiData(fullRequest([taggedPkcs10(1, csrOf(enrolled.device, key))]));
  const crmf = encodePkiData(fullRequest([crmfOf(key)]));
  const whole = signed(pkcs10);
  const query = encodePkiData({ controls: otherControls(1).slice(0, 4) });
  const byRa = { certificate: ra.certificate, privateKey: ra.key.privateKey };
  const forOthers = encodePkiData({ requests: [taggedPkcs10(1, first)], controls: otherControls(2), nested: NESTED });
  const linked = encodePkiData({
    requests: [taggedPkcs10(1, csrOf(other.device, key, { attributes: [WITNESS] }))],
    controls: [control(2, OID.cmcPopLinkRandom, der.octetString(Buffer.alloc(64)))],
  });
  return {
    'a request as a tree': {
      share: 3,
      make: (below) => ({
        ...bySecret(fresh, changed(first, below).toString('base64')),
        unsigned: true,
      }),
    },
    'a request signed again': {
      share: 5,
      make: (below) => byCertificate('simplereenroll', signInfo(changed(renewal, below), key.privateKey)),
    },
    'a body': { share: 3, make: (below) => bySecret(fresh, mutateText(first.toString('base64'), below)) },
    'a key request': { share: 2, make: (below) => byCertificate('serverkeygen', changed(keyRequest, below)) },
    'a full request': { share: 2, make: (below) => byCertificate('fullcmc', changed(whole, below)) },
    'a full request signed again': {
      share: 2,
      make: (below) => byCertificate('fullcmc', signed(changed(pkcs10, below))),
    },
    'CRMF signed again': { share: 1, make: (below) => byCertificate('fullcmc', signed(changed(crmf, below))) },
    'queries signed again': { share: 1, make: (below) => byCertificate('fullcmc', signed(changed(query, below))) },
    'a full request of an RA signed again': {
      share: 2,
      make: (below) => byCertificate('fullcmc', signFullRequest(changed(forOthers, below), byRa, new Date())),
    },
    'a full request by secret signed again': {
      share: 1,
      make: (below) => ({
        ...byCertificate('fullcmc', signByNewKey(changed(linked, below), key)),
        headers: { 'content-type': TYPES.fullcmc ?? '', authorization: basic(other.device.id, other.secret) },
        identified: false,
      }),
    },
    headers: { share: 2, make: (below) => mutateHeaders(bySecret(other, third), below) },
  };
}

const NESTED = [der.sequence(der.integer(40), der.sequence(der.oid(OID.signedData)))];
const WITNESS = encodeAttribute(OID.cmcPopLinkWitnessV2, popLink('secret', Buffer.alloc(64)));

/** Some edits of a tree change nothing. */
function changed(good: Buffer, below: Below): Buffer {
  for (;;) {
    const mutant = mutateDer(good, below);
    if (!mutant.equals(good)) return mutant;
  }
}

const templateOf = (device: { id: string; instanceId: string }, key: DeviceKey) => ({
  subject: [[{ type: OID.commonName, value: device.id }]],
  publicKey: readPublicKey(key.spki),
  san: [{ type: 'uri' as const, value: `urn:uuid:${device.instanceId}` }],
});

const signInfo = (info: Buffer, privateKey: KeyObject): Buffer =>
  der.sequence(info, signatureAlgorithm('ec-p256').der, der.bitString(signBytes('ec-p256', privateKey, info)));

const fullRequest = (requests: Buffer[]): FullRequest => ({
  requests,
  controls: [
    control(2, OID.cmcTransactionId, der.integer(1)),
    control(3, OID.cmcSenderNonce, der.octetString(Buffer.from('nonce'))),
    control(4, OID.cmcIdentification, der.utf8String('0123456789abcd')),
    control(6, OID.cmcRevokeRequest, der.sequence(der.sequence(), der.integer(5), der.enumerated(1))),
  ],
});

/** Without names: they are found by who signs. */
const crmfOf = (key: DeviceKey): Buffer =>
  crmfRequest(
    1,
    { subject: der.sequence(), spki: key.spki },
    {
      algorithm: signatureAlgorithm('ec-p256').der,
      sign: (request) => signBytes('ec-p256', key.privateKey, request),
    },
  );

const INSERTED = ['\r\n', ' ', '=', '\0', '-----BEGIN CERTIFICATE REQUEST-----', '\u00e9', '%', ',', '_-'];

/** One to three edits of base64: a cut, a stretch doubled, something that does not belong there, another letter. */
function mutateText(text: string, below: Below): string {
  let mutant = text;
  for (let edits = 1 + below(3); edits > 0; edits--) {
    const at = below(mutant.length + 1);
    const end = Math.min(mutant.length, at + 1 + below(64));
    switch (below(4)) {
      case 0:
        mutant = mutant.slice(0, at) + mutant.slice(end);
        break;
      case 1:
        mutant = mutant.slice(0, end) + mutant.slice(at);
        break;
      case 2:
        mutant = mutant.slice(0, at) + (INSERTED[below(INSERTED.length)] ?? '') + mutant.slice(at);
        break;
      default:
        mutant = mutant.slice(0, at) + String.fromCharCode(33 + below(94)) + mutant.slice(at + 1);
    }
  }
  return mutant;
}

const OPERATIONS: EstOperation[] = ['cacerts', 'csrattrs', 'simpleenroll', 'simplereenroll', 'serverkeygen', 'fullcmc'];
/** Values to be mutated further; what a plane takes, and what others take. */
const VALUES: Readonly<Record<string, readonly string[]>> = {
  authorization: [
    'Basic ZGV2aWNlOnNlY3JldA==',
    'Basic Og==',
    'Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.',
    'Bearer tmk_0123456789abcd_0123456789abcdefghijklmnopqrstuv',
    'Digest username="d", realm="Touchmark EST", nonce="n", uri="/", qop=auth, nc=00000001, cnonce="c", response="0"',
    'Negotiate YII=',
  ],
  'content-type': ['application/pkcs10', 'application/pkcs7-mime; smime-type="CMC-request"; name=x', 'multipart/mixed'],
  'content-encoding': ['identity', 'gzip', 'gzip, deflate;q=0.5'],
  accept: ['application/problem+json', 'text/plain;q=0.2, */*;q=0', 'application/pkcs7-mime'],
  'user-agent': ['libest 1.0', 'strongSwan/5.9'],
  'if-none-match': ['"x", W/"y"', '*'],
  'client-cert': [':MIIB:', ':::'],
  forwarded: ['for="[::1]";proto=https'],
  'x-forwarded-for': ['10.0.0.1, ::1'],
};
const NAMES = Object.keys(VALUES);

/** One to four headers of any operation, with what an HTTP client can send in them. */
function mutateHeaders(good: MutatedRequest, below: Below): MutatedRequest {
  const operation = OPERATIONS[below(OPERATIONS.length)] ?? 'cacerts';
  const headers: Record<string, string> = { ...good.headers, 'content-type': TYPES[operation] ?? '' };
  for (let edits = 1 + below(4); edits > 0; edits--) {
    const name = NAMES[below(NAMES.length)] ?? 'accept';
    const values = VALUES[name] ?? [];
    const mutant = mutateText(values[below(values.length)] ?? '', below);
    // What is no field value at all would be refused by the client's own HTTP library.
    headers[name] = (below(40) === 0 ? mutant.repeat(90) : mutant).replace(/[^\t\x20-\x7e\x80-\xff]/g, '');
  }
  return { ...good, operation, headers, body: below(4) === 0 ? '' : good.body };
}
