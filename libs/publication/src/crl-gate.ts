import { AuthorityError } from '#kernel';
import type { CrlTemplateHead } from '#pki';
import { endOfSerials, type Artifact } from '#store';
import { inspectAside, type CrlFinding } from './crl-inspect.js';
import type { PublishedIssuer, Publisher } from './publisher.js';

interface Candidate {
  head: CrlTemplateHead;
  der: Buffer;
  seq: number;
  entries: number;
  previous: Artifact | undefined;
  endedBefore: Date;
}

const LOOK_UP_BLOCK = 1000;

/**
 * Lets a signed CRL pass only if it reads back as what it was meant to be, verifies with the issuer's key, counts on from
 * the last one and lacks none of its entries but of certificates that ended before the last CRL (C14) and of holds that
 * were released. Throws `internal`, code `crlRefused`, with what is wrong; `unavailable` when the status log is broken.
 */
export async function checkAgainstLast(p: Publisher, issuer: PublishedIssuer, crl: Candidate): Promise<void> {
  if (p.follower.broken !== undefined) {
    throw new AuthorityError('unavailable', 'the status log is not believed; what is published stays', {
      cause: p.follower.broken,
    });
  }
  const finding = await inspectAside({
    der: crl.der,
    spki: issuer.publicKey.spki,
    subjectDer: issuer.subjectDer,
    number: crl.head.number,
    thisUpdate: crl.head.thisUpdate,
    nextUpdate: crl.head.nextUpdate,
    distributionPoint: crl.head.distributionPoint,
    entries: crl.entries,
    previous: crl.previous?.bytes,
  });
  if (finding.problem !== undefined) throw refusal(finding.problem);
  if (crl.previous !== undefined && crl.seq < crl.previous.seq) await checkLogIsWhole(p, crl, crl.previous.seq);
  if (finding.previousForged) {
    p.log.error(
      { artifact: crl.previous?.name },
      'ALARM: the published CRL was not signed by its issuer; it is replaced',
    );
  }
  const lost = await findLost(p, crl, finding.gone);
  if (lost.length > 0) {
    const some = lost.slice(0, 5).join(', ');
    throw refusal(
      `it lacks ${lost.length} entries of the last one whose certificates are revoked and not ended: ${some}`,
    );
  }
}

/**
 * The row of the last CRL knows more than the log holds, both read in one snapshot: either the log lost its end, or the row
 * was altered, for nothing in it but the CRL is signed. A follower that saw rows beyond tells the first. Where it saw none,
 * the row is worth nothing, and what the last CRL lists decides as ever.
 */
async function checkLogIsWhole(p: Publisher, crl: Candidate, claimed: number): Promise<void> {
  await p.follower.catchUp(crl.seq);
  if (p.follower.index.seq > crl.seq) {
    throw refusal(`it knows the status log up to ${crl.seq}, the last one up to ${claimed}`);
  }
  p.log.error(
    { artifact: crl.previous?.name, claimed, head: crl.seq },
    'ALARM: the row of the published CRL speaks of changes that never were; it is replaced',
  );
}

/**
 * A release is believed from the followed log alone, whose rows are authenticated; an end from the serial's own row. A row
 * of the log after the snapshot says that something followed the release, which the next CRL tells.
 */
async function findLost(p: Publisher, crl: Candidate, gone: CrlFinding['gone']): Promise<string[]> {
  if (gone.length === 0) return [];
  await p.follower.catchUp(crl.seq);
  const held = gone.filter(({ serial, reason }) => {
    const entry = p.follower.index.certificate(serial);
    const released = entry !== undefined && (entry.status === 'active' || entry.seq > crl.seq);
    return !(released && reason === 'certificateHold');
  });
  const lost: string[] = [];
  for (let at = 0; at < held.length; at += LOOK_UP_BLOCK) {
    const serials = held.slice(at, at + LOOK_UP_BLOCK).map(({ serial }) => serial);
    const rows = await p.database.transaction((tx) =>
      endOfSerials(
        tx,
        serials.map((serial) => Buffer.from(serial, 'hex')),
      ),
    );
    const ended = new Set(rows.filter((row) => row.notAfter < crl.endedBefore).map((row) => row.serial));
    lost.push(...serials.filter((serial) => !ended.has(serial)));
  }
  return lost;
}

function refusal(problem: string): AuthorityError {
  return new AuthorityError('internal', `the new CRL was refused: ${problem}`, { code: 'crlRefused' });
}
