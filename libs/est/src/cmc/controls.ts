import { AuthorityError, isAuthorityError } from '#kernel';
import { OID } from '#pki';
import {
  checkPath,
  readAcceptance,
  readIdentification,
  readOctets,
  readPopByRa,
  readProcessed,
  readReturned,
  readRevocation,
  readTransactionId,
  type CertificateReference,
  type PendingQuery,
  type PopByRa,
  type RevocationRequest,
} from './control-values.js';
import { PartsRefused } from './parts-refused.js';
import type { CmcControl, PkiData } from './pki-data.js';
import { readWitness, type Witness } from './witness.js';

/** The controls of a request. */
export interface CmcControls {
  /** DER of the INTEGER, given back as it came. */
  transactionId: Buffer | undefined;
  senderNonce: Buffer | undefined;
  /** Given back as it came (RFC 5272 section 6.4). */
  dataReturn: Buffer | undefined;
  /** Names whose shared secret an identity proof is by. */
  identification: string | undefined;
  identityProof: Witness | undefined;
  popLinkRandom: Buffer | undefined;
  revocations: RevocationRequest[];
  queries: PendingQuery[];
  acceptances: CertificateReference[];
  popByRa: PopByRa[];
  /** Body parts of controls that only an RA may send: `popByRa`, raIdentityWitness, controlProcessed. */
  ofRa: number[];
  /** Body parts that an RA says it has processed (RFC 5272 section 6.19). */
  processed: number[];
  /** Body parts with controls that nothing is known of: the whole request fails (RFC 5272 section 3.2.1.1). */
  unknown: number[];
  /** addExtensions: extensions are the profile's. */
  extending: number[];
}

/** As many as requests: each costs a transaction and an audit entry. */
const MAX_OF_A_KIND = 16;

/** Any other control stands at most once. */
const REPEATABLE: readonly string[] = [
  OID.cmcRevokeRequest,
  OID.cmcQueryPending,
  OID.cmcConfirmCertAcceptance,
  OID.cmcLraPopWitness,
  OID.cmcRaIdentityWitness,
  OID.cmcControlProcessed,
  OID.cmcAddExtensions,
];

export function noControls(): CmcControls {
  return {
    transactionId: undefined,
    senderNonce: undefined,
    dataReturn: undefined,
    identification: undefined,
    identityProof: undefined,
    popLinkRandom: undefined,
    revocations: [],
    queries: [],
    acceptances: [],
    popByRa: [],
    ofRa: [],
    processed: [],
    unknown: [],
    extending: [],
  };
}

/**
 * Reads the controls. Throws PartsRefused that names the control: `malformed`; `invalid` (code `unsupportedAlgorithm`) for an identity
 * proof by SHA-1, which the first version of that control is fixed to, or by another algorithm that is not taken.
 */
export function readCmcControls({ controls }: Pick<PkiData, 'controls'>): CmcControls {
  const found = noControls();
  const seen = new Set<string>();
  for (const control of controls) {
    try {
      if (seen.has(control.type) && !REPEATABLE.includes(control.type)) throw malformed('has a control twice');
      seen.add(control.type);
      if (!readReflected(found, control) && !readProof(found, control) && !readAsked(found, control)) {
        readOfRa(found, control);
      }
    } catch (error) {
      if (!isAuthorityError(error)) throw error;
      throw new PartsRefused(error.kind, error.detail, [control.bodyPartId], { code: error.code });
    }
  }
  return found;
}

/** What goes back as it came, or changes nothing. False for another. */
function readReflected(found: CmcControls, control: CmcControl): boolean {
  switch (control.type) {
    case OID.cmcTransactionId:
      found.transactionId = readTransactionId(valueOf(control));
      return true;
    case OID.cmcSenderNonce:
      found.senderNonce = readOctets(valueOf(control), 'nonce');
      return true;
    case OID.cmcDataReturn:
      found.dataReturn = readReturned(valueOf(control));
      return true;
    case OID.cmcRecipientNonce:
    case OID.cmcRegInfo:
      return true;
    default:
      return false;
  }
}

function readProof(found: CmcControls, control: CmcControl): boolean {
  switch (control.type) {
    case OID.cmcIdentification:
      found.identification = readIdentification(valueOf(control));
      return true;
    case OID.cmcIdentityProof:
      throw new AuthorityError('invalid', 'identityProof is by SHA-1; send identityProofV2 with SHA-256 or better', {
        code: 'unsupportedAlgorithm',
      });
    case OID.cmcIdentityProofV2:
      found.identityProof = readWitness(valueOf(control), 'identityProofV2');
      return true;
    case OID.cmcPopLinkRandom:
      found.popLinkRandom = readOctets(valueOf(control), 'popLinkRandom');
      return true;
    default:
      return false;
  }
}

function readAsked(found: CmcControls, control: CmcControl): boolean {
  const { bodyPartId, values } = control;
  switch (control.type) {
    case OID.cmcRevokeRequest:
      checkCount(found.revocations.length + values.length);
      for (const value of values) found.revocations.push(readRevocation(bodyPartId, value));
      return true;
    case OID.cmcQueryPending:
      checkCount(found.queries.length + 1);
      found.queries.push({ bodyPartId, token: readOctets(valueOf(control), 'queryPending') });
      return true;
    case OID.cmcConfirmCertAcceptance:
      checkCount(found.acceptances.length + 1);
      found.acceptances.push(readAcceptance(bodyPartId, valueOf(control)));
      return true;
    default:
      return false;
  }
}

function readOfRa(found: CmcControls, control: CmcControl): void {
  const { bodyPartId } = control;
  switch (control.type) {
    case OID.cmcLraPopWitness:
      found.popByRa.push(readPopByRa(bodyPartId, valueOf(control)));
      break;
    case OID.cmcRaIdentityWitness:
      checkPath(valueOf(control));
      break;
    case OID.cmcControlProcessed:
      found.processed.push(...readProcessed(valueOf(control)));
      break;
    case OID.cmcAddExtensions:
      found.extending.push(bodyPartId);
      return;
    default:
      found.unknown.push(bodyPartId);
      return;
  }
  found.ofRa.push(bodyPartId);
}

function checkCount(count: number): void {
  if (count > MAX_OF_A_KIND) throw malformed(`has more than ${MAX_OF_A_KIND} revocations, queries or confirmations`);
}

function valueOf({ values }: CmcControl): Buffer {
  const [value] = values;
  if (value === undefined || values.length > 1) throw malformed('has a control with another number of values than one');
  return value;
}

const malformed = (problem: string): AuthorityError => new AuthorityError('malformed', `the CMC request ${problem}`);
