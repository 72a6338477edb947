import { createHash } from 'node:crypto';
import { inspectAside } from '#publication';
import type { Artifact } from '#store';
import type { ServedIssuer } from './served-state.js';

const NAME = /^crl\/([0-9a-f-]{36})(\/\d+)?\.crl$/;

/** The issuer whose CRL has this name, of those given. */
export function issuerOfCrl(name: string, issuers: readonly ServedIssuer[]): ServedIssuer | undefined {
  const id = NAME.exec(name)?.[1];
  return issuers.find((issuer) => issuer.id === id);
}

/**
 * Why a published CRL must not be taken over; undefined when it may. Its row is not authenticated: every column that
 * counts must repeat what the issuer signed, and what was signed must go on from the CRL that is held.
 */
export async function findCrlProblem(
  artifact: Artifact,
  issuer: ServedIssuer,
  held: Pick<Artifact, 'number' | 'thisUpdate'> | undefined,
): Promise<string | undefined> {
  if (!createHash('sha256').update(artifact.bytes).digest().equals(artifact.sha256)) {
    return 'its bytes do not have the digest that the row names';
  }
  const { number, thisUpdate, nextUpdate } = artifact;
  if (nextUpdate === null) return 'it names no nextUpdate';
  const { problem } = await inspectAside({
    der: artifact.bytes,
    spki: issuer.publicKey.spki,
    subjectDer: issuer.subjectDer,
    number: BigInt(number),
    thisUpdate,
    nextUpdate,
    distributionPoint: NAME.exec(artifact.name)?.[2] === undefined ? undefined : `${issuer.statusUrl}/${artifact.name}`,
    entries: undefined,
    previous: undefined,
  });
  if (problem !== undefined || held === undefined) return problem;
  if (number <= held.number) return `its number ${number} is not higher than the held one, ${held.number}`;
  return thisUpdate < held.thisUpdate ? 'it was made before the held one' : undefined;
}
