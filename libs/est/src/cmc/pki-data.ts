import { contextConstructedTag, DerReader, walkDer, type DerLimits } from '#pki';

/** PKIData (RFC 5272 section 3.2.1): what a full request asks for. */
export interface PkiData {
  controls: CmcControl[];
  requests: TaggedRequest[];
  /** Body parts with requests of another form than PKCS#10 and CRMF: none is processed (section 3.2.1.2). */
  otherRequests: number[];
  /** DER of reqSequence, over which an identity proof is computed (section 6.2.1). */
  reqSequence: Buffer;
}

export interface CmcControl {
  bodyPartId: number;
  type: string;
  /** Whole elements. */
  values: Buffer[];
}

export interface TaggedRequest {
  bodyPartId: number;
  /** A PKCS#10 request, or a CertReqMsg under the tag `[1]` (RFC 4211). */
  form: 'pkcs10' | 'crmf';
  der: Buffer;
}

const LIMITS: DerLimits = { maxBytes: 65_536, maxDepth: 24, maxNodes: 8_192 };
/** More certificates at once than this a client gets by several requests. */
const MAX_REQUESTS = 16;
const MAX_CONTROLS = 32;
const MAX_BODY_PART_ID = 4_294_967_295n;

/**
 * Reads the content of a full request. Every body part has an id of its own, above 0. Nested and other messages, which no control that is
 * taken refers to, are passed over, as section 3.2.1 wants it. Throws `malformed`, `tooLarge`.
 */
export function readPkiData(content: Buffer): PkiData {
  walkDer(content, 'PKIData', LIMITS);
  const data = DerReader.openSequence(content, 'PKIData', LIMITS);
  const ids = new Set<number>();
  const controls = readControls(data.sequence(), ids);
  const reqSequence = data.peekElement();
  const { requests, otherRequests } = readRequests(data.sequence(), ids);
  for (const messages of [data.sequence(), data.sequence()]) passOver(messages, ids);
  data.finish();
  return { controls, requests, otherRequests, reqSequence };
}

/** The attributes of a controlSequence; also of a response. */
export function readControls(list: DerReader, ids: Set<number>, most = MAX_CONTROLS): CmcControl[] {
  const controls: CmcControl[] = [];
  while (!list.done) {
    if (controls.length === most) list.fail(`has more than ${most} controls`);
    const control = list.sequence();
    const bodyPartId = readBodyPartId(control, ids);
    const type = control.oid();
    const set = control.set();
    control.finish();
    const values: Buffer[] = [];
    while (!set.done) values.push(set.element());
    controls.push({ bodyPartId, type, values });
  }
  return controls;
}

function passOver(messages: DerReader, ids: Set<number>): void {
  let count = 0;
  while (!messages.done) {
    if (++count > MAX_REQUESTS) messages.fail(`has more than ${MAX_REQUESTS} messages in it`);
    readBodyPartId(messages.sequence(), ids);
  }
}

function readRequests(list: DerReader, ids: Set<number>): Pick<PkiData, 'requests' | 'otherRequests'> {
  const read: Pick<PkiData, 'requests' | 'otherRequests'> = { requests: [], otherRequests: [] };
  while (!list.done) {
    if (read.requests.length + read.otherRequests.length === MAX_REQUESTS) {
      list.fail(`has more than ${MAX_REQUESTS} requests`);
    }
    const tag = list.peekTag();
    if (tag === contextConstructedTag(0)) read.requests.push(readPkcs10(list.enter(tag), ids));
    else if (tag === contextConstructedTag(1)) read.requests.push(readCrmf(list, ids));
    else if (tag === contextConstructedTag(2)) read.otherRequests.push(readBodyPartId(list.enter(tag), ids));
    else list.fail('has a request that is none');
  }
  return read;
}

function readPkcs10(tagged: DerReader, ids: Set<number>): TaggedRequest {
  const bodyPartId = readBodyPartId(tagged, ids);
  const der = tagged.element();
  tagged.finish();
  return { bodyPartId, form: 'pkcs10', der };
}

/** The id of a CRMF request is its certReqId (section 3.2.1.2.2). */
function readCrmf(list: DerReader, ids: Set<number>): TaggedRequest {
  const der = list.peekElement();
  const bodyPartId = readBodyPartId(list.enter(contextConstructedTag(1)).sequence(), ids);
  return { bodyPartId, form: 'crmf', der };
}

function readBodyPartId(reader: DerReader, ids: Set<number>): number {
  const id = reader.bigint();
  // CRMF counts from 0; as the id of a body part 0 means the whole request.
  if (id < 1n || id > MAX_BODY_PART_ID) reader.fail('has a body part id that is none');
  const small = Number(id);
  if (ids.has(small)) reader.fail('gives one body part id twice');
  ids.add(small);
  return small;
}
