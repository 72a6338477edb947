import { der, DerReader, OID, TAG } from '#pki';
import { CMC_FAIL_INFO, CMC_STATUS, type CmcFailInfo, type CmcStatus } from './fail-info.js';
import { readControls } from './pki-data.js';

/** CMCStatusInfoV2 (RFC 5272 section 6.1.1). */
export interface CmcStatusInfo {
  status: CmcStatus;
  /** Body parts of the request; 0 is all of it. */
  bodyList: number[];
  /** For people. */
  text: string | undefined;
  failInfo: CmcFailInfo | undefined;
  /** Of what is pending: what it is asked for with, and when. */
  pending: { token: Buffer; time: Date } | undefined;
}

/** PKIResponse (RFC 5272 section 3.2.2): one status per answered part, and what the request gave to be given back. */
export interface PkiResponse {
  statuses: CmcStatusInfo[];
  /** DER of the INTEGER. */
  transactionId: Buffer | undefined;
  /** Ours. */
  senderNonce: Buffer | undefined;
  /** The sender's. */
  recipientNonce: Buffer | undefined;
  /** The sender's (RFC 5272 section 6.4). */
  dataReturn: Buffer | undefined;
}

/** One status for each part of the largest request, and what goes back. */
const MAX_CONTROLS = 80;

export function encodePkiResponse(response: PkiResponse): Buffer {
  const { statuses, transactionId, senderNonce, recipientNonce, dataReturn } = response;
  const values: [string, Buffer][] = statuses.map((status) => [OID.cmcStatusInfoV2, encodeStatus(status)]);
  if (transactionId !== undefined) values.push([OID.cmcTransactionId, transactionId]);
  if (senderNonce !== undefined) values.push([OID.cmcSenderNonce, der.octetString(senderNonce)]);
  if (recipientNonce !== undefined) values.push([OID.cmcRecipientNonce, der.octetString(recipientNonce)]);
  if (dataReturn !== undefined) values.push([OID.cmcDataReturn, der.octetString(dataReturn)]);
  const controls = values.map(([type, value], at) =>
    der.sequence(der.integer(at + 1), der.oid(type), der.setOf(value)),
  );
  return der.sequence(der.sequence(...controls), der.sequence(), der.sequence());
}

function encodeStatus({ status, bodyList, text, failInfo, pending }: CmcStatusInfo): Buffer {
  return der.sequence(
    der.integer(CMC_STATUS[status]),
    der.sequence(...bodyList.map((id) => der.integer(id))),
    ...(text === undefined ? [] : [der.utf8String(text)]),
    ...(failInfo === undefined ? [] : [der.integer(CMC_FAIL_INFO[failInfo])]),
    ...(pending === undefined ? [] : [der.sequence(der.octetString(pending.token), der.generalizedTime(pending.time))]),
  );
}

/** What a client reads in an answer. Throws `malformed`. */
export function readPkiResponse(content: Buffer): PkiResponse {
  const outer: DerReader = DerReader.openSequence(content, 'PKIResponse');
  const response: PkiResponse = {
    statuses: [],
    transactionId: undefined,
    senderNonce: undefined,
    recipientNonce: undefined,
    dataReturn: undefined,
  };
  for (const { type, values } of readControls(outer.sequence(), new Set(), MAX_CONTROLS)) {
    const [value] = values;
    if (value === undefined || values.length > 1) outer.fail('has a control with another number of values than one');
    if (type === OID.cmcStatusInfoV2) response.statuses.push(readStatus(value));
    else if (type === OID.cmcTransactionId) response.transactionId = value;
    else if (type === OID.cmcSenderNonce) response.senderNonce = DerReader.open(value, 'nonce').octetString();
    else if (type === OID.cmcRecipientNonce) response.recipientNonce = DerReader.open(value, 'nonce').octetString();
    else if (type === OID.cmcDataReturn) response.dataReturn = DerReader.open(value, 'dataReturn').octetString();
  }
  outer.sequence();
  outer.sequence();
  outer.finish();
  return response;
}

function readStatus(value: Buffer): CmcStatusInfo {
  const info = DerReader.openSequence(value, 'status');
  const status = keyOf(CMC_STATUS, info.smallInteger()) ?? info.fail('is of no kind that is known');
  const list = info.sequence();
  const bodyList: number[] = [];
  while (!list.done) bodyList.push(Number(list.bigint()));
  const text = info.peekTag() === TAG.utf8String ? info.text() : undefined;
  const failInfo = info.peekTag() === TAG.integer ? keyOf(CMC_FAIL_INFO, info.smallInteger()) : undefined;
  const pendInfo = info.done ? undefined : info.sequence();
  const pending = pendInfo && { token: pendInfo.octetString(), time: pendInfo.generalizedTime() };
  info.finish();
  return { status, bodyList, text, failInfo, pending };
}

function keyOf<T extends Record<string, number>>(table: T, value: number): (keyof T & string) | undefined {
  return Object.keys(table).find((key) => table[key] === value);
}
