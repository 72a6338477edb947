import { Worker } from 'node:worker_threads';
import { AuthorityError } from '#kernel';
import { readCrl, readPublicKey, verifyCrl, type CertificateList, type CrlReason } from '#pki';

/** Plain values only, so that it can go to another thread. */
export interface CrlInspection {
  der: Uint8Array;
  /** SubjectPublicKeyInfo of the issuer. */
  spki: Uint8Array;
  subjectDer: Uint8Array;
  number: bigint;
  thisUpdate: Date;
  nextUpdate: Date;
  distributionPoint: string | undefined;
  /** undefined: any number. */
  entries: number | undefined;
  /** DER of the CRL that stands published. */
  previous: Uint8Array | undefined;
}

export interface CrlFinding {
  /** Why the CRL must not be published, whatever the database says. */
  problem: string | undefined;
  /** Entries of the last CRL that the new one lacks. */
  gone: { serial: string; reason: CrlReason }[];
  /** The CRL that stands published was not signed by this issuer: it proves nothing and is replaced. */
  previousForged: boolean;
}

/** Below, reading takes a few milliseconds and a thread would cost more than it spares. */
const THREAD_BYTES = 512 * 1024;
/** A thread loads compiled JavaScript only; run from the TypeScript sources, everything stays in this one. */
const COMPILED = import.meta.url.endsWith('.js');

/** `inspectCrl`, for a large CRL in a thread of its own: reading 40 MB would stop everything else for seconds. */
export async function inspectAside(input: CrlInspection): Promise<CrlFinding> {
  const size = input.der.length + (input.previous?.length ?? 0);
  if (!COMPILED || size < THREAD_BYTES) return inspectCrl(input);
  return new Promise((resolve, reject) => {
    const thread = new Worker(new URL('./crl-inspect-thread.js', import.meta.url), { workerData: input });
    thread.once('message', (finding: CrlFinding) => {
      resolve(finding);
      void thread.terminate();
    });
    thread.once('error', reject);
    thread.once('exit', (code) => reject(new AuthorityError('internal', `the CRL check ended with code ${code}`)));
  });
}

/** Reads a CRL of ours as a stranger would, and compares it with what it is meant to be and with the last one. */
export function inspectCrl(input: CrlInspection): CrlFinding {
  const key = readPublicKey(Buffer.from(input.spki));
  const crl = readCrl(Buffer.from(input.der.buffer, input.der.byteOffset, input.der.length));
  const finding: CrlFinding = { problem: findProblem(crl, input), gone: [], previousForged: false };
  if (!verifyCrl(crl, key)) finding.problem ??= 'its signature does not verify with the issuer’s key';
  if (input.previous === undefined || finding.problem !== undefined) return finding;

  const previous = readSigned(Buffer.from(input.previous), key);
  if (previous === undefined) return { ...finding, previousForged: true };
  if (previous.number === undefined || previous.number >= input.number) {
    return { ...finding, problem: `its number ${input.number} is not higher than the last one, ${previous.number}` };
  }
  return { ...finding, gone: entriesGone(previous, crl) };
}

function findProblem(crl: CertificateList, input: CrlInspection): string | undefined {
  if (!crl.issuerDer.equals(input.subjectDer)) return 'it names another issuer (C01)';
  if (crl.number !== input.number) return 'it carries another number';
  if (crl.thisUpdate.getTime() !== input.thisUpdate.getTime()) return 'it carries another thisUpdate';
  if (crl.nextUpdate?.getTime() !== input.nextUpdate.getTime()) return 'it carries another nextUpdate';
  if (crl.distributionPoint !== input.distributionPoint) return 'it names another distribution point (C17)';
  if (input.entries !== undefined && crl.entryCount !== input.entries)
    return `it holds ${crl.entryCount} entries of ${input.entries}`;
  return crl.unusable;
}

function readSigned(der: Buffer, key: ReturnType<typeof readPublicKey>): CertificateList | undefined {
  try {
    const crl = readCrl(der);
    return verifyCrl(crl, key) ? crl : undefined;
  } catch {
    // Bytes that cannot be read were not written by a publisher, which reads its own before it publishes them.
    return undefined;
  }
}

/** Both lists rise by serial: one walk over both finds what is missing, without holding either in memory. */
function entriesGone(previous: CertificateList, next: CertificateList): CrlFinding['gone'] {
  const gone: CrlFinding['gone'] = [];
  const walk = next.entries()[Symbol.iterator]();
  let current = walk.next();
  for (const { serial, reason } of previous.entries()) {
    while (current.done !== true && current.value.serial < serial) current = walk.next();
    if (current.done === true || current.value.serial !== serial) gone.push({ serial, reason });
  }
  return gone;
}
