import { OID, type CertificationRequest } from '#pki';
import { isId } from '#store';

const URN = /^urn:uuid:([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/i;

/**
 * The device that a request is for, by what it says: the one UUID in subjectAltName, or else the one common name.
 * Undefined where it names none, or several.
 */
export function namedDevice(
  csr: Pick<CertificationRequest, 'san' | 'subject'>,
): { instanceId?: string; id?: string } | undefined {
  const instanceIds = claimedInstances(csr);
  const names = csr.subject.flat().filter((one) => one.type === OID.commonName);
  const [instanceId] = instanceIds;
  const id = names[0]?.value;
  if (instanceIds.length > 1 || names.length > 1) return undefined;
  const named = { ...(instanceId !== undefined && { instanceId }), ...(id !== undefined && isId(id) && { id }) };
  return Object.keys(named).length > 0 ? named : undefined;
}

/** UUIDs of devices in subjectAltName, in lower case (RFC 5626 section 4.1). */
export const claimedInstances = ({ san }: Pick<CertificationRequest, 'san'>): string[] =>
  (san ?? []).flatMap((name) => {
    const uuid = name.type === 'uri' ? URN.exec(name.value)?.[1] : undefined;
    return uuid === undefined ? [] : [uuid.toLowerCase()];
  });
