export type EstOperation = 'cacerts' | 'simpleenroll' | 'simplereenroll' | 'serverkeygen' | 'csrattrs' | 'fullcmc';

/**
 * RFC 7030 section 3.2.2 figure 5 and the method of each operation (E09). `requestType` is the media type a POST body
 * must have. The first three cannot be switched off (E08); the others are optional in the RFC.
 */
export const EST_OPERATIONS: Readonly<Record<EstOperation, { method: 'GET' | 'POST'; requestType?: string }>> = {
  cacerts: { method: 'GET' },
  simpleenroll: { method: 'POST', requestType: 'application/pkcs10' },
  simplereenroll: { method: 'POST', requestType: 'application/pkcs10' },
  serverkeygen: { method: 'POST', requestType: 'application/pkcs10' },
  csrattrs: { method: 'GET' },
  fullcmc: { method: 'POST', requestType: 'application/pkcs7-mime' },
};

const WELL_KNOWN = '.well-known';
const MAX_PATH_LENGTH = 1024;
/** In a label these would be another segment, another host's path, or an unreadable log line. */
const FORBIDDEN_IN_LABEL = /[/\\?#\p{Cc}]/u;

/**
 * Reads the raw request target, not yet percent-decoded; a query is ignored. Three forms (E04 E05 E23b):
 * `/.well-known/est/<operation>`, `/.well-known/est/<label>/<operation>`, `/<label>/.well-known/est/<operation>`.
 * The fixed segments are compared as they stand; a label is percent-decoded once and case-sensitive (E07). Undefined
 * means 404: another path, an empty or reserved label, `.`, `..`, an encoded slash, broken percent-encoding.
 */
export function parseEstPath(rawPath: string): { label: string | undefined; operation: EstOperation } | undefined {
  const query = rawPath.indexOf('?');
  const path = query === -1 ? rawPath : rawPath.slice(0, query);
  if (path.length > MAX_PATH_LENGTH || !path.startsWith('/')) return undefined;
  const segments = path.slice(1).split('/');
  const operation = segments.pop() ?? '';
  if (!isOperation(operation)) return undefined;
  const [first, second, third] = segments;
  if (segments.length === 2 && first === WELL_KNOWN && second === 'est') return { label: undefined, operation };
  if (segments.length !== 3) return undefined;
  const raw =
    first === WELL_KNOWN && second === 'est' ? third : second === WELL_KNOWN && third === 'est' ? first : undefined;
  const label = raw === undefined ? undefined : decodeLabel(raw);
  return label === undefined ? undefined : { label, operation };
}

/** True for a label that no configuration may use, since it reads as a part of the path itself (E06). */
export function isReservedLabel(label: string): boolean {
  return isOperation(label) || label === WELL_KNOWN;
}

function decodeLabel(raw: string): string | undefined {
  let label: string;
  try {
    label = decodeURIComponent(raw);
  } catch {
    return undefined;
  }
  const unusable = label === '' || label === '.' || label === '..' || FORBIDDEN_IN_LABEL.test(label);
  return unusable || isReservedLabel(label) ? undefined : label;
}

function isOperation(segment: string): segment is EstOperation {
  return Object.hasOwn(EST_OPERATIONS, segment);
}
